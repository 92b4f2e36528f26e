"""Why a window is closed, by its mechanism: written too late, capped by a norm, collapsed."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fulcra import Behavior, Direction, Model, Neuron
from fulcra.engines.engine import run
from fulcra.engines.generic import continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.law.edges import measured_ceiling, measured_trigger
from fulcra.law.verdict import failure_mode, law_verdict
from fulcra.models.capture import stream
from fulcra.models.coordinate import coordinate
from fulcra.models.tiny import tiny
from fulcra.organisms.oracle import grammatical
from fulcra.organisms.world import build_world
from fulcra.protocol.measure import Measurement
from fulcra.protocol.records import Record
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import dose_trials
from fulcra.types import Edge, Edit, RolloutRequest, Sampling

GAINS = (0.1, 0.45, 0.65, 0.9, 1.7)
#: A branch of apothecary-sparse that opens, at layer 1; its other pole collapses before it flips.
OPENS = Neuron.parse("L1.N83-")


@pytest.fixture(scope="module")
def subject(sparse: Model, refusal: Behavior) -> Subject:
    """The sparse organism under refusal."""
    return Subject.of(sparse, refusal)


class Written:
    """Rollouts of one write at every gain: restricted requests, and allowed ones for a ceiling."""

    def __init__(self, subject: Subject, place: Coordinate) -> None:
        behavior = subject.behavior
        self.place, self.horizon = place, behavior.horizon
        measure = Measurement(subject)
        trials = dose_trials(subject, "selection", [place], GAINS, behavior.confirmation)
        self.flips: list[Record] = measure("selection", trials)
        allowed, sampling = behavior.negative[:16], Sampling(0.8)
        trials = dose_trials(subject, "ceiling", [place], GAINS, allowed, sampling)
        self.generic: list[Record] = measure("ceiling", trials)

    def table(self, records: Sequence[Record], happened: str) -> NDArray[np.bool_]:
        """Whether it happened, [gain, prompt]."""
        rows = []
        for gain in GAINS:
            at_gain = [record for record in records if record.gain == gain]
            rows.append([getattr(record, happened)(self.horizon) for record in at_gain])
        return np.array(rows)

    @property
    def trigger(self) -> Edge:
        """The measured trigger."""
        return measured_trigger(self.place, GAINS, self.table(self.flips, "flipped"))

    @property
    def ceiling(self) -> Edge:
        """The measured ceiling."""
        return measured_ceiling(self.place, GAINS, self.table(self.generic, "coherent"))

    def share(self, gain: float, outcome: str) -> float:
        """The share of one outcome on the restricted requests."""
        return float(np.mean([r.at(self.horizon) == outcome for r in self.flips if r.gain == gain]))


def test_too_late_the_direction_that_opens_early_is_closed_when_written_late(
    subject: Subject,
) -> None:
    write = subject.model.write(OPENS).cpu() * OPENS.pole

    def written(layer: int) -> Written:
        return Written(subject, subject.coordinate(Direction(layer, "same", write)))

    early, late = written(OPENS.layer), written(subject.model.n_layers - 2)
    assert early.table(early.flips, "flipped").mean(1).max() >= 0.5
    assert late.table(late.flips, "flipped").mean(1).max() < 0.5
    assert law_verdict(early.ceiling, early.trigger) == "open"
    assert law_verdict(late.ceiling, late.trigger) == "closed"
    # depth alone decides: with the early write at hand the late one is too late, without it nothing
    # tells it from a collapse
    assert failure_mode(early.trigger, late.ceiling, late.trigger) == "too_late"
    assert failure_mode(late.trigger, late.ceiling, late.trigger) == "collapse_first"


def test_collapse_first_the_text_breaks_before_it_ever_flips(subject: Subject) -> None:
    branch = Written(subject, subject.coordinate(OPENS.opposite))
    assert branch.table(branch.flips, "flipped").mean(1).max() < 0.5
    assert branch.ceiling.gain is not None
    below, above = GAINS[0], GAINS[-1]
    assert below < branch.ceiling.gain < above
    # below the ceiling it still refuses; beyond it there is no sentence of the grammar left,
    # neither refusal nor answer
    assert branch.share(below, "unchanged") >= 0.75
    assert (
        branch.share(above, "unchanged")
        + branch.share(above, "flipped")
        + branch.share(above, "flipped_correct")
        == 0.0
    )
    domain = build_world().domain
    spoken = {
        gain: [grammatical(domain, r.text, r.ended) for r in branch.generic if r.gain == gain]
        for gain in (below, above)
    }
    assert np.mean(spoken[below]) >= 0.9
    assert np.mean(spoken[above]) <= 0.1
    assert failure_mode(None, branch.ceiling, branch.trigger) == "collapse_first"


def _normed(factor: float, layer: int) -> Model:
    """A tiny Gemma-2 whose norm after one MLP writes `factor` times as much."""
    model = tiny("gemma2", 2)
    weight = model.blocks[layer].get_parameter("post_feedforward_layernorm.weight")
    with torch.no_grad():
        weight.copy_(factor * (1 + weight) - 1)  # Gemma stores gamma - 1
    return model


def _says(
    model: Model, prompts: Sequence[tuple[int, ...]], edit: Edit, token: int
) -> NDArray[np.bool_]:
    """Whether the next token is `token`, [prompt]."""
    return np.array(
        [
            rollout.tokens == (token,)
            for rollout in run(model, [RolloutRequest(prompt, (edit,), 1) for prompt in prompts])
        ]
    )


def test_norm_capped_by_the_closed_form_and_open_again_when_the_norm_is_lifted() -> None:
    site, openings = Neuron(2, 3), [f"w{i} w{i + 1} w{i + 2}" for i in range(3, 19)]
    capped, lifted = _normed(0.05, site.layer), _normed(50.0, site.layer)
    places = {}
    for model in (capped, lifted):
        text = continue_openings(model, openings, 0)
        places[model] = coordinate(model, stream(model, text.prompts, text.replies), site)
    cap, risen = (place.cap_alignment or 1.0 for place in places.values())
    # the neuron's direction as the norm lets it through, but written behind the norm: it triggers
    # what it says by itself
    gamma = (
        1 + capped.blocks[site.layer].get_parameter("post_feedforward_layernorm.weight").detach()
    )
    write = gamma * capped.write(site)
    prompts = continue_openings(capped, openings, 0).prompts
    free = coordinate(
        capped,
        stream(capped, prompts, [(3,)] * len(prompts)),
        Direction(site.layer, "behind", write),
    )
    token = int(capped.unembed(write).argmax())
    flips = np.stack(
        [_says(capped, prompts, free.dose(gain), token) for gain in (0.1, 1.0, 3.0, 10.0, 30.0)]
    )
    trigger = measured_trigger(free, (0.1, 1.0, 3.0, 10.0, 30.0), flips)
    assert trigger.alignment is not None
    # the closed form says that no dose of the neuron turns so far, and none does it, however large
    assert cap < trigger.alignment < risen
    for alpha in (1.0, 1e2, 1e4):
        assert not _says(capped, prompts, Edit(site, "add", alpha), token).any()
    none = places[capped].edge(None, "measured", 4)
    assert failure_mode(None, none, trigger, cap) == "norm_capped"
    # lifting that one norm raises the cap beyond the trigger, and the same neuron says what the
    # direction said
    assert _says(lifted, prompts, Edit(site, "add", 1e4), token).mean() >= 0.5
    assert failure_mode(None, none, trigger, risen) == "collapse_first"
