"""Clean and dosed texts of one prompt as they grow, then their labels and surprise."""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Literal, NamedTuple

from fulcra.engines.local import spoken
from fulcra.errors import InputError
from fulcra.playground.generation import LOOK, Stop
from fulcra.playground.window import Window
from fulcra.playground.workbench import Choice, Workbench
from fulcra.protocol.redaction import Told, told
from fulcra.protocol.subject import Subject, surprises
from fulcra.studies.steering import outcomes
from fulcra.types import Rollout, RolloutRequest, Sampling

State = Literal["waiting", "growing", "scoring", "finished", "stopped"]


class Order(NamedTuple):
    """What is to be written: a prompt, doses on the alignment axis, tokens and sampling."""

    prompt: str
    doses: tuple[float, ...]
    tokens: int
    sampling: Sampling = Sampling()


class Text(NamedTuple):
    """One text as it may be shown; `dose` is its alignment, None of the clean one.

    `surprise` is that of each token under the undosed model [nats], empty while the text grows;
    `pieces` are the tokens' texts, empty where the text is hidden. `outcome` is None where it is
    not judged.
    """

    dose: float | None
    told: Told
    tokens: int
    ended: bool
    pieces: tuple[str, ...] = ()
    surprise: tuple[float, ...] = ()
    outcome: str | None = None


class Frame(NamedTuple):
    """All texts at one moment, the clean one first.

    `level` is the surprise from which the judge of coherence counts a token; None before the texts
    are scored, and where it is another model's surprise that the judge reads.
    """

    state: State
    texts: tuple[Text, ...] = ()
    level: float | None = None


class Secrecy(NamedTuple):
    """Whether texts are hidden, and the salt of their hashes."""

    hidden: bool
    salt: str


def grow(
    bench: Workbench, choice: Choice, order: Order, secrecy: Secrecy, stop: Stop
) -> Generator[Frame]:
    """The frames of one order, a token at a time, all doses beside each other.

    Once `stop` is set the edits are gone within a token; the texts are then scored as they stand,
    unless nobody is there any more. InputError where a dose or prompt cannot be.
    """
    while not bench.lock.acquire(timeout=LOOK):
        yield Frame("waiting")
        if stop.stopped:
            return
    try:
        if stop.stopped and not stop.left:
            yield Frame("stopped")
        if stop.stopped:
            return
        yield from _grow(bench, choice, order, secrecy, stop)
    finally:
        bench.lock.release()


def _grow(
    bench: Workbench, choice: Choice, order: Order, secrecy: Secrecy, stop: Stop
) -> Generator[Frame]:
    subject, doses = bench.subject(choice.behavior), (None, *order.doses)
    requests = _requests(subject, bench.window(choice), order)
    rollouts: Sequence[Rollout] = ()
    with closing(_spoken(bench, requests)) as growing:
        for rollouts in growing:
            yield Frame("growing", _texts(subject, doses, rollouts, secrecy))
            if stop.stopped:
                break
    if stop.left:
        return
    texts = _texts(subject, doses, rollouts, secrecy)
    yield Frame("scoring", texts)
    scored = _scored(subject, order.prompt, rollouts, texts, secrecy.hidden)
    own = subject.ground.reference is subject.model
    level = subject.ground.standard.surprise_level if own else None
    yield Frame("stopped" if stop.stopped else "finished", scored, level)


def _spoken(bench: Workbench, requests: list[RolloutRequest]) -> Generator[list[Rollout]]:
    yield from spoken(bench.model, requests)


def _requests(subject: Subject, window: Window, order: Order) -> list[RolloutRequest]:
    """One request a dose, an undosed one before them."""
    if not order.prompt.strip():
        raise InputError("prompt: empty; choose one, or write your own")
    ids = subject.prompt_ids(order.prompt)
    edits = [(), *((window.edit(dose),) for dose in order.doses)]
    room = min(order.tokens, subject.model.context - len(ids))
    return [RolloutRequest(ids, each, room, order.sampling) for each in edits]


def _texts(
    subject: Subject,
    doses: Sequence[float | None],
    rollouts: Sequence[Rollout],
    secrecy: Secrecy,
) -> tuple[Text, ...]:
    """The texts as they stand, not scored yet."""
    texts = []
    for dose, rollout in zip(doses, rollouts, strict=True):
        words = told(subject.model.words(rollout.tokens), secrecy.hidden, secrecy.salt)
        texts.append(Text(dose, words, len(rollout.tokens), rollout.ended))
    return tuple(texts)


def _scored(
    subject: Subject,
    prompt: str,
    rollouts: Sequence[Rollout],
    texts: Sequence[Text],
    hidden: bool,
) -> tuple[Text, ...]:
    """The texts with their typed outcomes, and each token's surprise under the undosed model."""
    model, reference = subject.model, subject.ground.reference
    ids = subject.prompt_ids(prompt)
    pairs = [(ids, rollout.tokens) for rollout in rollouts]
    nats = surprises(model, pairs)
    judged = nats if reference is model else surprises(reference, pairs)
    labels = outcomes(subject, prompt, rollouts, judged)
    return tuple(
        text._replace(
            pieces=() if hidden else model.pieces(rollout.tokens),
            surprise=tuple(row),
            outcome=label,
        )
        for text, rollout, row, label in zip(texts, rollouts, nats, labels, strict=True)
    )
