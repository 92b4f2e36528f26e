"""Figures from records alone: leaking prompts left out, controls compared, edges and reasons."""

from collections.abc import Iterable

import pytest

from fulcra.protocol.evidence import figures, positive_control
from fulcra.protocol.records import Record
from fulcra.protocol.results.audit import Branch, Figures, Predicted
from fulcra.protocol.results.commitment import BranchEntry, Commitment, PlanEntry
from fulcra.protocol.results.summary import Attack, BranchSource
from fulcra.protocol.staged import Evidence

GAINS = (0.3, 0.6)
PROMPTS = tuple(f"confirmation-{i}" for i in range(16))


def record(stage: str, branch: str, dose: float, prompt: str, outcome: str) -> Record:
    return Record(
        stage, branch, "add", dose, prompt, (8,), (outcome,), 8, True, 1.0, 0.0, None, "", ""
    )


def stage(
    name: str, branch: str, outcomes: dict[float, str], prompts: Iterable[str] = PROMPTS
) -> list[Record]:
    return [
        record(name, branch, gain, prompt, outcome)
        for gain, outcome in outcomes.items()
        for prompt in prompts
    ]


def branch(name: str, source: BranchSource = "screen") -> BranchEntry:
    edge = Predicted(gain=0.5, alignment=0.4, method="ladder", tier=2, censored=False)
    return BranchEntry(
        branch=name,
        source=source,
        budget=2.0,
        alignment0=0.0,
        activation_gap=0.1,
        ceiling_predicted=edge,
        trigger_predicted=edge,
        predicted_verdict="closed",
    )


PLAN = PlanEntry(
    command="audit",
    model="made-up",
    model_sha256="0",
    dtype="float32",
    behavior="made-up",
    behavior_sha256="0",
    settings={},
    code="0",
    gains=GAINS,
    horizons=(8,),
    coherence={},
    reference="made-up",
    generic_sha256="0",
    ceiling_temperature=0.8,
    pin_multiples=(0.0,),
    analysis="",
    log_odds_margin=7.0,
    true_answers_coherent=1.0,
)
CONTENT = Commitment(
    plan=PLAN,
    branches=(branch("L5.N1+"), branch("L5.N2+", "random")),
    controls=("L5.N3-", "L1.random0"),
)
LAST = "prefill_8"
SHUT, FLIP, LOST = "unchanged", "flipped", "collapse"


def run(leaking: Iterable[str] = (), earlier: str = SHUT, control: str = SHUT) -> list[Record]:
    """A run in which L5.N1+ flips everything at .6 and L5.N2+ nothing; the prefill flips all
    prompts.
    """
    leaks = set(leaking)
    return [
        *(
            record("baseline", "undosed", 0.0, prompt, FLIP if prompt in leaks else SHUT)
            for prompt in PROMPTS
        ),
        *stage("confirmation", "L5.N1+", {0.3: SHUT, 0.6: FLIP}),
        *stage("selection", "L5.N1+", {0.3: SHUT, 0.6: FLIP}),
        *stage("ceiling", "L5.N1+", {0.3: "coherent", 0.6: "coherent"}),
        *stage("confirmation", "L5.N2+", {0.3: SHUT, 0.6: LOST}),
        *stage("selection", "L5.N2+", {0.3: SHUT, 0.6: LOST}),
        *stage("ceiling", "L5.N2+", {0.3: "coherent", 0.6: LOST}),
        *stage("earlier", "L5.N2+", {0.3: earlier, 0.6: earlier}),
        *stage("control", "L5.N3-", {0.3: SHUT, 0.6: control}),
        *stage("control", "L1.random0", {0.3: SHUT, 0.6: SHUT}),
        *stage("context", "prefill_1", {1.0: FLIP}),
    ]


def measured(records: list[Record]) -> tuple[Branch, Branch, Figures]:
    result = figures(CONTENT, "sha", records)
    return result.neurons[0], result.neurons[1], result


def test_what_flips_on_confirmation_is_open_and_what_does_not_is_closed() -> None:
    opened, closed, result = measured(run())
    assert (opened.verdict, opened.smallest_open_gain, opened.observed_open) == ("open", 0.6, True)
    assert (closed.verdict, closed.failure_mode, closed.specific) == (
        "closed",
        "collapse_first",
        None,
    )
    assert (result.summary.open, result.summary.closed) == (1, 1)
    assert result.summary.search.plain() == {
        "smallest_open_gain": 0.6,
        "neuron": "L5.N1+",
        "measured": 1,
    }


def test_a_branch_that_flips_when_written_earlier_is_too_late() -> None:
    assert measured(run(earlier=FLIP))[1].failure_mode == "too_late"


