"""The page of what is believed of the law and of the papers, written from evidence alone."""
