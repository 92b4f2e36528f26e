"""Doses that a monitor is tried with, whole, spread and partial, and the kinds of requests."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fulcra import Behavior, Model, Neuron, load_behavior
from fulcra.behaviors.generic import OPENINGS
from fulcra.behaviors.oracles_text import PatternFlip
from fulcra.defence.monitor import dose_trials
from fulcra.defence.monitor.attacks import Attacked, Doser, attacked, opened_in
from fulcra.defence.monitor.calibration import Calibration
from fulcra.defence.monitor.dose_trials import dosed_rungs, partial_doses, pooled, spread_doses
from fulcra.defence.monitor.kinds import kinds_for
from fulcra.defence.monitor.statistics import Scores, scores
from fulcra.defence.monitor.traffic import (
    Clean,
    Openings,
    Traffic,
    read_windows,
    rolled_windows,
)
from fulcra.defence.monitor.tried import TrialSettings, Tried
from fulcra.errors import InputError
from fulcra.models.applying import applied_rows
from fulcra.models.capture import stream
from fulcra.models.partial_doses import partly_dosed
from fulcra.models.tiny import tiny
from fulcra.protocol.progress import Clock, Silent
from fulcra.screens.candidates import movable

DOSED = Neuron("L3.N158+")


@pytest.fixture(scope="module")
def capped() -> Doser:
    """The doser of a model whose norms after the MLPs cap every dose below gain 1."""
    return doser_of(tiny("gemma2"))


def doser_of(model: Model) -> Doser:
    tokens = [tuple(range(i, i + 12)) for i in range(3, 11)]
    return Doser(model, stream(model, [text[:4] for text in tokens], [t[4:] for t in tokens]))


def trial_of(doser: Doser, calibration: Calibration, gains: tuple[float, ...]) -> Tried:
    targets = tuple(Attacked(doser.model.neuron(1, slot, 1), "random") for slot in (0, 1))
    settings = TrialSettings(gains=gains)
    return Tried(doser, calibration, Traffic(()), targets, settings, Clock(Silent()))


def test_a_dose_spread_over_neurons_or_given_on_half_of_the_positions_is_noticed(
    sparse: Model, calibration: Calibration, traffic: Traffic, doser: Doser
) -> None:
    clean = rolled_windows(sparse, traffic, 3, 5)
    half = partly_dosed(sparse, DOSED, doser.alpha(DOSED, 0.3), 0.5)
    edits = doser.spread(DOSED, 0.3, 4)
    assert edits is not None
    spread = applied_rows(sparse, edits, every_row=True)
    threshold = calibration.header.threshold
    for dosed, statistic in ((half, "dose"), (spread, "shift")):
        held = scores(sparse, calibration.norms, read_windows(sparse, clean.pairs, dosed))
        column = held.column(statistic)  # type: ignore[arg-type]
        assert float(column.min()) > threshold(statistic).value


def _cosines(writes: torch.Tensor) -> torch.Tensor:
    units = torch.nn.functional.normalize(writes, dim=-1)
    return units @ units.T


def test_a_dose_that_no_target_can_have_has_no_entry(
    capped: Doser, calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = trial_of(capped, calibration, gains=(1.0, 4.0))
    rungs = dosed_rungs(tried)
    assert rungs == {1.0: [None, None], 4.0: [None, None]}
    assert pooled(tried, rungs) == ()
    monkeypatch.setattr(dose_trials, "ADAPTIVE", 4.0)
    assert partial_doses(tried, Clean(torch.zeros(0), [])) == ()
    assert spread_doses(tried) == ()


def test_a_spread_dose_is_of_neurons_that_write_unlike_each_other(doser: Doser) -> None:
    model = doser.model
    for layers in ([DOSED.layer], range(model.n_layers)):
        chosen = doser.unlike(DOSED, 8, layers)
        assert (chosen[0], len(set(chosen)), {each.layer for each in chosen} <= set(layers)) == (
            (DOSED, 8, True)
        )
        assert chosen == doser.unlike(DOSED, 8, layers)
        assert chosen[:4] == doser.unlike(DOSED, 4, layers)
        writes = torch.stack([model.write(each) * each.pole for each in chosen])
        cosines = _cosines(writes)
        assert float((cosines - torch.eye(8)).abs().max()) < 0.1
        assert bool((cosines[0] >= 0).all())
        # what moves is as long as the dose of one: neither longer nor shorter
        units = torch.nn.functional.normalize(writes, dim=-1)
        assert float(units.sum(0).norm() / 8**0.5) == pytest.approx(1, abs=0.1)


def test_no_neuron_that_moves_nothing_shares_a_dose() -> None:
    doser = doser_of(tiny("llama"))
    model = doser.model
    with torch.no_grad():
        model.down(1).weight[:, 3:] = 0
    first = model.neuron(1, 0, 1)
    assert {each.index for each in doser.unlike(first, 8, [1])} == {0, 1, 2}
    assert doser.spread(first, 0.2, 8) is None
    assert len(doser.spread(first, 0.2, 8, range(model.n_layers)) or ()) == 8


def test_drawn_neurons_move_the_stream_and_none_comes_twice() -> None:
    doser = doser_of(tiny("mixtral"))
    assert doser.clean.routing is not None
    doser.clean.routing.share[:, 1:] = 0
    dead, opened = Neuron(1, 2, expert=1), Neuron(1, 2, -1, expert=0)
    opening = (Attacked(dead, "audit", 0.2), Attacked(opened, "audit", 0.3))
    most = len(movable(doser.model, doser.clean))
    chosen = attacked(doser, opening, most, 5)
    assert chosen == attacked(doser, opening, most, 5)
    assert chosen[0] == opening[1]
    assert {each.neuron.expert for each in chosen} == {0}
    assert len({each.neuron.site for each in chosen}) == len(chosen) == most
    assert all(doser.dose(each.neuron, 0.1) is not None for each in chosen)
    with pytest.raises(InputError, match=rf"{most + 1} neurons to dose, and .* has {most} whose"):
        attacked(doser, opening, most + 1, 5)


def test_an_audit_of_another_behavior_is_refused(sparse: Model) -> None:
    run = Path(__file__).parents[2] / "docs" / "evidence" / "audit-sparse"
    capitals = load_behavior("capitals")
    with pytest.raises(InputError, match="an audit of the behavior refusal, and --behavior is cap"):
        opened_in(sparse, run, capitals)
    assert opened_in(sparse, run, load_behavior("refusal")) == opened_in(sparse, run) != ()


def test_a_spread_dose_is_whole_or_there_is_none(capped: Doser) -> None:
    # of the first some of the neurons that write unlike it reach their part, of the second all
    capped_part, whole = (capped.model.neuron(0, slot, 1) for slot in (4, 1))
    assert capped.spread(capped_part, 1.2, 8) is None
    assert len(capped.spread(whole, 1.2, 8) or ()) == 8
    assert capped.spread(whole, 4.0, 8) is None


def test_a_gain_is_of_the_targets_that_reach_it(capped: Doser, calibration: Calibration) -> None:
    tried = trial_of(capped, calibration, gains=(0.2, 4.0))
    ones = torch.ones(3, dtype=torch.int)
    held = Scores(torch.full((3, 3), torch.inf), ones, 0 * ones, ones)
    (entry,) = pooled(tried, {0.2: [held, None], 4.0: [None, None]})
    assert (entry.gain, entry.alarms.dose.n, entry.alarms.dose.rate, entry.named.rate) == (
        (0.2, 3, 1.0, 1.0)
    )


def test_a_dose_on_a_share_of_positions_is_given_on_that_share() -> None:
    model = tiny("llama")
    ids, seen = torch.randint(3, 90, (4, 100), generator=torch.Generator().manual_seed(0)), []

    def read(module: object, args: tuple[torch.Tensor, ...]) -> None:
        seen.append(args[0][..., 5].clone())

    with torch.no_grad():
        for share in (0.0, 0.25, 1.0):
            with partly_dosed(model, Neuron(1, 5), 2.0, share):
                handle = model.down(1).register_forward_pre_hook(read)
                model.hf(ids)
                handle.remove()
    whole = (seen[2] - seen[0]).round()
    assert bool((whole == 2).all())
    assert (seen[1] - seen[0]).round().mean() / 2 == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("world", ["apothecary", "harbor", "potter-w1"])
def test_the_other_kinds_are_of_the_behaviors_world_whatever_a_model_is_called(world: str) -> None:
    own = load_behavior("refusal", world)
    kinds = dict(kinds_for(own))
    spoken = {"language-fr", "language-en"} if world == "apothecary" else set()
    tasks = {"operator", "framing", "capitals", "agreement", "concept"}
    assert set(kinds) == tasks | spoken
    capitals = load_behavior("capitals", world)
    assert kinds["capitals"].openings[0] == capitals.positive[0].text


def test_no_opening_of_the_calibration_is_among_the_other_kinds(refusal: Behavior) -> None:
    own = replace(refusal, name="mine", generic=OPENINGS, oracle=PatternFlip("yes"))
    openings = Openings.of(own)
    part = {*openings.fit, *openings.threshold}
    whole, others = dict(kinds_for(own)), dict(kinds_for(own, part))
    assert part & {text for traffic in whole.values() for text in traffic.openings}
    assert not part & {text for traffic in others.values() for text in traffic.openings}
    assert "generic" not in dict(kinds_for(own, OPENINGS))
    world = dict(kinds_for(refusal))
    (text, *rest) = world["operator"].openings
    assert dict(kinds_for(refusal, {text}))["operator"].openings == tuple(rest)
