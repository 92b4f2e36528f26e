"""Judges by name, as the command line knows them."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence

from fulcra.errors import InputError
from fulcra.judges.endpoint import Endpoint
from fulcra.judges.local import GuardJudge, ModelJudge
from fulcra.judges.panel import Judge, Price
from fulcra.judges.remote import EndpointJudge
from fulcra.judges.rules import LanguageJudge, OracleJudge, PhraseJudge
from fulcra.models import load

#: The judges that are named by one word.
RULES: dict[str, Callable[[], Judge]] = {
    "oracle": OracleJudge,
    "phrases": PhraseJudge,
    "language": LanguageJudge,
}
KEY = "FULCRA_JUDGE_KEY"
MENU = (
    "oracle, phrases, language, api:MODEL@URL, model:ID (a chat model here), guard:ID (a guard"
    " model here)"
)


def judge_named(name: str, timeout: float = 60.0, workers: int = 8) -> Judge:
    """The judge of a name; a model on this machine is loaded, an endpoint is not asked anything
    yet.
    """
    kind, _, rest = name.partition(":")
    if name in RULES:
        return RULES[name]()
    if kind == "api" and rest:
        return EndpointJudge(_endpoint(name, rest, timeout), workers)
    if kind in ("model", "guard") and rest:
        model = load(rest, check=False)
        return ModelJudge(model) if kind == "model" else GuardJudge(model)
    raise InputError(f"--judge {name}: expected one of {MENU}")


def _endpoint(name: str, rest: str, timeout: float) -> Endpoint:
    """The endpoint of MODEL@URL with the user's key; "none" is a key for addresses that want
    none.
    """
    found = re.fullmatch(r"(.+?)@(https?://.+)", rest)
    if found is None:
        raise InputError(
            f"--judge {name}: expected api:MODEL@URL, as in api:my-model@http://localhost:8000/v1"
        )
    key = os.environ.get(KEY)
    endpoint = Endpoint(
        found[1],
        found[2],
        None if key in (None, "", "none") else key,
        timeout,
        patience=3 * timeout,
    )
    if not key and not endpoint.is_local:
        raise InputError(
            f"--judge {name}: no key for {endpoint.url}; set {KEY} (to none where the endpoint"
            " wants none)"
        )
    return endpoint


def prices_named(written: Sequence[str], judges: Mapping[str, Judge]) -> dict[str, Price]:
    """The prices of judges: IN/OUT a million tokens for every endpoint, or JUDGE=IN/OUT for one,
    named as it was asked for.
    """
    found: dict[str, Price] = {}
    for text in sorted(written, key=lambda text: "=" in text):
        name, _, numbers = text.rpartition("=")
        if name and name not in judges:
            raise InputError(f"--price {text}: no judge {name}; the judges are {', '.join(judges)}")
        priced = [
            judge.name
            for asked, judge in judges.items()
            if asked == name or (not name and asked.startswith("api:"))
        ]
        if not priced:
            raise InputError(
                f"--price {text}: no judge is at an endpoint; write JUDGE=IN/OUT, or leave it out"
            )
        found |= dict.fromkeys(priced, _price(text, numbers))
    return found


def _price(text: str, numbers: str) -> Price:
    try:
        read, written = (float(number) for number in numbers.split("/"))
    except ValueError:
        read = written = math.nan
    if not (0 <= read < math.inf and 0 <= written < math.inf):
        raise InputError(
            f"--price {text}: expected IN/OUT, the price of a million tokens read and written, as"
            " in 0.15/0.60"
        )
    return Price(read, written)
