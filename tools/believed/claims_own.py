"""What the authors of the tool wanted of it, beside what was measured."""

from collections.abc import Iterator

from fulcra.protocol.results.validation import Target
from tools.believed.claim import Claim, Verdict
from tools.believed.evidence import Evidence
from tools.believed.figures import clearly_less, short
from tools.believed.sentences import SECOND, TABLES


def own_claims(e: Evidence) -> Iterator[Claim]:
    """What the tool's authors wanted of it before each study, and the forecast beyond its scope."""
    yield from (_of_target(target, TABLES) for target in e.study.targets)
    yield from (_of_target(target, SECOND) for target in e.second.study.targets)
    yield _scope(e)


def _of_target(target: Target, page: str) -> Claim:
    words: dict[bool | None, Verdict] = {True: "confirmed", False: "refuted"}
    return Claim(target.claim, words.get(target.met, "not testable here"), target.found, (page,))


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
