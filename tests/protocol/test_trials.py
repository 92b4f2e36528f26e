"""What is rolled out: one request a trial, seeds that follow the prompt, prefilled tokens that
count.
"""

from fulcra import Behavior, Model
from fulcra.formulas.coordinate import Coordinate
from fulcra.protocol import dose_trials, pin_trials, prefill_trials, set_trials
from fulcra.types import Neuron, Sampling

AT = (Coordinate(Neuron(1, 2), 3.0, 0.0), Coordinate(Neuron(1, 2, -1), 3.0, 0.0))
GAINS = (0.5, 1.0)


def test_every_branch_meets_every_gain_on_every_prompt(sparse: Model, refusal: Behavior) -> None:
    prompts = refusal.selection[:3]
    trials = dose_trials(sparse, refusal, "selection", AT, GAINS, prompts)
    settings = [(trial.branch, trial.dose, trial.prompt.id) for trial in trials]
    assert settings == [
        (name, gain, prompt.id)
        for name in ("L1.N2+", "L1.N2-")
        for gain in GAINS
        for prompt in prompts
    ]


def test_a_dose_is_gain_times_budget_signed_by_the_pole(sparse: Model, refusal: Behavior) -> None:
    trials = dose_trials(sparse, refusal, "selection", AT, GAINS, refusal.selection[:1])
    assert [trial.request.edits[0].value for trial in trials] == [1.5, 3.0, -1.5, -3.0]


def test_a_prompt_keeps_its_seed_over_all_doses_and_prompts_differ(
    sparse: Model, refusal: Behavior
) -> None:
    trials = dose_trials(
        sparse, refusal, "ceiling", AT, GAINS, refusal.selection[:3], temperature=0.8, seed=2
    )
    seeds = {
        trial.prompt.id: {t.request.sampling for t in trials if t.prompt is trial.prompt}
        for trial in trials
    }
    assert all(len(found) == 1 for found in seeds.values())
    assert len(set().union(*seeds.values())) == 3
    other = dose_trials(
        sparse, refusal, "ceiling", AT, GAINS, refusal.selection[:3], temperature=0.8, seed=3
    )
    assert not {trial.request.sampling for trial in other} & {
        trial.request.sampling for trial in trials
    }


def test_measured_flips_are_greedy(sparse: Model, refusal: Behavior) -> None:
    trials = pin_trials(sparse, refusal, "pins", [(Neuron(1, 2), 0.0)], refusal.selection)
    assert {trial.request.sampling for trial in trials} == {Sampling()}


def test_a_pinned_neuron_is_named_without_a_pole(sparse: Model, refusal: Behavior) -> None:
    (trial,) = pin_trials(sparse, refusal, "pins", [(Neuron(1, 2), -2.5)], refusal.selection[:1])
    assert (trial.branch, trial.op, trial.dose) == ("L1.N2", "pin", -2.5)


def test_undosed_trials_carry_no_edit(sparse: Model, refusal: Behavior) -> None:
    assert all(
        trial.request.edits == ()
        for trial in set_trials(sparse, refusal, "baseline", "undosed", (), refusal.selection)
    )


def test_prefilled_tokens_are_in_the_prompt_and_count_towards_the_horizon(
    sparse: Model, refusal: Behavior
) -> None:
    for tokens in (1, 8):
        for trial in prefill_trials(sparse, refusal, "context", refusal.confirmation, tokens):
            answer = sparse.reply_ids(trial.prompt.answer or "")
            assert trial.prefilled == answer[:tokens]
            assert trial.request.prompt == sparse.prompt_ids(trial.prompt.text) + trial.prefilled
            assert trial.request.horizon + len(trial.prefilled) == refusal.horizon
