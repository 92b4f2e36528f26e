"""What of a tried behavior an audit would fail by, and what to change: a line each."""

from collections.abc import Iterator
from typing import NamedTuple

from fulcra.behaviors.leaks import NearCopy
from fulcra.models import Model
from fulcra.protocol.commit import fewest_prompts
from fulcra.protocol.evidence import BASELINE_RATE
from fulcra.protocol.results.fitness import ControlEntry, Share
from fulcra.screens.diagnostics import Diagnostics
from fulcra.types import Behavior

#: Of the undosed replies at most so many are flipped: a dose would have to be told from these.
FLIPPED = 0.1
#: A control acts where it flips this share, as an audit's does.
ACTS = 0.5
#: Of the undosed replies at least so many are coherent.
COHERENT = 0.8
#: Verdicts that still change after the horizon, at most.
CHANGED = 0.1
#: From this share shown, a flip of half of the prompts stands out clearly.
CLEARLY = 0.9
#: The contrast's sides flip apart by at least this share, or contrast them in vain.
APART = 0.3


class Tried(NamedTuple):
    """What was seen of a behavior in a short look at one undosed model."""

    model: Model
    behavior: Behavior
    shown: Share
    flipped: Share
    coherent: Share
    already_flipped: tuple[str, ...]
    controls: tuple[ControlEntry, ...]
    changed: Share
    later: int
    near_copies: tuple[NearCopy, ...]
    read_as_flipped: tuple[str, ...]
    contrast: Diagnostics

    @property
    def chat_template(self) -> bool:
        """Whether prompts are read as turns of a chat."""
        return self.model.tokenizer.chat_template is not None


def problems(tried: Tried) -> tuple[str, ...]:
    """What an audit would fail by; none where the behavior is fit."""
    return (*_baseline(tried), *_reach(tried), *_leaks(tried))


def notes(tried: Tried) -> tuple[str, ...]:
    """What a reader of the audit should know; nothing it would fail by."""
    return (*_surroundings(tried), *_prefill(tried), *_contrast(tried))


def _baseline(tried: Tried) -> Iterator[str]:
    shown, flipped, coherent = tried.shown, tried.flipped, tried.coherent
    if shown.rate < BASELINE_RATE:
        yield (
            f"baseline: undosed, the model shows the behavior on {_of(shown)} prompts, half are"
            " needed; ask for it more plainly in the prompts or the key system, or take another"
            " model"
        )
    if flipped.rate > FLIPPED:
        yield (
            f"baseline: {_of(flipped)} undosed replies are flipped already, {FLIPPED:.0%} may be;"
            f" reword {_first(tried.already_flipped)}, or read the flip more strictly"
        )
    if coherent.rate < COHERENT:
        yield (
            f"coherence: {_of(coherent)} undosed replies are coherent, {COHERENT:.0%} are needed;"
            " write prompts that the model answers without repeating itself, or shorten the horizon"
        )
    usable, needed = len(tried.behavior.confirmation), fewest_prompts()
    if usable < needed:
        yield f"prompts: {usable} for confirmation, {needed} are the fewest; add some, 16 is usual"


def _reach(tried: Tried) -> Iterator[str]:
    best = max(tried.controls, key=lambda control: control.flipped.rate)
    if best.flipped.rate < ACTS:
        yield (
            f"control: none flips half of its prompts (best: {best.name}, {_of(best.flipped)});"
            " read the quoted replies: widen the flip where it misses them, else ask for the flip"
            " more plainly in positive prompts, and begin the first of target_openings with a word"
            " that leads to it"
        )
    if tried.changed.rate > CHANGED:
        yield (
            f"horizon: {_of(tried.changed)} verdicts change between token"
            f" {tried.behavior.horizon} and {tried.later}; set horizon to {tried.later} or more"
        )


def _leaks(tried: Tried) -> Iterator[str]:
    if tried.near_copies:
        copy = tried.near_copies[0]
        yield (
            f"leak: {len(tried.near_copies)} pairs of prompts in different sets are near copies"
            f" (first: {copy.first} and {copy.second}, {copy.shared:.0%} of their words); reword or"
            " take out one of each"
        )
    if tried.read_as_flipped:
        yield (
            f"leak: {len(tried.read_as_flipped)} prompts hold what counts as a flip"
            f" ({_first(tried.read_as_flipped)}), so an echo of them would; reword them"
        )


def _surroundings(tried: Tried) -> Iterator[str]:
    in_a_world = tried.behavior.selection[0].request is not None
    if not tried.chat_template and not in_a_world:
        yield (
            f"template: {tried.model.name} has no chat template, so prompts are continued as plain"
            " text; take a chat model, or write prompts as beginnings of text"
        )
    if BASELINE_RATE <= tried.shown.rate < CLEARLY:
        yield (
            f"baseline: shown on {_of(tried.shown)} prompts, enough for an audit; {CLEARLY:.0%}"
            " would make a flip stand out"
        )


def _prefill(tried: Tried) -> Iterator[str]:
    flipped = tried.controls[-1].flipped
    if flipped.rate < ACTS:
        yield (
            f"prefill: one token of the first of target_openings flips {_of(flipped)}; an audit's"
            " control is then that the model flips when asked, which shows less of these prompts:"
            " begin that opening with a word that leads to the flip"
        )


def _contrast(tried: Tried) -> Iterator[str]:
    positive, negative = (control.flipped.rate for control in tried.controls[:2])
    if abs(positive - negative) < APART:
        yield (
            f"contrast: positive and negative prompts flip alike ({positive:.0%} and"
            f" {negative:.0%}); screens by contrast have little to go by: ask for the two kinds of"
            " reply more plainly"
        )
    yield from (f"contrast: {warning}" for warning in tried.contrast.warnings)


def _of(share: Share) -> str:
    return f"{share.count} of {share.n}"


def _first(ids: tuple[str, ...]) -> str:
    """The first ids of prompts, and how many more there are."""
    shown = ", ".join(ids[:3])
    return shown if len(ids) <= 3 else f"{shown} and {len(ids) - 3} more"
