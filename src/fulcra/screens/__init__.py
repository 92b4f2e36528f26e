"""Which neurons are worth measuring: one file per method, (model, behavior) -> Ranking."""
