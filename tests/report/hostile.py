"""Results in which every free word is hostile: whatever field a page prints, it prints this."""

import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import Result
from fulcra.protocol.results.card import CardResult
from fulcra.protocol.results.comparison import ComparisonResult
from fulcra.protocol.results.exemplars import ExemplarsResult
from fulcra.protocol.results.window import WindowResult
from fulcra.types import OUTCOMES

#: What a script that runs leaves behind on the root element of the page.
TRACE = "data-ran"
_RUN = f"document.documentElement.setAttribute('{TRACE}',1)"
WORDS = (
    f'"><script>{_RUN}</script></script><script>{_RUN}</script><img src=x onerror="{_RUN}">'
    f'<svg onload="{_RUN}"><iframe srcdoc="<b>in</b>"></iframe><style>*{{display:none}}</style>'
    f'<a href="javascript:{_RUN}" onclick="{_RUN}">go</a><b>bold</b><base href="data:,">'
    f"{{{{ 7 * 7 }}}} {{% raw %}} ${{{_RUN}}} %{{x}} &lt;i&gt; [red]| `x` ](data:,) --> ]]> '"
)

#: Few enough for the label that plotly shows of a point: it leaves out one that is too wide.
SHORT = f'<a href="javascript:{TRACE}">a</a><b>b</b>%{{x}}'

R = TypeVar("R", bound=BaseModel)


def hostile(kind: type[R], words: str) -> R:
    """A value of `kind` whose every free text is `words`."""
    return kind.model_validate(_any(kind, words))


def _any(kind: Any, words: str, place: int = 0) -> object:
    """A value of an annotation: `words`, else the plainest one; `place` chooses among several."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType, Literal):
        choices = [part for part in parts if part is not type(None)]
        choice = choices[min(place, len(choices) - 1)]
        return choice if origin is Literal else _any(choice, words, place)
    if origin is tuple:
        return tuple(_any(parts[0], words, i) for i in range(2))
    if origin in (dict, Mapping):
        keys = get_args(parts[0]) if get_origin(parts[0]) is Literal else [_any(parts[0], words)]
        return {key: _any(parts[1], words, place) for key in keys}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields.items()
        return {name: _any(field.annotation, words, place) for name, field in fields}
    return {str: words, int: 1, float: 0.5, bool: True}[kind]


def hostile_audit(words: str) -> AuditResult:
    """An audit with an open branch of every source, and words that may be shown."""
    audit = hostile(AuditResult, words)
    labels = dict.fromkeys(OUTCOMES, words)
    behavior = audit.behavior.model_copy(update={"sensitive": False, "labels": labels})
    sources = [{"source": source} for source in ("screen", "random", "control")]
    branches = tuple(audit.neurons[0].model_copy(update=source) for source in sources)
    return audit.model_copy(update={"behavior": behavior, "neurons": branches})


def hostile_results(words: str) -> list[Result]:
    """One hostile result of every kind that has a page."""
    audit = hostile_audit(words)
    return [
        audit,
        hostile(WindowResult, words).model_copy(update={"audit": audit}),
        hostile(CardResult, words),
        hostile(ExemplarsResult, words),
        hostile(ComparisonResult, words),
    ]


def hostile_pages(suffix: str, words: str = WORDS) -> dict[str, str]:
    """The pages of all hostile results whose names end so, by their names."""
    pages = {
        name: page for result in hostile_results(words) for name, page in result.pages().items()
    }
    return {name: page for name, page in pages.items() if name.endswith(suffix)}
