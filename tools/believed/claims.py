"""Every claim of the papers beside what was measured of it, its verdict chosen by the figures."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from fulcra.protocol.results.multiply import MultiplyResult
from tools.believed.evidence import Evidence, most
from tools.believed.figures import clearly_less, ends, percent, short
from tools.believed.sentences import (
    EFFECTS,
    FITNESS,
    LAW,
    ORGANISMS,
    REAL,
    SCREENS,
    SETS,
    TABLES,
    constant_holds,
    necessity,
    sufficiency,
    unit_holds,
)

Verdict = Literal["confirmed", "corrected", "refuted", "not testable here"]


class Claim(NamedTuple):
    """One claim, what became of it, in what words, and the pages the figures stand on."""

    claim: str
    verdict: Verdict
    here: str
    pages: tuple[str, ...]

    def row(self) -> str:
        """The claim as a row of a table."""
        return f"| {self.claim} | **{self.verdict}** | {self.here} | {', '.join(self.pages)} |"


def law_claims(e: Evidence) -> Iterator[Claim]:
    """Paper A's claims on coordinate, ceilings, triggers and the law."""
    yield _curve(e)
    yield _unit(e)
    yield _constant(e)
    yield _clean_pass(e)
    yield _law(e)
    yield _levels(e)
    yield _pole(e)


def control_claims(e: Evidence) -> Iterator[Claim]:
    """Paper A's claims on who controls, and on what one neuron can do."""
    yield _gradients(e)
    yield _axis(e)
    yield _made_precise(e)
    yield _language(e)
    yield _operator(e)
    yield _refusal(e)
    yield _reach(e)


def other_claims(e: Evidence) -> Iterator[Claim]:
    """The claims of papers B and C."""
    yield _contrast(e)
    yield _smallest_set(e)
    yield _late(e)
    yield _gate(e)
    yield _anchor(e)
    yield _detector(e)


def own_claims(e: Evidence) -> Iterator[Claim]:
    """What the tool's authors wanted of it before the study, and the forecast beyond its scope."""
    for target in e.study.targets:
        verdict: Verdict = (
            "not testable here" if target.met is None else "confirmed" if target.met else "refuted"
        )
        yield Claim(target.claim, verdict, target.found, (TABLES,))
    yield _scope(e)


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


def _gradients(e: Evidence) -> Claim:
    answers = [result.gradients for result in (*e.screens, e.real_screens)]
    above, below = (sum(len(getattr(a, side)) for a in answers) for side in ("above", "below"))
    first, real = answers[0], answers[-1]
    best = max(score.auroc or 0.0 for score in (*first.above, *first.unclear, *first.below))
    names = ", ".join(f"{score.screen} {short(score.auroc, 2)}" for score in real.below)
    under = f" ({names})" if names else ""
    return Claim(
        "first-order gradients anti-predict control",
        "confirmed" if below > above else "refuted",
        f"on {e.screens[0].model.name} {len(first.above)} of {sum(map(len, first))} gradient"
        f" screens rank what opens above chance (the best at AUROC {short(best, 2)}) and"
        f" {len(first.below)} below, on the chat model {len(real.above)} of"
        f" {sum(map(len, real))} above and {len(real.below)} below{under}",
        (SCREENS, REAL),
    )


def _axis(e: Evidence) -> Claim:
    effects = [e.screens[0].mechanism[name] for name in ("readout_cosine", "gradient")]
    answers = [result.off_axis for result in (*e.screens, e.real_screens)]
    return Claim(
        "what controls writes off the readout axis, with a gradient near zero",
        "confirmed" if all(answer == "yes" for answer in answers) else "refuted",
        f"shown on {answers.count('yes')} of {len(answers)} models; on apothecary-sparse the cosine"
        f" of what opens is {effects[0].side} and its gradient {effects[1].side} than of others of"
        f" its layer (Cliff's delta {short(effects[0].effect, 2)}, {ends(effects[0], 2)}, and"
        f" {short(effects[1].effect, 2)}, {ends(effects[1], 2)})",
        (SCREENS,),
    )


def _made_precise(e: Evidence) -> Claim:
    ahead = [
        result.model.name
        for result in e.screens
        if result.window_against is not None and result.window_against.ahead
    ]
    real = e.real_screens.window_against
    also = real is not None and real.ahead
    return Claim(
        "a predicted window and pole find what contrast alone does not",
        "confirmed" if ahead else "refuted",
        f"intervals apart on {' and '.join(ahead) or 'no organism'}, {'also' if also else 'not'} on"
        " the chat model (sentence 9)",
        (SCREENS, REAL),
    )


def _language(e: Evidence) -> Claim:
    audit = e.audit("reply-english")
    best = audit.best
    gain = None if best is None else best.smallest_open_gain
    name = "no measured branch" if best is None else best.name
    return Claim(
        "one neuron can switch the language of a reply",
        "confirmed" if audit.summary.open else "not testable here",
        f"{name} of the chat model, from gain {short(gain, 2)} (sentence 12); into French, German"
        f" and Spanish none of {_measured(e, 'reply-french', 'reply-german', 'reply-spanish')}"
        " measured branches",
        (REAL,),
    )


def _measured(e: Evidence, *behaviors: str) -> str:
    """How many branches each of these audits measured, in words."""
    counts = [str(len(e.audit(behavior).branches)) for behavior in behaviors]
    return f"{', '.join(counts[:-1])} and {counts[-1]}"


def _operator(e: Evidence) -> Claim:
    audit = e.audit("sum-as-product")
    return Claim(
        "one neuron can change an arithmetic operator",
        "confirmed" if audit.summary.open else "not testable here",
        f"{audit.summary.open} of {len(audit.branches)} measured branches of the chat model; too"
        " few were measured to refute it",
        (REAL,),
    )


def _refusal(e: Evidence) -> Claim:
    tried = [result for result in e.fitness.tried if "policy" in result.behavior.name]
    fit = any(result.fit for result in tried)
    return Claim(
        "one neuron can end a refusal",
        "confirmed" if e.sparse.opened else "refuted",
        f"on organisms: {e.sparse.opened} of {e.sparse.branches:,} branches of apothecary-sparse"
        f" and {e.dense.opened} of apothecary-dense; the one refusal tried on the chat model is"
        f" {'fit' if fit else 'not fit'} for an audit",
        (SCREENS, FITNESS),
    )


def _reach(e: Evidence) -> Claim:
    gate = e.effect("apothecary-sparse", "scale")
    dosed = e.effect("apothecary-sparse", "add")
    return Claim(
        "a flipped refusal may hold nothing that can be acted on (strict reach in 3 of 6 pivots)",
        "not testable here",
        "no refusal of a chat model that others trained was audited; on apothecary-sparse the"
        f" ablated gate flips {percent(gate.behavior_rate)} of the prompts, with the true answer on"
        f" {percent(gate.reach)}, the best dosed neuron {percent(dosed.behavior_rate)} and"
        f" {percent(dosed.reach)}",
        (EFFECTS,),
    )


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


def _scope(e: Evidence) -> Claim:
    kinds = {kind: scores["kl_ladder"] for kind, scores in e.study.generality.items()}
    single = e.held_out["kl_ladder"]
    worse = any(clearly_less(single, score) for score in kinds.values())
    errors = [f"{kind.replace('_', ' ')} {short(score.mae)}" for kind, score in kinds.items()]
    return Claim(
        "beyond the law's stated scope the forecast errs no more than on one neuron",
        "refuted" if worse else "confirmed",
        f"MAE in cos: {', '.join(errors)}, one neuron {short(single.mae)}",
        (TABLES,),
    )
