"""Tensors in, tensors out: the quantities of docs/law.md, one file per idea; no model, no file."""
