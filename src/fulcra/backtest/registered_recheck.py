"""The second look at a registered study: its design, its ledger, every case, every figure again."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fulcra.backtest.cases import RUN
from fulcra.backtest.registered_scores import grouped_figures, study_targets
from fulcra.protocol.recheck.run_files import RunCheck
from fulcra.protocol.results.study import StudyResult
from fulcra.protocol.witness.ledger import ledger_at
from fulcra.protocol.witness.registration import registration
from fulcra.store import COMMITMENT, read_json

#: Every check of the folder of one run.
Verify = Callable[[Path], Sequence[RunCheck]]


def study_checks(folder: Path, ledger: Path | None, verify: Verify) -> list[RunCheck]:
    """Every check of a study's folder; with its ledger, that the design stood there first.

    RunFolderError where study.json is broken or the folder of a case is gone.
    """
    study = StudyResult.load(folder)
    made = study.design.sha256
    detail = f"study.json says {study.design_sha256[:12]}, made again {made[:12]}"
    return [
        RunCheck("design hash", made == study.design_sha256, detail),
        *_cases(study, folder, verify),
        *_figures(study),
        *([] if ledger is None else _registered(study, ledger)),
    ]


def _cases(study: StudyResult, folder: Path, verify: Verify) -> Iterator[RunCheck]:
    """Every check of every case, and that the study concludes from that very commitment."""
    places = {(row.model, row.behavior): row.commitment_sha256 for row in study.protocol}
    for (model, behavior), commitment in places.items():
        lineage = next(row.lineage for row in study.protocol if row.model == model)
        run = folder / lineage / model / behavior.partition("@")[0] / RUN
        failed = [check for check in verify(run) if not check.passed]
        stored = read_json(run / COMMITMENT)
        same = stored["sha256"] == commitment
        design = stored["content"]["plan"]["settings"]["design"] == study.design_sha256
        what = "; ".join(f"{check.name}: {check.detail}" for check in failed)
        if not (same and design):
            what = f"commitment {stored['sha256'][:12]} is not the study's"
        yield RunCheck(f"{model} {behavior}", same and design and not failed, what or "verified")


def _figures(study: StudyResult) -> Iterator[RunCheck]:
    """Every figure and target made again from the rows."""
    groups = grouped_figures(study.design, study.rows, study.protocol)
    for name, group in groups.items():
        stored = study.groups.get(name)
        same = stored is not None and stored.plain() == group.plain()
        yield RunCheck(f"figures of {name}", same, "equal" if same else "not those of the rows")
    same = study_targets(study.design, groups) == study.targets
    yield RunCheck("targets", same, "equal" if same else "not those of the figures")


def _registered(study: StudyResult, place: Path) -> Iterator[RunCheck]:
    """Whether the design was entered before the first commitment of the study."""
    chain = ledger_at(place).sound()
    entry = registration(chain, study.design_sha256)
    if entry is None:
        yield RunCheck("registration", False, "the design is not in the ledger")
        return
    wanted = {row.commitment_sha256 for row in study.protocol}
    of_study = [e for e in chain.entries if e.kind == "commitment" and e.commitment in wanted]
    lost = len(wanted) - len({each.commitment for each in of_study})
    early = sum(each.number < entry.number for each in of_study)
    detail = (
        f"entry {entry.number} of {entry.time}; {len(of_study)} commitments after it, {early}"
        f" before it, {lost} in no ledger"
    )
    yield RunCheck("registration", entry.link == study.registered and not (early or lost), detail)
