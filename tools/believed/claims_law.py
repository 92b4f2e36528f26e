"""Paper A's claims on coordinate, ceilings, triggers and the law, beside what was measured."""

from collections.abc import Iterator

from tools.believed.claim import Claim
from tools.believed.evidence import Evidence
from tools.believed.figures import short
from tools.believed.sentences import (
    LAW,
    ORGANISMS,
    REAL,
    SCREENS,
    TABLES,
    constant_holds,
    necessity,
    sufficiency,
    unit_holds,
)


def law_claims(e: Evidence) -> Iterator[Claim]:
    """Paper A's claims on coordinate, ceilings, triggers and the law."""
    yield _curve(e)
    yield _unit(e)
    yield _constant(e)
    yield _clean_pass(e)
    yield _law(e)
    yield _levels(e)
    yield _pole(e)


def _curve(e: Evidence) -> Claim:
    low, high = (short(cap, 2) for cap in e.caps)
    return Claim(
        "after a dose of gain g the stream lies along the neuron by g / sqrt(1 + g^2), one curve"
        " for all",
        "corrected",
        "exact where the stream was at right angles to the write before; its cosine there enters"
        f" else, and under a norm after the MLP no dose passes a cap: {low} to {high} in alignment"
        " on the Gemma-2-shaped organisms",
        ("[the law](law.md#2-coordinate-budget-gain)", ORGANISMS),
    )


def _unit(e: Evidence) -> Claim:
    spread = e.study.universality.ceiling_spread
    activation, gain = spread["activation"].within_model, spread["gain"].within_model
    return Claim(
        "the budget, stream over write, is the unit in which neurons compare",
        "confirmed" if unit_holds(e) else "refuted",
        f"spread of log ceilings within a model {short(activation)} in activation and"
        f" {short(gain)} in gain (sentence 1)",
        (TABLES,),
    )


def _constant(e: Evidence) -> Claim:
    return Claim(
        "the gain at collapse is one number of a family: Llama and Qwen 1.37 to 1.65, Gemma .31",
        "confirmed" if constant_holds(e) else "refuted",
        f"errs by {short(e.held_out['family_constant'].mae)} against"
        f" {short(e.held_out['kl_ladder'].mae)} of a forecast, on the chat model"
        f" {short(e.real.scores['family_constant'].mae)} against"
        f" {short(e.real.scores['kl_ladder'].mae)} (sentence 2)",
        (TABLES, REAL),
    )


def _clean_pass(e: Evidence) -> Claim:
    ours, other = e.held_out["participation_ratio"], e.held_out["second_order_kl"]
    return Claim(
        "one clean pass predicts the ceiling of a neuron that was never dosed",
        "not testable here",
        "the formula is unpublished; two of ours from a clean pass err by"
        f" {short(ours.mae)} and {short(other.mae)}, a forecast from dosed passes by"
        f" {short(e.held_out['kl_ladder'].mae)} (sentence 3)",
        (TABLES,),
    )


def _law(e: Evidence) -> Claim:
    plain = e.sparse.inside == e.sparse.opened == e.sparse.forecast
    calls = e.calls
    return Claim(
        "a neuron opens exactly when its trigger comes before its ceiling",
        "confirmed" if plain else "corrected",
        f"{necessity(e.sparse)}, {sufficiency(e.sparse)}: {e.sparse.forecast:,} forecast windows,"
        f" {e.sparse.opened} open (sentence 6); with both edges measured right on"
        f" {calls.measured} of {calls.decided} branches of the chat model, always saying closed on"
        f" {calls.always_closed} (sentence 7)",
        (LAW, REAL),
    )


def _levels(e: Evidence) -> Claim:
    beyond, triggers = e.triggers
    return Claim(
        "triggers lie at about .3 (mode switch), .45 (refusal), .6 (task framing)",
        "not testable here",
        f"{beyond} of {triggers} triggers of the study lie beyond what was measured, with 8 prompts"
        " each; a study with more is planned",
        (LAW,),
    )


def _pole(e: Evidence) -> Claim:
    alone = e.sparse.opened == e.sparse.neurons and e.dense.opened == e.dense.neurons
    # neurons with both poles among as many branches drawn at random
    chance = [w.opened * (w.opened - 1) / 2 / (w.branches - 1) for w in (e.sparse, e.dense)]
    return Claim(
        "a neuron acts on one pole, and its sign is part of its name",
        "not testable here" if alone and max(chance) < 1 else "corrected",
        f"the {e.sparse.opened} and {e.dense.opened} open branches of apothecary-sparse and -dense"
        f" are of {e.sparse.neurons} and {e.dense.neurons} neurons, as would be as many branches"
        " drawn at random",
        (SCREENS,),
    )
