"""A run in formats that release teams read: one file a format, none of them computes a figure."""
