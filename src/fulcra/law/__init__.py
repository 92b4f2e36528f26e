"""Edges, commitment and verdict: whether a window is open, by prediction and by measurement."""
