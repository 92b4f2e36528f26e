"""The bundled model organisms: an invented apothecary world with an exact oracle, and the weights
trained on it.
"""
