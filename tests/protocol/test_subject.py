"""A subject: clean facts computed once, its horizon in the model's tokens, its ground shared."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from fulcra import Behavior, Model, load, load_behavior
from fulcra.protocol import subject as subject_module
from fulcra.protocol.attacks import attack_trials, direction_trials
from fulcra.protocol.draw import both_poles
from fulcra.protocol.stages import baseline_trials, control_trials, dosed_stages
from fulcra.protocol.subject import Subject, in_tokens_of
from fulcra.screens.directions import difference_directions
from fulcra.types import Neuron

FACTS = ("openings", "contrast", "gaps", "universal", "circuit", "extent")


@pytest.fixture(scope="module")
def subject(sparse: Model, refusal: Behavior) -> Subject:
    """The sparse organism under refusal."""
    return Subject.of(sparse, refusal)


@pytest.mark.parametrize("model", ["apothecary-helpful", "apothecary-sparse", "apothecary-dense"])
@pytest.mark.parametrize("behavior", ["refusal", "language-fr", "agreement", "concept"])
def test_a_true_answer_is_judged_coherent_95_percent_of_the_time(model: str, behavior: str) -> None:
    share = Subject.of(load(model), load_behavior(behavior)).true_answers_coherent()
    assert share is not None
    assert share >= 0.95


def test_a_subject_and_its_ground_show_themselves_in_a_line(subject: Subject) -> None:
    name, horizon = subject.model.name, subject.behavior.horizon
    assert repr(subject) == f"<Subject {name} under refusal, horizon {horizon}, seed 0>"
    assert repr(subject.ground) == (
        f"<Ground of {name}: 32 generic texts, coherence by apothecary-helpful>"
    )


def test_without_a_true_answer_no_share_is_given(subject: Subject) -> None:
    silent = tuple(replace(prompt, answer=None) for prompt in subject.behavior.confirmation)
    task = replace(subject.behavior, confirmation=silent)
    assert Subject(subject.ground, task).true_answers_coherent() is None


def counting(
    calls: Counter[str], name: str, function: Callable[..., object]
) -> Callable[..., object]:
    """The function, counted under its name."""

    def counted(*arguments: object) -> object:
        calls[name] += 1
        return function(*arguments)

    return counted


def test_a_clean_fact_is_computed_once_and_only_when_it_is_asked_for(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    for name in ("contrast_of", "by_contrast", "universal", "contrast_extent"):
        counted = counting(calls, name, getattr(subject_module, name))
        monkeypatch.setattr(subject_module, name, counted)
    fresh = Subject(subject.ground, subject.behavior)
    assert not calls
    for fact in FACTS:
        assert getattr(fresh, fact) is getattr(fresh, fact)
    assert set(calls.values()) == {1}
    assert len(calls) == 4


def test_the_circuit_leaves_universal_neurons_out(subject: Subject) -> None:
    first, fresh = subject.circuit.branches[0], Subject(subject.ground, subject.behavior)
    vars(fresh)["universal"] = (first,)
    assert fresh.circuit.branches == subject.circuit.branches[1:]


def test_the_horizon_counts_the_models_own_tokens(sparse: Model, refusal: Behavior) -> None:
    longest = max(len(sparse.reply_ids(reply)) for reply in refusal.replies)
    subject = Subject.of(sparse, replace(refusal, horizon=3))
    assert subject.behavior.horizon == longest + 2 == subject.horizons[-1]
    assert subject.horizons == (8, 32, longest + 2)
    assert Subject.of(sparse, subject.behavior).behavior == subject.behavior


def test_two_behaviors_share_a_ground(subject: Subject) -> None:
    french = replace(load_behavior("language-fr"), reference=subject.behavior.reference)
    other = in_tokens_of(subject.model, french)
    assert other.generic == subject.behavior.generic
    shared, alone = Subject(subject.ground, other), Subject.of(subject.model, other)
    assert shared.ground is subject.ground
    assert shared.ground.standard == alone.ground.standard
    assert shared.ground.text.replies == alone.ground.text.replies
    assert (shared.gaps == alone.gaps).all()
    assert not (shared.gaps == subject.gaps).all()
    branch = Neuron(3, 7, -1)
    assert shared.coordinate(branch) == subject.coordinate(branch) == alone.coordinate(branch)


def test_without_openings_there_is_none_to_forecast_with(subject: Subject) -> None:
    bare = tuple(
        replace(prompt, target_openings=(), control_openings=())
        for prompt in subject.behavior.selection
    )
    assert Subject(subject.ground, replace(subject.behavior, selection=bare)).openings is None
    assert subject.openings is not None


def test_the_trials_of_an_audit_render_every_prompt_once(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Subject(subject.ground, subject.behavior)
    directions = difference_directions(fresh.model, fresh.behavior)
    branches = both_poles(fresh.ground, [Neuron(3, 7), Neuron(5, 1), Neuron(7, 2)])
    _ = fresh.circuit, fresh.extent, fresh.openings
    rendered: Counter[str] = Counter()
    prompt_ids = Model.prompt_ids

    def counted(model: Model, text: str, system: str | None = None) -> tuple[int, ...]:
        rendered[text] += 1
        return prompt_ids(model, text, system)

    monkeypatch.setattr(Model, "prompt_ids", counted)
    trials = baseline_trials(fresh) + control_trials(fresh, branches, (0.3, 0.6))
    for stage in dosed_stages(fresh, branches, (0.3, 0.6)).values():
        trials += stage
    trials += attack_trials(fresh, directions) + direction_trials(fresh, directions[0])
    fresh.true_answers_coherent()
    assert set(rendered) == {trial.prompt.text for trial in trials}
    assert set(rendered.values()) == {1}
    assert len(trials) > 10 * len(rendered)
