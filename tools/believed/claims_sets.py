"""The claims of papers B and C beside what was measured."""

from collections.abc import Iterator

from fulcra.protocol.results.multiply import MultiplyResult
from tools.believed.claim import Claim, Verdict
from tools.believed.evidence import Evidence, most
from tools.believed.figures import ends, percent, short
from tools.believed.sentences import (
    EFFECTS,
    REAL,
    SCREENS,
    SETS,
)


def other_claims(e: Evidence) -> Iterator[Claim]:
    """The claims of papers B and C."""
    yield _contrast(e)
    yield _smallest_set(e)
    yield _late(e)
    yield _gate(e)
    yield _anchor(e)
    yield _detector(e)


def _contrast(e: Evidence) -> Claim:
    gate = e.effect("apothecary-sparse", "scale")
    score = e.screens[0].screen("contrastive", "gain")
    assert score is not None
    return Claim(
        "B: contrast finds the neurons that control",
        "corrected",
        "it finds what acts when held or ablated (sentence 10: the gate"
        f" {gate.site} flips {percent(gate.behavior_rate)}) and hardly any branch that an additive"
        f" dose opens (AUROC {short(score.auroc, 2)})",
        (EFFECTS, SCREENS),
    )


def _smallest_set(e: Evidence) -> Claim:
    rates = [_ablated(result, "0.1%") for result in (*e.sets, e.real_sets)]
    wide = [_ablated(result, "top 32") for result in (*e.sets, e.real_sets)]
    return Claim(
        "B: ablating the top 0.1 % of the neurons ends a refusal",
        "confirmed" if min(rates) >= 0.5 else "corrected" if max(wide) >= 0.5 else "refuted",
        f"{percent(rates[0])} and {percent(rates[1])} of the prompts of apothecary-sparse and"
        f" -dense ({most(e.sets[0], '0.1%').neurons} neurons), {percent(rates[2])} of the chat"
        f" model's bullets; the top 32 {percent(wide[0])}, {percent(wide[1])} and"
        f" {percent(wide[2])}",
        (*SETS, REAL),
    )


def _ablated(result: MultiplyResult, name: str) -> float:
    """The flip rate of a whole set held at 0."""
    rows = (row for row in result.rows if (row.set, row.pole) == (name, "both"))
    return next(row.flip_rate for row in rows if row.multiplier == 0)


def _late(e: Evidence) -> Claim:
    first, real = e.screens[0].late_layers, e.real_screens.late_layers
    assert first is not None
    assert real is not None
    return Claim(
        "B: what contrast selects lies in the late layers",
        "confirmed" if {first.verdict, real.verdict} == {"late"} else "corrected",
        f"of its top 32 the last quarter holds {percent(first.raw)} on apothecary-sparse, in gain"
        f" units {percent(first.gain)}, where {percent(first.opened)} of what opens lies; on the"
        f" chat model {percent(real.raw)} and in gain units {percent(real.gain)}: there it is the"
        " growth of activations",
        ("[screens, sparse](evidence/screens.json)", "[chat model](evidence/real/screens.json)"),
    )


def _gate(e: Evidence) -> Claim:
    gate, held = e.effect("apothecary-sparse", "scale"), e.audit("reply-english").summary.held
    dense = [e.effect("apothecary-dense", op).behavior_rate or 0.0 for op in ("scale", "pin")]
    assert held is not None
    best = held.best
    assert best is not None
    return Claim(
        "C: one neuron held at a value is enough",
        _where_planted(gate.behavior_rate or 0.0, max(dense)),
        "where refusal was planted in three neurons, not where all weights learnt it:"
        f" {gate.site} of apothecary-sparse, at a divergence of {short(gate.kl_per_token, 2)} nats"
        f" a token and accuracy {short(gate.accuracy, 2)} on allowed requests, flips"
        f" {percent(gate.behavior_rate)} of the prompts; of apothecary-dense the best neuron scaled"
        f" flips {percent(dense[0])}, the best held {percent(dense[1])}; of the chat model"
        f" {best.neuron}, held at {best.value:.1f}, flips {percent(best.flip_rate)}",
        (EFFECTS, REAL),
    )


def _where_planted(planted: float, spread: float) -> Verdict:
    """What a claim comes to that holds where few neurons learnt a behavior, and maybe elsewhere."""
    if planted < 0.5:
        return "refuted"
    return "confirmed" if spread >= 0.5 else "corrected"


def _anchor(e: Evidence) -> Claim:
    rows = [e.effect(f"apothecary-{name}", "anchor") for name in ("sparse", "dense")]
    return Claim(
        "C: an anchored neuron flips as much as a held one, at less cost",
        "confirmed"
        if min(row.behavior_rate or 0.0 for row in rows) >= 0.5
        else "not testable here",
        f"{percent(rows[0].behavior_rate)} and {percent(rows[1].behavior_rate)} of the prompts of"
        " apothecary-sparse and -dense, but their template leaves one token after the request, and"
        " an anchor reads the tokens there",
        (EFFECTS,),
    )


def _detector(e: Evidence) -> Claim:
    neuron, words = e.detector.detectors[0], e.detector.detectors[-1]
    return Claim(
        "C: the neuron tells the prompts apart, AUROC .85 to .97",
        "not testable here",
        f"{neuron.detector} of the chat model has {short(neuron.auroc.value, 2)}"
        f" ({ends(neuron.auroc, 2)}), but a {words.detector} has {short(words.auroc.value, 2)}:"
        " words alone tell these prompts apart",
        (REAL,),
    )
