"""How anything is measured here: the subject, what is rolled out, what is committed, what stays."""
