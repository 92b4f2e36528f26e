"""The page of what a real chat model showed, written from evidence alone."""
