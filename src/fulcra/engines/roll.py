"""Texts under many interventions: every edit set on every prompt, in one batched call."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import NamedTuple, TypedDict, Unpack

import pyarrow as pa

from fulcra.engines.edit import resolve
from fulcra.engines.engine import run
from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.edits import require_edits
from fulcra.types import Behavior, Edit, Edits, RolloutRequest, Sampling

#: Edit sets that a printed value shows, each by its reply to the first prompt.
SHOWN = 3
WIDTH = 40


class Drawn(TypedDict, total=False):
    """How tokens are drawn: temperature 0 is greedy, above it the seed decides."""

    temperature: float
    seed: int


class Reply(NamedTuple):
    """One generated reply: its text and token ids, end-of-sequence left out.

    `ended`: whether the end came before the horizon. `finite` is false where the model met numbers
    that are not finite; such a reply stops there and says nothing about the behavior.
    """

    text: str
    tokens: tuple[int, ...]
    ended: bool
    finite: bool


@dataclass(frozen=True, slots=True, repr=False)
class Rollouts:
    """The replies of every edit set to every prompt; `rollouts[i, j]` is that of set i to prompt j.

    The doses of `edits` are in activation units, whatever they were given in; `()` is undosed.
    """

    edits: tuple[Edits, ...]
    prompts: tuple[str, ...]
    replies: tuple[tuple[Reply, ...], ...]

    def __getitem__(self, place: tuple[int, int]) -> Reply:
        edit_set, prompt = place
        return self.replies[edit_set][prompt]

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The text of every reply, [edit set][prompt]."""
        return tuple(tuple(reply.text for reply in row) for row in self.replies)

    @property
    def tokens(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """The token ids of every reply, [edit set][prompt]."""
        return tuple(tuple(reply.tokens for reply in row) for row in self.replies)

    def table(self) -> pa.Table:
        """One row a reply, edit set by edit set: edit, prompt, text, tokens, ended."""
        replies = [reply for row in self.replies for reply in row]
        columns = {
            "edit": [label(edits) for edits in self.edits for _ in self.prompts],
            "prompt": list(self.prompts) * len(self.edits),
            "text": [reply.text for reply in replies],
            "tokens": pa.array([reply.tokens for reply in replies], pa.list_(pa.int64())),
            "ended": [reply.ended for reply in replies],
        }
        return pa.table(columns)

    def __repr__(self) -> str:
        replies = [reply for row in self.replies for reply in row]
        ended, broken = sum(r.ended for r in replies), sum(not r.finite for r in replies)
        size = f"edit sets {len(self.edits)}, prompts {len(self.prompts)}, ended {ended}"
        lines = [f"Rollouts({size}, not finite {broken})" if broken else f"Rollouts({size})"]
        for edits, row in zip(self.edits[:SHOWN], self.replies, strict=False):
            name, reply = _short(label(edits)), _short(row[0].text)
            lines.append(f"  {name}: {_short(self.prompts[0])!r} -> {reply!r}")
        if len(self.edits) > SHOWN:
            lines.append(f"  and {len(self.edits) - SHOWN} more edit sets")
        return "\n".join(lines)


def label(edits: Edits) -> str:
    """The printed name of an edit set, "no edit" where it is empty."""
    return ", ".join(map(str, edits)) or "no edit"


def _short(text: str) -> str:
    return shorten(text, WIDTH, placeholder="...")


def roll(
    model: Model,
    prompts: Sequence[str],
    edits: Sequence[Edit | Edits] = (),
    horizon: int = 32,
    *,
    behavior: Behavior | None = None,
    **drawn: Unpack[Drawn],
) -> Rollouts:
    """The replies to every prompt under every edit set, at most `horizon` tokens each.

    prompts: user turns, rendered with the model's chat template. edits: each an Edit or a tuple of
    Edits that act together, gains allowed; `()` among them is the undosed run, which is all that
    runs where `edits` is empty. behavior: its system prompt stands before every prompt, and gains
    are budgets on its generic text, as in its audits; without one there is no system prompt, and
    gains are budgets on the bundled openings. temperature=0 is greedy, the default; above it prompt
    j draws from a seed of its own, made of seed=0, the same under every edit set, so a prompt given
    twice is sampled twice.

    Cost: one row a reply; what rows share below their edits is computed once. The first gain of a
    model and behavior costs 32 rollouts more, for its budgets. InputError for an empty or unusable
    request.

    Example: `roll(model, texts, [(), add(neuron, gain=0.4), add(neuron, gain=0.8)]).texts`
    """
    _require_prompts(prompts)
    _require_horizon(horizon)
    sampling = _sampling(**drawn)
    edit_sets = _edit_sets(model, edits, behavior)
    system = None if behavior is None else behavior.system
    ids = [model.prompt_ids(text, system) for text in prompts]
    samplings = [sampling.of_row(j) for j in range(len(ids))]
    requests = [
        RolloutRequest(prompt, edit_set, horizon, sampling)
        for edit_set in edit_sets
        for prompt, sampling in zip(ids, samplings, strict=True)
    ]
    replies = [
        Reply(model.words(rollout.tokens), rollout.tokens, rollout.ended, rollout.finite)
        for rollout in run(model, requests)
    ]
    count = len(ids)
    rows = [replies[start : start + count] for start in range(0, len(replies), count)]
    return Rollouts(edit_sets, tuple(prompts), tuple(map(tuple, rows)))


def _require_prompts(prompts: Sequence[str]) -> None:
    if isinstance(prompts, str):
        raise InputError("roll(): prompts is one text; give a list of texts")
    if not prompts:
        raise InputError("roll(): prompts is empty; give a list of texts")
    if strangers := [item for item in prompts if not isinstance(item, str)]:
        raise InputError(f"roll(): prompts holds a {type(strangers[0]).__name__}; give texts")


def _require_horizon(horizon: int) -> None:
    if horizon < 1:
        raise InputError(f"roll(): horizon is {horizon}; give at least 1 token")


def _sampling(temperature: float = 0.0, seed: int = 0) -> Sampling:
    """The sampling that is asked for; InputError for what is none."""
    if not (math.isfinite(temperature) and temperature >= 0):
        raise InputError(f"roll(): temperature is {temperature}; give 0 (greedy) or more")
    if seed < 0:
        raise InputError(f"roll(): seed is {seed}; give 0 or more")
    return Sampling(temperature, seed)


def _edit_sets(
    model: Model, edits: Sequence[Edit | Edits], behavior: Behavior | None
) -> tuple[Edits, ...]:
    """The edit sets with their doses in activation units; InputError for what this model has not.

    All are looked at before the first budget is measured.
    """
    if isinstance(edits, Edit):
        raise InputError(f"roll(): edits is one edit, {edits}; give a list of edits or edit sets")
    edit_sets = [item if isinstance(item, tuple) else (item,) for item in edits] or [()]
    strangers = [item for edit_set in edit_sets for item in edit_set if not isinstance(item, Edit)]
    if strangers:
        raise InputError(
            f"roll(): an edit set holds {type(strangers[0]).__name__} {strangers[0]}; give edits,"
            " as add(neuron, gain=0.5)"
        )
    for edit_set in edit_sets:
        require_edits(model, edit_set)
    return tuple(
        tuple(resolve(model, edit, behavior) for edit in edit_set) for edit_set in edit_sets
    )
