"""Paper A's claims on who controls, and on what one neuron can do, beside what was measured."""

from collections.abc import Iterator

from tools.believed.claim import Claim
from tools.believed.evidence import Evidence
from tools.believed.figures import ends, percent, short
from tools.believed.sentences import (
    EFFECTS,
    FITNESS,
    REAL,
    SCREENS,
)


def control_claims(e: Evidence) -> Iterator[Claim]:
    """Paper A's claims on who controls, and on what one neuron can do."""
    yield _gradients(e)
    yield _axis(e)
    yield _made_precise(e)
    yield _language(e)
    yield _operator(e)
    yield _refusal(e)
    yield _reach(e)


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
