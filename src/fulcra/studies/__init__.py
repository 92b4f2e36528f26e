"""Whole studies, each readable from top to bottom like a method section."""
