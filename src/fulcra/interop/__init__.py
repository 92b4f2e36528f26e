"""Neurons, activations and recipes in the libraries of others, one file a road."""
