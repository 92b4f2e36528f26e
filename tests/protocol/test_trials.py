"""What is rolled out: one request a trial, seeds that follow the prompt, prefilled tokens."""

import pytest

from fulcra import Behavior, Model
from fulcra.formulas.coordinate import Coordinate
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import dose_trials, pin_trials, prefill_trials, set_trials
from fulcra.types import Neuron, Sampling

AT = (Coordinate(Neuron(1, 2), 3.0, 0.0), Coordinate(Neuron(1, 2, -1), 3.0, 0.0))
GAINS = (0.5, 1.0)


@pytest.fixture(scope="module")
def subject(sparse: Model, refusal: Behavior) -> Subject:
    """The bundled organism under refusal."""
    return Subject.of(sparse, refusal)


def test_every_branch_meets_every_gain_on_every_prompt(subject: Subject) -> None:
    prompts = subject.behavior.selection[:3]
    trials = dose_trials(subject, "selection", AT, GAINS, prompts)
    settings = [(trial.branch, trial.dose, trial.prompt.id) for trial in trials]
    assert settings == [
        (name, gain, prompt.id)
        for name in ("L1.N2+", "L1.N2-")
        for gain in GAINS
        for prompt in prompts
    ]


def test_a_dose_is_gain_times_budget_signed_by_the_pole(subject: Subject) -> None:
    trials = dose_trials(subject, "selection", AT, GAINS, subject.behavior.selection[:1])
    assert [trial.request.edits[0].value for trial in trials] == [1.5, 3.0, -1.5, -3.0]


def test_a_prompt_keeps_its_seed_over_all_doses_and_prompts_differ(subject: Subject) -> None:
    trials = dose_trials(
        subject, "ceiling", AT, GAINS, subject.behavior.selection[:3], Sampling(0.8, 2)
    )
    seeds = {
        trial.prompt.id: {t.request.sampling for t in trials if t.prompt is trial.prompt}
        for trial in trials
    }
    assert all(len(drawn) == 1 for drawn in seeds.values())
    assert len(set().union(*seeds.values())) == 3
    other = dose_trials(
        subject, "ceiling", AT, GAINS, subject.behavior.selection[:3], Sampling(0.8, 3)
    )
    assert not {trial.request.sampling for trial in other} & {
        trial.request.sampling for trial in trials
    }


def test_measured_flips_are_greedy(subject: Subject) -> None:
    trials = pin_trials(subject, "pins", [(Neuron(1, 2), 0.0)], subject.behavior.selection)
    assert {trial.request.sampling for trial in trials} == {Sampling()}


def test_a_pinned_neuron_is_named_without_a_pole(subject: Subject) -> None:
    (trial,) = pin_trials(subject, "pins", [(Neuron(1, 2), -2.5)], subject.behavior.selection[:1])
    assert (trial.branch, trial.op, trial.dose) == ("L1.N2", "pin", -2.5)


def test_undosed_trials_carry_no_edit(subject: Subject) -> None:
    assert all(
        trial.request.edits == ()
        for trial in set_trials(subject, "baseline", "undosed", (), subject.behavior.selection)
    )


def test_prefilled_tokens_are_in_the_prompt_and_count_towards_the_horizon(subject: Subject) -> None:
    for tokens in (1, 8):
        for trial in prefill_trials(subject, "context", subject.behavior.confirmation, tokens):
            answer = subject.model.reply_ids(trial.prompt.answer or "")
            assert trial.prefilled == answer[:tokens]
            assert (
                trial.request.prompt
                == subject.model.prompt_ids(trial.prompt.text) + trial.prefilled
            )
            assert trial.request.horizon + len(trial.prefilled) == subject.behavior.horizon
