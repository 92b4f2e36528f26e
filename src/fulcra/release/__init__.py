"""What finished runs decide and hand on: policies, runs side by side, formats of others."""
