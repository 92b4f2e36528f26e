"""What a rollout did: one file per question, from coherence and a behavior's oracle to a typed
outcome.
"""
