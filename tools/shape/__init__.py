"""The structure of src/fulcra, measured: sizes, names, types and imports, beside its limits.

The tests hold the limits; `make shape` prints all of it.
"""
