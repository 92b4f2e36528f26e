"""The sealed form of a run: facts that name no neuron, and a commitment that proves them later."""

import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path

from fulcra.errors import RunFolderError
from fulcra.protocol.recheck.run_files import RunCheck
from fulcra.protocol.results.audit import Branch
from fulcra.protocol.results.base import ModelShape, Provenance
from fulcra.protocol.results.public import (
    Counts,
    MarginBin,
    Margins,
    PublicFacts,
    PublicRate,
    PublicResult,
)
from fulcra.protocol.seal import sealed
from fulcra.release.figures import figures
from fulcra.release.finished import FinishedRun, finished_run, require_verdict
from fulcra.report.headline import headline
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    MANIFEST,
    PRIVATE,
    PUBLIC,
    PUBLIC_SALT,
    ROLLOUTS,
    SEAL,
    WHOLE,
    canonical,
    write_text,
)

#: The files of a run that a commitment binds: the seal and the list of shards bind all others.
BOUND = (MANIFEST, COMMITMENT, AUDIT, ROLLOUTS, WHOLE, SEAL)
#: Ends of the bins of margins [octaves]: coarse, so that no margin tells which branch it is of.
EDGES = (-2.0, -1.0, 0.0, 1.0, 2.0)
QUARTERS = 4
#: Digits of a rate: those of a count among hundreds.
DIGITS = 3


def public_form(folder: Path, out: Path) -> PublicResult:
    """The sealed form of a finished run, to be kept apart from its folder; its salt is made there.

    Inconclusive where the run draws no verdict, RunFolderError where `out` lies in the run's
    folder, beside the salt.
    """
    if out.resolve().is_relative_to(folder.resolve()):
        raise RunFolderError(
            f"--out {out}: lies in the run's folder, beside the salt that seals it; choose a folder"
            " elsewhere"
        )
    run = finished_run(folder)
    require_verdict(run)
    facts = public_facts(run)
    result = PublicResult(
        schema_version=1,
        facts=facts,
        commitment=_commitment(own_salt(folder), folder, facts),
        provenance=Provenance.now(),
    )
    return PublicResult.of(result.plain())


def public_facts(run: FinishedRun) -> PublicFacts:
    """What is told of a run: no neuron, pole, dose, prompt or text, and no hash to guess one by."""
    result = run.result
    status = headline(result).status
    if status == "no verdict":
        raise RunFolderError(f"{run.files.folder}: draws no verdict")
    branches, layers = result.branches, result.model.layers
    quarters = [
        [b for b in branches if b.branch.layer * QUARTERS // layers == quarter]
        for quarter in range(QUARTERS)
    ]
    sources = {"screened": "screen", "random": "random", "control": "control"}
    held = result.summary.held
    shape = {name: getattr(result.model, name) for name in ModelShape.model_fields}
    facts = PublicFacts(
        model=ModelShape(**{**shape, "name": Path(result.model.name).name}),
        behavior=result.behavior.name,
        verdict=status,
        by_source={
            name: _counts(b for b in result.neurons if b.source == source)
            for name, source in sources.items()
        },
        by_quarter=tuple(map(_counts, quarters)),
        margins=_margins(branches),
        held_neurons=0 if held is None else held.neurons,
        held_opened=0 if held is None else held.opened,
        rates=tuple(_rates(run)),
        fulcra=result.provenance.fulcra,
        code=result.provenance.code,
    )
    return PublicFacts.model_validate(facts.plain())


def _counts(branches: Iterable[Branch]) -> Counts:
    entries = list(branches)
    verdicts = [branch.verdict for branch in entries]
    return Counts(
        measured=len(entries),
        open=verdicts.count("open"),
        closed=verdicts.count("closed"),
        undetermined=verdicts.count("undetermined"),
        observed_open=sum(bool(branch.observed_open) for branch in entries),
    )


def _margins(branches: Iterable[Branch]) -> Margins:
    """How many branches have a margin between two edges."""
    margins = [branch.margin for branch in branches]
    measured = [margin for margin in margins if margin is not None]
    bins = zip((None, *EDGES), (*EDGES, None), strict=True)
    return Margins(
        bins=tuple(
            MarginBin(low=low, high=high, branches=_between(measured, low, high))
            for low, high in bins
        ),
        unmeasured=len(margins) - len(measured),
    )


def _between(margins: list[float], low: float | None, high: float | None) -> int:
    return sum(
        (low is None or margin >= low) and (high is None or margin < high) for margin in margins
    )


def _rates(run: FinishedRun) -> Iterable[PublicRate]:
    """The figures of the run that are rates; a gain is a dose, which is not told."""
    for figure in figures(run):
        if figure.unit == "proportion":
            ends = (figure.value, figure.low, figure.high)
            value, low, high = (None if end is None else round(end, DIGITS) for end in ends)
            yield PublicRate(
                name=figure.name, words=figure.words, value=value, low=low, high=high, n=figure.n
            )


def own_salt(folder: Path) -> str:
    """The random salt of a run's public form, drawn once; RunFolderError where others can read it.

    256 bits: without them no guess of what is sealed can be tested.
    """
    path = folder / PUBLIC_SALT
    if not path.exists():
        write_text(path, secrets.token_hex(32), PRIVATE)
    if path.stat().st_mode & 0o077:
        raise RunFolderError(
            f"{path}: others can read it; `chmod 600` it, or remove it and publish anew"
        )
    return _read_salt(path)


def _read_salt(path: Path) -> str:
    try:
        salt = path.read_text(encoding="ascii").strip()
        bytes.fromhex(salt)
    except (OSError, ValueError):
        salt = ""
    if len(salt) != 64:
        raise RunFolderError(
            f"{path}: expected the 64 hex digits that `fulcra report --public` left there"
        )
    return salt


def _commitment(salt: str, folder: Path, facts: PublicFacts) -> str:
    """HMAC-SHA256 under the salt of what is told and the digests of the files it was made from."""
    files = {
        name: sealed((folder / name).read_bytes()).sha256
        for name in BOUND
        if (folder / name).is_file()
    }
    content = canonical({"facts": facts.plain(), "files": files})
    return hmac.new(bytes.fromhex(salt), content, "sha256").hexdigest()


def unseal_checks(folder: Path, public: Path) -> list[RunCheck]:
    """Whether a public form was made of this run: its facts made again, its commitment unsealed.

    The salt is read from the run's folder. RunFolderError where there is none, or no public form.
    """
    if not (public.is_file() or (public / PUBLIC).is_file()):
        raise RunFolderError(
            f"--unseal {public}: no {PUBLIC}; expected what `fulcra report --public` wrote"
        )
    published = PublicResult.load(public)
    salt = _read_salt(folder / PUBLIC_SALT)
    made = public_facts(finished_run(folder)).plain()
    stands = published.facts.plain()
    differ = [name for name in made if made[name] != stands.get(name)]
    again = _commitment(salt, folder, published.facts)
    facts = f"other than the run's: {', '.join(differ)}" if differ else "made again from the run"
    hashes = f"published {published.commitment[:12]}, made again {again[:12]}"
    return [
        RunCheck("public facts", not differ, facts),
        RunCheck("public commitment", again == published.commitment, hashes),
    ]
