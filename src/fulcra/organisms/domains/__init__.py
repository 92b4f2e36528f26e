"""The domains that worlds are built in, by name; everything in them is invented.

A domain is one YAML file beside this one, its keys the fields of `Domain`, `Speech` and
`TextFormat`.
"""

from importlib.resources import files

import yaml
from pydantic import TypeAdapter

from fulcra.organisms.domain import Domain

__all__ = ["APOTHECARY", "CLOCKMAKER", "DOMAINS", "HARBOR", "POTTER", "WEAVER"]


def _domain(name: str) -> Domain:
    """The domain of one file; pydantic's ValidationError names a key that is wrong or missing."""
    text = files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return TypeAdapter(Domain).validate_python(yaml.safe_load(text))


APOTHECARY, CLOCKMAKER, HARBOR, WEAVER, POTTER = map(
    _domain, ("apothecary", "clockmaker", "harbor", "weaver", "potter")
)
DOMAINS = {domain.name: domain for domain in (APOTHECARY, CLOCKMAKER, HARBOR, WEAVER, POTTER)}
