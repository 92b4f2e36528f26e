"""The scripts that a page with figures runs, and the policy under which no other one runs."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from markupsafe import Markup
from plotly.offline import get_plotlyjs


class Scripts(NamedTuple):
    """The inlined scripts in their order; `policy` is the script-src that names their hashes."""

    texts: tuple[Markup, ...]
    policy: Markup


@cache
def scripts() -> Scripts:
    """Plotly.js and the page's own script: releases as they are, no word of a run in them."""
    own = files("fulcra.report").joinpath("templates", "report.js").read_text("utf-8")
    texts = tuple(Markup(text) for text in (get_plotlyjs(), own))
    hashes = [f"'sha256-{_digest(text)}'" for text in texts]
    return Scripts(texts, Markup(f"script-src {' '.join(hashes)}"))


def _digest(text: str) -> str:
    """The SHA-256 of a script's text in base 64, as a Content-Security-Policy names it."""
    return b64encode(sha256(text.encode()).digest()).decode()
