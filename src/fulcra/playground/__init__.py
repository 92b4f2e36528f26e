"""The local web page: doses moved by hand, clean and dosed texts side by side."""
