"""Labelled prompts: halves of a behavior's contrast split, or a user's JSON lines."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from fulcra.documents import DocumentError, read_json, read_text
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
    def counts(self) -> dict[str, str | int]:
        """The set in a result: its name and how many prompts of either class."""
        return {
            "name": self.name,
            "positive": sum(self.labels),
            "negative": len(self.labels) - sum(self.labels),
        }


def labelled(name: str, positive: Sequence[str], negative: Sequence[str]) -> Labelled:
    """The positives, then the negatives; InputError where one class has fewer than two."""
    if min(len(positive), len(negative)) < FEWEST:
        raise InputError(
            f"{name}: {len(positive)} positive and {len(negative)} negative prompts; a detector"
            f" needs {FEWEST} or more of each"
        )
    labels = (True,) * len(positive) + (False,) * len(negative)
    return Labelled(name, (*positive, *negative), labels)


class Halves(NamedTuple):
    """A behavior whose contrast split is cut in two.

    `behavior` has the first halves as its contrast, `first` is these labelled, `second` the others.
    """

    behavior: Behavior
    first: Labelled
    second: Labelled


def halves(behavior: Behavior, seed: int = 0) -> Halves:
    """The halves of the contrast split, either side shuffled by `seed` and cut in two.

    So whatever is chosen on the first halves never saw the second ones.
    """
    positive, other_positive = _halved(behavior.positive, f"positive-{seed}")
    negative, other_negative = _halved(behavior.negative, f"negative-{seed}")
    name = f"half of {behavior.name}'s contrast split (seed {seed})"
    return Halves(
        replace(behavior, positive=positive, negative=negative),
        labelled(f"the first {name}", _texts(positive), _texts(negative)),
        labelled(f"the second {name}", _texts(other_positive), _texts(other_negative)),
    )


def whole(behavior: Behavior) -> Labelled:
    """The whole contrast split, labelled."""
    return labelled(
        f"{behavior.name}'s contrast split", _texts(behavior.positive), _texts(behavior.negative)
    )


def read_labelled(path: Path) -> Labelled:
    """The prompts of a file of JSON lines, {"text": "...", "label": true}.

    BehaviorError names the first line that is none.
    """
    try:
        lines = read_text(path).splitlines()
    except DocumentError as error:
        raise BehaviorError(f"--prompts {path}: {error}") from None
    except OSError as error:
        raise BehaviorError(
            f"--prompts {path}: cannot be read ({error.strerror}); check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise BehaviorError(
            f"--prompts {path}: not UTF-8 at byte {error.start}; save it as UTF-8 text"
        ) from None
    pairs = [_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    positive = [text for text, label in pairs if label]
    negative = [text for text, label in pairs if not label]
    if shared := set(positive) & set(negative):
        raise BehaviorError(
            f"--prompts {path}: {min(shared)!r} is labelled true and false; keep one"
        )
    return labelled(path.name, positive, negative)


def _line(path: Path, number: int, line: str) -> tuple[str, bool]:
    try:
        row = read_json(line)
    except ValueError:
        row = None
    text, label = (row.get("text"), row.get("label")) if isinstance(row, dict) else (None, None)
    if not isinstance(text, str) or not text.strip() or label not in (True, False):
        raise BehaviorError(
            f'--prompts {path}: line {number} is not like {{"text": "a prompt", "label": true}};'
            " correct it"
        )
    return text, bool(label)


def _halved(prompts: Sequence[Prompt], seed: str) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...]]:
    mixed = random.Random(f"halves-{seed}").sample(prompts, len(prompts))
    middle = (len(mixed) + 1) // 2
    return tuple(mixed[:middle]), tuple(mixed[middle:])


def _texts(prompts: Sequence[Prompt]) -> tuple[str, ...]:
    return tuple(prompt.text for prompt in prompts)
