"""What every behavior must hold before anything runs on it, and the hash of what it holds."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sized
from dataclasses import asdict
from itertools import combinations

from fulcra.errors import BehaviorError
from fulcra.types import Behavior, Prompt

#: Openings that serve |r|, c0 and KL, and the other ones that serve measured ceilings (law.md
#: section 2).
N_GENERIC, N_CEILING = 32, 16
PROMPT_SETS = ("positive", "negative", "selection", "confirmation")


def checked(behavior: Behavior) -> Behavior:
    """The behavior itself, or BehaviorError: its sets hold distinct prompts, no prompt twice,
    openings where they flip.
    """
    _check_generic(behavior)
    sets = {
        name: [prompt.text for prompt in prompts] for name, prompts in prompt_sets(behavior).items()
    }
    sets |= {"generic": list(behavior.generic), "ceiling_generic": list(behavior.ceiling_generic)}
    sets |= {
        f"discovery {name}": [prompt.text for prompt in more]
        for name, more in behavior.discovery._asdict().items()
        if more
    }
    for name, texts in sets.items():
        _check_set(behavior.name, name, texts)
    for (one, first), (other, second) in combinations(sets.items(), 2):
        shared = {_plain(text): text for text in first}.keys() & {_plain(text) for text in second}
        if shared:
            text = next(text for text in first if _plain(text) in shared)
            raise BehaviorError(
                f"behavior {behavior.name!r}: {text!r} is in {one} and in {other}; sets must be"
                " disjoint, keep it in one"
            )
    for prompt in (*behavior.selection, *behavior.confirmation, *behavior.discovery.selection):
        _check_openings(behavior.name, prompt)
    return behavior


def prompt_sets(behavior: Behavior) -> dict[str, tuple[Prompt, ...]]:
    """The four prompt sets by name."""
    return {
        "positive": behavior.positive,
        "negative": behavior.negative,
        "selection": behavior.selection,
        "confirmation": behavior.confirmation,
    }


def behavior_sha256(behavior: Behavior) -> str:
    """The sha256 of the behavior's canonical JSON: every prompt with its openings and answer, and
    how a flip is read.

    A horizon that follows from true replies counts in their words, so that one behavior has one
    hash for all models.
    """
    sets = {
        name: [_plain_prompt(prompt) for prompt in prompts]
        for name, prompts in prompt_sets(behavior).items()
    }
    said = {
        key: getattr(behavior, key)
        for key in ("name", "version", "system", "flip", "horizon", "reference")
    }
    if behavior.replies:
        said["horizon"] = longest_reply(behavior, str.split)
    return _sha256(
        {**said, **sets, "generic": behavior.generic, "ceiling_generic": behavior.ceiling_generic}
    )


def longest_reply(behavior: Behavior, cut: Callable[[str], Sized]) -> int:
    """The horizon that holds every true reply, cut into words or tokens: the longest + 2."""
    return max(len(cut(reply)) for reply in behavior.replies) + 2


def texts_sha256(texts: Iterable[str]) -> str:
    """The sha256 of some texts in their order, as canonical JSON."""
    return _sha256(list(texts))


def _sha256(value: object) -> str:
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    ).hexdigest()


def _plain_prompt(prompt: Prompt) -> dict[str, object]:
    return {key: value for key, value in asdict(prompt).items() if key != "request"}


def _plain(text: str) -> str:
    """A text as it is compared: letter case and spaces make no other prompt."""
    return " ".join(text.casefold().split())


def _check_set(behavior: str, name: str, texts: list[str]) -> None:
    if not texts:
        raise BehaviorError(f"behavior {behavior!r}: {name} holds no prompt; give at least one")
    text, count = Counter(map(_plain, texts)).most_common(1)[0]
    if not all(map(_plain, texts)):
        raise BehaviorError(
            f"behavior {behavior!r}: {name} holds an empty prompt; write it or take it out"
        )
    if count > 1:
        raise BehaviorError(f"behavior {behavior!r}: {name} holds {text!r} {count} times; keep one")


def _check_generic(behavior: Behavior) -> None:
    if len(behavior.generic) < N_GENERIC or len(behavior.ceiling_generic) < N_CEILING:
        found = (
            f"generic holds {len(behavior.generic) + len(behavior.ceiling_generic)} openings, needs"
            f" {N_GENERIC + N_CEILING} or more"
        )
        raise BehaviorError(f"behavior {behavior.name!r}: {found}; add some or leave the key out")


def _check_openings(behavior: str, prompt: Prompt) -> None:
    for side, openings in (
        ("target_openings", prompt.target_openings),
        ("control_openings", prompt.control_openings),
    ):
        if not openings or not all(opening.strip() for opening in openings):
            raise BehaviorError(
                f"behavior {behavior!r}: prompt {prompt.text!r} has no {side}; give one to all"
                " prompts or to this one"
            )
    shared = set(prompt.target_openings) & set(prompt.control_openings)
    if shared:
        raise BehaviorError(
            f"behavior {behavior!r}: {min(shared)!r} is a target and a control opening of"
            f" {prompt.text!r}; keep one"
        )
