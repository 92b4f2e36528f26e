"""The run-time checker of annotations that tests put on every function of fulcra."""

from beartype import BeartypeConf, beartype

#: As type checkers do, takes an int where a float is annotated.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
