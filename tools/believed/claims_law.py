"""Paper A's claims on coordinate, ceilings, triggers and the law, beside what was measured."""

import math
from collections.abc import Iterator, Sequence
from statistics import median

from tools.believed.claim import Claim, Verdict
from tools.believed.evidence import Evidence
from tools.believed.figures import ends, less, short
from tools.believed.second import ENOUGH
from tools.believed.sentences import (
    LAW,
    ORGANISMS,
    REAL,
    SECOND,
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
    again = e.second.ceilings.scores
    return Claim(
        "the gain at collapse is one number of a family: Llama and Qwen 1.37 to 1.65, Gemma .31",
        "confirmed" if constant_holds(e) else "refuted",
        f"errs by {short(e.held_out['family_constant'].mae)} against"
        f" {short(e.held_out['kl_ladder'].mae)} of a forecast, in the second study"
        f" {short(again['family_constant'].mae)} against {short(again['kl_ladder'].mae)}, on the"
        " chat model"
        f" {short(e.real.scores['family_constant'].mae)} against"
        f" {short(e.real.scores['kl_ladder'].mae)} (sentence 2)",
        (TABLES, REAL),
    )


def _clean_pass(e: Evidence) -> Claim:
    ours, other = e.held_out["participation_ratio"], e.held_out["second_order_kl"]
    again = e.second.ceilings.scores
    return Claim(
        "one clean pass predicts the ceiling of a neuron that was never dosed",
        "not testable here",
        "the formula is unpublished; two of ours from a clean pass err by"
        f" {short(ours.mae)} and {short(other.mae)}, a forecast from dosed passes by"
        f" {short(e.held_out['kl_ladder'].mae)}, in the second study by"
        f" {short(again['participation_ratio'].mae)}, {short(again['second_order_kl'].mae)} and"
        f" {short(again['kl_ladder'].mae)} (sentence 3)",
        (TABLES, SECOND),
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
        f" {calls.always_closed}, and ranking what opens at AUROC"
        f" {short(e.second.verdicts.ranks['L3'].value)} in the second study (sentence 7)",
        (LAW, REAL, SECOND),
    )


#: Paper A's triggers [gain] by what is changed, and the behavior of the study that changes it.
TRIGGERS = {"language-fr": 0.3, "refusal": 0.45, "framing": 0.6}


def _levels(e: Evidence) -> Claim:
    opened = {behavior: e.second.study.opened(behavior) for behavior in TRIGGERS}
    levels = [median(gains) if gains else None for gains in opened.values()]
    words = [
        f"{name} {_level(level)} (n = {len(opened[name])})"
        for name, level in zip(opened, levels, strict=True)
    ]
    return Claim(
        "triggers lie at about .3 (mode switch), .45 (refusal), .6 (task framing)",
        in_order(levels) if min(map(len, opened.values())) >= ENOUGH else "not testable here",
        "median measured trigger of the branches that opened in the second study, drawn by chance:"
        f" {', '.join(words)}",
        (SECOND, LAW),
    )


def _level(gain: float | None) -> str:
    """A median trigger in words; an infinite one lies beyond what was measured."""
    return "beyond" if gain is not None and math.isinf(gain) else short(gain, 2)


def in_order(levels: Sequence[float | None]) -> Verdict:
    """What A's three triggers come to: each within half an octave, in their order, or neither."""
    known = [level for level in levels if level is not None and math.isfinite(level)]
    if len(known) < len(TRIGGERS):
        return "refuted"
    off = [abs(math.log2(level / a)) for level, a in zip(known, TRIGGERS.values(), strict=True)]
    if max(off) <= 0.5:
        return "confirmed"
    return "corrected" if known[0] < known[1] < known[2] else "refuted"


def _pole(e: Evidence) -> Claim:
    poles = e.second.depth.poles
    lift = poles.triggers.lift
    verdict: Verdict = "not testable here"
    if less(lift.high, 1.0):
        verdict = "confirmed"
    elif less(1.0, lift.low):
        verdict = "corrected"
    return Claim(
        "a neuron acts on one pole, and its sign is part of its name",
        verdict,
        "where one pole opened in the second study the forecast chance of the other is"
        f" {short(lift.value, 2)} ({ends(lift, 2)}) times that of its layer (n ="
        f" {poles.triggers.opened}); of {poles.drawn} neurons drawn on both poles {poles.single}"
        f" opened on one and {poles.double} on both",
        (SECOND,),
    )
