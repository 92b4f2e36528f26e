"""The back-test of the law: predictions committed, then measured, on lineages that no choice was
made on.
"""
