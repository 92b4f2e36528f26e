"""What the authors of the tool wanted of it, beside what was measured."""

from collections.abc import Iterator

from tools.believed.claim import Claim, Verdict
from tools.believed.evidence import Evidence
from tools.believed.figures import clearly_less, short
from tools.believed.sentences import (
    TABLES,
)


def own_claims(e: Evidence) -> Iterator[Claim]:
    """What the tool's authors wanted of it before the study, and the forecast beyond its scope."""
    for target in e.study.targets:
        verdict: Verdict = (
            "not testable here" if target.met is None else "confirmed" if target.met else "refuted"
        )
        yield Claim(target.claim, verdict, target.found, (TABLES,))
    yield _scope(e)


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
