"""Figures from records alone: leaking prompts left out, controls compared, edges and reasons where
they belong.
"""

from collections.abc import Iterable
from typing import Any

import pytest

from fulcra.protocol import Record
from fulcra.protocol.evidence import Evidence, positive_control, results

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


def branch(name: str, source: str = "screen") -> dict[str, Any]:
    edge = {"gain": 0.5, "alignment": 0.4, "method": "ladder", "tier": 2, "censored": False}
    return {
        "branch": name,
        "source": source,
        "budget": 2.0,
        "alignment0": 0.0,
        "activation_gap": 0.1,
        "ceiling_predicted": edge,
        "trigger_predicted": edge,
        "predicted_verdict": "closed",
    }


CONTENT: dict[str, Any] = {
    "plan": {
        "gains": GAINS,
        "horizons": (8,),
        "pin_multiples": (0.0,),
        "log_odds_margin": 7.0,
        "true_answers_coherent": 1.0,
    },
    "branches": [branch("L5.N1+"), branch("L5.N2+", "random")],
    "controls": ["L5.N3-", "L1.random0"],
}
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
        *stage("ceiling", "L5.N1+", {0.3: "off_topic", 0.6: "off_topic"}),
        *stage("confirmation", "L5.N2+", {0.3: SHUT, 0.6: LOST}),
        *stage("selection", "L5.N2+", {0.3: SHUT, 0.6: LOST}),
        *stage("ceiling", "L5.N2+", {0.3: "off_topic", 0.6: LOST}),
        *stage("earlier", "L2.as L5.N2+", {0.3: earlier, 0.6: earlier}),
        *stage("control", "L5.N3-", {0.3: SHUT, 0.6: control}),
        *stage("control", "L1.random0", {0.3: SHUT, 0.6: SHUT}),
        *stage("context", "prefill_1", {1.0: FLIP}),
    ]


def found(records: list[Record]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    made = results(CONTENT, "sha", records)
    return made["neurons"][0], made["neurons"][1], made


def test_what_flips_on_confirmation_is_open_and_what_does_not_is_closed() -> None:
    opened, closed, made = found(run())
    assert (opened["verdict"], opened["smallest_open_gain"], opened["observed_open"]) == (
        "open",
        0.6,
        True,
    )
    assert (closed["verdict"], closed["failure_mode"], closed["specific"]) == (
        "closed",
        "collapse_first",
        None,
    )
    assert (made["summary"]["open"], made["summary"]["closed"]) == (1, 1)
    assert made["summary"]["search"] == {
        "smallest_open_gain": 0.6,
        "neuron": "L5.N1+",
        "measured": 1,
    }


def test_a_branch_that_flips_when_written_earlier_is_too_late() -> None:
    assert found(run(earlier=FLIP))[1]["failure_mode"] == "too_late"


def test_a_control_that_opens_as_early_takes_specific_away() -> None:
    assert found(run())[0]["specific"] is True
    assert found(run(control=FLIP))[0]["specific"] is False


def test_a_prompt_that_leaks_undosed_is_left_out_of_every_flip() -> None:
    leaking = PROMPTS[:4]
    evidence = Evidence(run(leaking), (8,))
    assert evidence.leaking == set(leaking)
    assert {r.prompt for r in evidence.kept("confirmation", "L5.N1+")} == set(PROMPTS[4:])
    assert evidence.flips("confirmation", "L5.N1+", GAINS, 8).shape == (2, 12)
    assert len(evidence.of("ceiling", "L5.N1+")) == 2 * len(PROMPTS)
    made = results(CONTENT, "sha", run(leaking))
    assert made["baseline"]["leak"] == 4 / 16
    assert {row["n"] for row in made["context"]} == {12}


def test_when_every_prompt_leaks_no_verdict_is_drawn() -> None:
    opened, closed, made = found(run(PROMPTS))
    assert {opened["verdict"], closed["verdict"]} == {"undetermined"}
    assert not made["summary"]["protocol_reproduced"]
    assert made["context"] == []


def test_without_an_acting_control_every_verdict_is_undetermined() -> None:
    records = [r._replace(outcomes=(SHUT,)) if r.stage == "context" else r for r in run()]
    opened, closed, made = found(records)
    assert {opened["verdict"], closed["verdict"]} == {"undetermined"}
    assert (closed["failure_mode"], made["summary"]["protocol_reproduced"]) == (None, False)


def test_prevalence_counts_the_random_sample_alone() -> None:
    summary = results(CONTENT, "sha", run())["summary"]
    assert summary["prevalence"] == {"value": 0.0, "low": 0.0, "high": 1.0, "n": 1}
    assert summary["observed_open"] == {"screen": 1, "random": 0, "control": 0}


@pytest.mark.parametrize(
    ("rates", "acts"), [((0.2, 0.4), False), ((0.5, 0.1), True), ((0.0, 1.0), True), ((), False)]
)
def test_the_better_of_prefill_and_direction_is_the_positive_control(
    rates: tuple[float, ...], acts: bool
) -> None:
    context = [
        {"attack": attack, "rate": rate}
        for attack, rate in zip(("prefill_1", "direction_ablation"), rates, strict=False)
    ]
    assert positive_control([*context, {"attack": "prefill_8", "rate": 1.0}])["acts"] is acts