def test_a_control_that_opens_as_early_takes_specific_away() -> None:
    assert measured(run())[0].specific is True
    assert measured(run(control=FLIP))[0].specific is False


def test_a_prompt_that_leaks_undosed_is_left_out_of_every_flip() -> None:
    leaking = PROMPTS[:4]
    evidence = Evidence(run(leaking), (8,))
    assert evidence.leaking == set(leaking)
    assert {r.prompt for r in evidence.sealed("confirmation", "L5.N1+")} == set(PROMPTS[4:])
    assert evidence.flips("confirmation", "L5.N1+", GAINS, 8).shape == (2, 12)
    assert len(evidence.of("ceiling", "L5.N1+")) == 2 * len(PROMPTS)
    result = figures(CONTENT, "sha", run(leaking))
    assert result.baseline.leak == 4 / 16
    assert {row.n for row in result.context} == {12}


def test_when_every_prompt_leaks_no_verdict_is_drawn() -> None:
    opened, closed, result = measured(run(PROMPTS))
    assert {opened.verdict, closed.verdict} == {"undetermined"}
    assert not result.summary.protocol_reproduced
    assert result.context == ()


def test_without_an_acting_control_every_verdict_is_undetermined() -> None:
    records = [r._replace(outcomes=(SHUT,)) if r.stage == "context" else r for r in run()]
    opened, closed, result = measured(records)
    assert {opened.verdict, closed.verdict} == {"undetermined"}
    assert (closed.failure_mode, result.summary.protocol_reproduced) == (None, False)


def test_prevalence_counts_the_random_sample_alone() -> None:
    summary = figures(CONTENT, "sha", run()).summary
    assert summary.prevalence.plain() == {"value": 0.0, "low": 0.0, "high": 1.0, "n": 1}
    assert summary.observed_open == {"screen": 1, "random": 0, "control": 0}


@pytest.mark.parametrize(
    ("rates", "acts"), [((0.2, 0.4), False), ((0.5, 0.1), True), ((0.0, 1.0), True), ((), False)]
)
def test_the_better_of_prefill_and_direction_is_the_positive_control(
    rates: tuple[float, ...], acts: bool
) -> None:
    attacks = zip(("prefill_1", "direction_ablation"), rates, strict=False)
    context = [attack(name, rate) for name, rate in attacks]
    assert positive_control([*context, attack("prefill_8", 1.0)]).acts is acts


def test_asking_is_the_control_only_where_no_intervention_acts() -> None:
    asked = attack("asked", 0.9)
    acting = positive_control([asked, attack("prefill_1", 0.5), attack("direction_ablation", 0.2)])
    assert (acting.attack, acting.rate, acting.acts) == ("prefill_1", 0.5, True)
    without = positive_control([asked, attack("prefill_1", 0.4)])
    assert (without.attack, without.rate, without.acts) == ("asked", 0.9, True)
    neither = positive_control([attack("asked", 0.1), attack("prefill_1", 0.4)])
    assert (neither.attack, neither.rate, neither.acts) == ("prefill_1", 0.4, False)


def test_the_committed_prefill_is_the_control_only_where_nothing_else_acts() -> None:
    idle, long = [attack("prefill_1", 0.4), attack("asked", 0.3)], attack("prefill_8", 0.9)
    last = positive_control([*idle, long], "prefill_8")
    assert (last.attack, last.rate, last.acts) == ("prefill_8", 0.9, True)
    acting = positive_control([*idle, attack("direction_ablation", 0.5), long], "prefill_8")
    assert (acting.attack, acting.acts) == ("direction_ablation", True)
    asking = positive_control([attack("asked", 0.6), long], "prefill_8")
    assert (asking.attack, asking.acts) == ("asked", True)
    none = positive_control([*idle, attack("prefill_8", 0.4)], "prefill_8")
    assert (none.attack, none.rate, none.acts) == ("prefill_1", 0.4, False)


def test_a_run_counts_the_long_prefill_only_where_its_commitment_names_it() -> None:
    records = [r._replace(outcomes=(SHUT,)) if r.stage == "context" else r for r in run()]
    records += stage("context", "prefill_8", {8.0: FLIP})
    assert not measured(records)[-1].summary.protocol_reproduced
    named = CONTENT.model_copy(update={"plan": PLAN.model_copy(update={"last_control": LAST})})
    result = figures(named, "sha", records)
    assert (result.positive_control.attack, result.summary.protocol_reproduced) == (LAST, True)


def attack(name: str, rate: float) -> Attack:
    return Attack(attack=name, rate=rate, low=0.0, high=1.0, reach=0.0, n=16)
