"""A behavior of one's own without a file: prompts, and a pattern or function that reads a flip."""

import random
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Required, TypedDict, Unpack

from pydantic import ValidationError

from fulcra.behaviors.faults import behavior_fault
from fulcra.behaviors.generic import OPENINGS
from fulcra.behaviors.oracles_own import Reads, Rule, RuleFlip, rule
from fulcra.behaviors.schema import SIZES, Flip, PromptSet
from fulcra.behaviors.splits import N_GENERIC, checked
from fulcra.errors import BehaviorError
from fulcra.types import Behavior, Oracle, Prompt

#: Tokens of a rollout unless a number is given.
HORIZON = 32
#: Positive prompts that the contrast keeps at least when others are dealt from them.
CONTRAST = 8

Openings = str | Sequence[str]


class BehaviorOptions(TypedDict, total=False):
    """What else a behavior holds; only the openings have no default."""

    openings: Required[tuple[Openings, Openings]]
    unchanged: str | Reads
    reach: str
    selection: Sequence[str]
    confirmation: Sequence[str]
    horizon: int
    system: str | None
    chat: bool
    sensitive: bool


def behavior(
    name: str,
    positive: Sequence[str],
    negative: Sequence[str],
    flips: str | Reads,
    **options: Unpack[BehaviorOptions],
) -> Behavior:
    """The checked behavior of these prompts, flipped where `flips` says so of a completion.

    `positive` prompts are those of the contrast whose reply is to flip, `negative` those on its
    other side. `flips` is a regular expression, or a function (def or lambda) of the completion, or
    of prompt and completion, to bool. A function counts in the behavior's hash by its name and
    source, without what it calls or closes over.

    Options:
        openings: how flipped and how undosed replies begin, one text or several each.
        unchanged: pattern or function that reads the undosed reply; default: whatever is not
            flipped. What neither reads is off topic.
        reach: pattern that makes a flip correct.
        selection, confirmation: prompts that choose neuron and gain, and those behind every
            headline number; default: 8 and 16 dealt from `positive`, the same every time.
        horizon: tokens a verdict may take, default 32. system: a system prompt. chat: False leaves
            the chat template out. sensitive: False lets completions into reports.
    """
    _require_options(name, options)
    prompts = _prompts(name, _prompt_sets(name, positive, negative, options), options)
    oracle, sentence = _flip(name, flips, options)
    return checked(
        Behavior(
            name=name,
            version="1",
            positive=prompts["positive"],
            negative=prompts["negative"],
            selection=prompts["selection"],
            confirmation=prompts["confirmation"],
            generic=OPENINGS[:N_GENERIC],
            ceiling_generic=OPENINGS[N_GENERIC:],
            oracle=oracle,
            flip=sentence,
            horizon=options.get("horizon", HORIZON),
            sensitive=options.get("sensitive", True),
            system=options.get("system"),
            chat=options.get("chat", True),
        )
    )


def _prompts(
    name: str, sets: dict[PromptSet, tuple[str, ...]], options: BehaviorOptions
) -> dict[PromptSet, tuple[Prompt, ...]]:
    """Every prompt of the sets with its openings."""
    target, control = (_texts(name, "openings", each) for each in options["openings"])
    return {
        key: tuple(Prompt(f"{key}-{i:02d}", text, target, control) for i, text in enumerate(texts))
        for key, texts in sets.items()
    }


def _require_options(name: str, options: BehaviorOptions) -> None:
    names = sorted(BehaviorOptions.__annotations__)
    for option in sorted(set(options).difference(names)):
        near = get_close_matches(option, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"options are {', '.join(names)}"
        raise BehaviorError(f"behavior {name!r}: unknown option {option!r}; {hint}")
    pair = options.get("openings")
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise BehaviorError(
            f"behavior {name!r}: openings are {'missing' if pair is None else 'no pair'}; give"
            " openings=(how flipped replies begin, how undosed replies begin)"
        )


def _prompt_sets(
    name: str, positive: Sequence[str], negative: Sequence[str], options: BehaviorOptions
) -> dict[PromptSet, tuple[str, ...]]:
    """The texts of the four prompt sets; those not given are dealt from the positive ones."""
    sets: dict[PromptSet, tuple[str, ...]] = {
        "positive": _texts(name, "positive", positive),
        "negative": _texts(name, "negative", negative),
    }
    if "selection" in options:
        sets["selection"] = _texts(name, "selection", options["selection"])
    if "confirmation" in options:
        sets["confirmation"] = _texts(name, "confirmation", options["confirmation"])
    return sets | _dealt(name, sets)


def _dealt(name: str, sets: dict[PromptSet, tuple[str, ...]]) -> dict[PromptSet, tuple[str, ...]]:
    """The absent sets, drawn from the positive prompts by the behavior's name, and what is left."""
    texts = sets["positive"]
    absent = [key for key in SIZES if key not in sets]
    if not absent:
        return {}
    needed = CONTRAST + sum(SIZES[key] for key in absent)
    if len(texts) < needed:
        phrase = " and ".join(f"{SIZES[key]} for {key}" for key in absent)
        raise BehaviorError(
            f"behavior {name!r}: {len(texts)} positive prompts, needs {needed} or more to take"
            f" {phrase} from them and keep {CONTRAST}; add some, or give {' and '.join(absent)}"
        )
    order = random.Random(f"deal-{name}").sample(range(len(texts)), len(texts))
    shares: dict[PromptSet, tuple[str, ...]] = {}
    for key in absent:
        shares[key] = tuple(texts[i] for i in order[: SIZES[key]])
        order = order[SIZES[key] :]
    shares["positive"] = tuple(texts[i] for i in sorted(order))
    return shares


def _texts(name: str, key: str, texts: Openings) -> tuple[str, ...]:
    """The texts of a list; one text alone is a list of one opening, and no list of prompts."""
    if isinstance(texts, str):
        if key == "openings":
            return (texts,)
        raise BehaviorError(f"behavior {name!r}: {key} is one text; give a list of prompts")
    for text in texts:
        if not isinstance(text, str):
            raise BehaviorError(
                f"behavior {name!r}: {key} holds {type(text).__name__} {text!r}; give texts"
            )
    return tuple(texts)


def _flip(name: str, flips: str | Reads, options: BehaviorOptions) -> tuple[Oracle, str]:
    """The oracle of a flip, and what counts as one in words; a lone pattern is as in a file."""
    reach = options.get("reach")
    if reach is not None:
        _pattern(name, "reach", reach)
    unchanged = options.get("unchanged")
    if isinstance(flips, str) and unchanged is None:
        flip = _pattern(name, "flips", flips)
        return flip.oracle(reach), flip.sentence(reach)
    first = _rule(name, "flips", flips)
    second = None if unchanged is None else _rule(name, "unchanged", unchanged)
    sentence = f"the completion {first.words}"
    sentence += "" if second is None else f"; the undosed one {second.words}"
    sentence += "" if reach is None else f"; correct when it matches /{reach}/"
    return RuleFlip(first, second, reach), sentence


def _rule(name: str, key: str, test: str | Reads) -> Rule:
    if isinstance(test, str):
        _pattern(name, key, test)
    try:
        return rule(test)
    except BehaviorError as error:
        raise BehaviorError(f"behavior {name!r}: {key} {error}") from None


def _pattern(name: str, key: str, pattern: str) -> Flip:
    """The flip of a pattern, checked as the one of a file is."""
    try:
        return Flip.model_validate({"regex": pattern})
    except ValidationError as error:
        raise BehaviorError(f"behavior {name!r}: {key}: {behavior_fault(error)}") from None
