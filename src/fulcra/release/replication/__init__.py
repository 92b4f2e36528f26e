"""Three papers' figures, row by row, beside what was measured here or in a user's own runs."""
