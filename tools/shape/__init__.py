"""The structure of src/fulcra, measured: sizes, names, types and imports, beside the limits that
the tests hold. `make shape` prints it.
"""
