"""Labelled prompts: halves of a behavior's contrast split, or a user's JSON lines."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fulcra.errors import BehaviorError, InputError
from fulcra.types import Behavior, Prompt

#: Prompts of either class that a threshold or a figure needs at least.
FEWEST = 2


@dataclass(frozen=True, slots=True)
class Labelled:
    """Prompts of two classes; `name` says exactly where they come from."""

    name: str
    texts: tuple[str, ...]
    labels: tuple[bool, ...]

    @property
    def counts(self) -> dict[str, Any]:
        """The set in a result: its name and how many prompts of either class."""
        return {
            "name": self.name,
            "positive": sum(self.labels),
            "negative": len(self.labels) - sum(self.labels),
        }


def labelled(name: str, positive: Sequence[str], negative: Sequence[str]) -> Labelled:
    """The positives, then the negatives; InputError where one class has fewer than two."""
    if min(len(positive), len(negative)) < FEWEST:
        found = f"{len(positive)} positive and {len(negative)} negative"
        raise InputError(f"{name}: {found} prompts; a detector needs {FEWEST} or more of each")
    return Labelled(
        name, (*positive, *negative), (True,) * len(positive) + (False,) * len(negative)
    )


def halves(behavior: Behavior, seed: int = 0) -> tuple[Behavior, Labelled, Labelled]:
    """(the behavior with the first halves as its contrast split, these halves labelled, the other
    halves labelled).

    Either side is shuffled by `seed` and cut in two, so whatever is chosen on the first halves
    never saw the second ones.
    """
    sides = [
        _halved(side, f"{name}-{seed}")
        for name, side in (("positive", behavior.positive), ("negative", behavior.negative))
    ]
    (seen, held), (clean, kept) = sides
    names = [
        f"the {which} half of {behavior.name}'s contrast split (seed {seed})"
        for which in ("first", "second")
    ]
    first, second = (
        labelled(names[0], _texts(seen), _texts(clean)),
        labelled(names[1], _texts(held), _texts(kept)),
    )
    return replace(behavior, positive=seen, negative=clean), first, second


def whole(behavior: Behavior) -> Labelled:
    """The whole contrast split, labelled."""
    return labelled(
        f"{behavior.name}'s contrast split", _texts(behavior.positive), _texts(behavior.negative)
    )


def read_labelled(path: Path) -> Labelled:
    """The prompts of a file of JSON lines, {"text": "...", "label": true}; BehaviorError names the
    first line that is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BehaviorError(
            f"--prompts {path}: cannot be read ({error.strerror}); check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise BehaviorError(
            f"--prompts {path}: not UTF-8 at byte {error.start}; save it as UTF-8 text"
        ) from None
    found = [_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    sides = [[text for text, label in found if label == side] for side in (True, False)]
    if shared := set(sides[0]) & set(sides[1]):
        raise BehaviorError(
            f"--prompts {path}: {min(shared)!r} is labelled true and false; keep one"
        )
    return labelled(path.name, *sides)


def _line(path: Path, number: int, line: str) -> tuple[str, bool]:
    try:
        row = json.loads(line)
        text, label = row["text"], row["label"]
    except (ValueError, TypeError, KeyError):
        text = label = None
    if not isinstance(text, str) or not text.strip() or label not in (True, False):
        raise BehaviorError(
            f'--prompts {path}: line {number} is not like {{"text": "a prompt", "label": true}};'
            " correct it"
        )
    return text, bool(label)


def _halved(prompts: Sequence[Prompt], seed: str) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...]]:
    mixed = random.Random(f"halves-{seed}").sample(prompts, len(prompts))
    return tuple(mixed[: (len(mixed) + 1) // 2]), tuple(mixed[(len(mixed) + 1) // 2 :])


def _texts(prompts: Sequence[Prompt]) -> tuple[str, ...]:
    return tuple(prompt.text for prompt in prompts)
