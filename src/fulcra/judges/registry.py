"""Judges by name, as the command line knows them."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence

from fulcra.errors import InputError
from fulcra.judges.by_rules import LanguageJudge, OracleJudge, PhraseJudge
from fulcra.judges.endpoint import Endpoint
from fulcra.judges.judge import Judge, Price
from fulcra.judges.local import GuardJudge, ModelJudge
from fulcra.judges.remote import EndpointJudge
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


def judge_named(
    name: str,
    timeout: float = 60.0,
    workers: int = 8,
    allow_http: bool = False,
    device: str = "cpu",
) -> Judge:
    """The judge of a name; a model is loaded here, on `device`, an endpoint is not yet asked."""
    kind, _, rest = name.partition(":")
    if name in RULES:
        return RULES[name]()
    if kind == "api" and rest:
        return EndpointJudge(_endpoint(name, rest, timeout, allow_http), workers)
    if kind in ("model", "guard") and rest:
        model = load(rest, device=device, check=False)
        return ModelJudge(model) if kind == "model" else GuardJudge(model)
    raise InputError(f"--judge {name}: expected one of {MENU}")


def _endpoint(name: str, rest: str, timeout: float, allow_http: bool) -> Endpoint:
    """The endpoint of MODEL@URL with the user's key; the key "none" stands for no key."""
    address = re.fullmatch(r"(.+?)@(https?://.+)", rest)
    if address is None:
        raise InputError(
            f"--judge {name}: expected api:MODEL@URL, as in api:my-model@http://localhost:8000/v1"
        )
    key = os.environ.get(KEY)
    secret = None if key in (None, "", "none") else key
    endpoint = Endpoint(
        address[1], address[2], secret, timeout, patience=3 * timeout, allow_http=allow_http
    )
    if not key and not endpoint.is_local:
        raise InputError(
            f"--judge {name}: no key for {endpoint.url}; set {KEY} (to none where the endpoint"
            " wants none)"
        )
    return endpoint


def prices_named(written: Sequence[str], judges: Mapping[str, Judge]) -> dict[str, Price]:
    """The prices by the name of a judge.

    IN/OUT, a million tokens each, is the price of every endpoint, JUDGE=IN/OUT of one judge by the
    name the command line has for it.
    """
    prices: dict[str, Price] = {}
    for text in sorted(written, key=lambda text: "=" in text):
        name, _, numbers = text.rpartition("=")
        if name and name not in judges:
            raise InputError(f"--price {text}: no judge {name}; the judges are {', '.join(judges)}")
        chosen = [name] if name else [each for each in judges if each.startswith("api:")]
        if not chosen:
            raise InputError(
                f"--price {text}: no judge is at an endpoint; write JUDGE=IN/OUT, or leave it out"
            )
        price = _price(text, numbers)
        prices |= {judges[each].name: price for each in chosen}
    return prices


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
