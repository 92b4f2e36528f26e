"""Mending: the smallest change of one neuron that closes what an audit opened through it."""
