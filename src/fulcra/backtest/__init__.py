"""The back-test: predictions committed, then measured, on lineages that no choice was made on."""
