"""The scripts that a page with figures runs, and the policy under which no other one runs."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from markupsafe import Markup

#: Plotly's own bundle for lines, markers and bars (docs/decisions/0024-basic-bundle.md): the
#: release that the installed plotly writes figures for, as it stands in its npm package.
BUNDLE = "vendor/plotly-basic.min.js"
BUNDLE_SHA256 = "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"
#: What the page does itself, in the order it is run.
OWN = ("figures.js", "legends.js", "tables.js")


class Scripts(NamedTuple):
    """The inlined scripts in their order; `policy` is the script-src that names their hashes."""

    texts: tuple[Markup, ...]
    policy: Markup


@cache
def scripts() -> Scripts:
    """Plotly.js and the page's own script: releases as they are, no word of a run in them."""
    texts = tuple(map(Markup, (bundle(), "\n".join(_text(f"templates/{name}") for name in OWN))))
    hashes = [f"'sha256-{_digest(text)}'" for text in texts]
    return Scripts(texts, Markup(f"script-src {' '.join(hashes)}"))


@cache
def bundle() -> str:
    """The text of plotly.js, its basic bundle."""
    return _text(BUNDLE)


def _text(name: str) -> str:
    return files("fulcra.report").joinpath(*name.split("/")).read_text("utf-8")


def _digest(text: str) -> str:
    """The SHA-256 of a script's text in base 64, as a Content-Security-Policy names it."""
    return b64encode(sha256(text.encode()).digest()).decode()
