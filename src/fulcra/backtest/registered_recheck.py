"""The second look at a registered study: its design, its ledger, every case, every figure again."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fulcra.backtest.cases import CEILINGS, OVER, POOL, RUN, case_of, drawn_by_chance, read_pool
from fulcra.backtest.depth import grouped_depth
from fulcra.backtest.model_ceilings import PREDICTIONS
from fulcra.backtest.registered_beside import grouped_beside
from fulcra.backtest.registered_scores import grouped_figures
from fulcra.backtest.registered_targets import study_targets
from fulcra.protocol.recheck.run_files import RunCheck
from fulcra.protocol.results.chances import ChanceRow
from fulcra.protocol.results.commitment import BranchEntry, Commitment
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.results.split import Lineage
from fulcra.protocol.results.study import StudyResult
from fulcra.protocol.witness.chain import Chain
from fulcra.protocol.witness.entries import Entry
from fulcra.protocol.witness.ledger import ledger_at
from fulcra.protocol.witness.registration import code_of, registration, weights_of
from fulcra.store import COMMITMENT, digest, read_json

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
        *_whole(study, folder),
        *(
            _case(study, folder, verify, case)
            for case in study.design.cases
            if _title(*case) not in study.left_out
        ),
        *_ceilings(study, folder),
        *_figures(study),
        *_depth(study, folder),
        *([] if ledger is None else _registered(study, ledger)),
    ]


def _title(lineage: Lineage, model: str, behavior: str) -> str:
    """What a case is called in what was left out."""
    return f"{model} {behavior}"


def _whole(study: StudyResult, folder: Path) -> Iterator[RunCheck]:
    """Whether every case and model of the design is there once, or is left out with its reason."""
    measured = {f"{row.model} {row.behavior.partition('@')[0]}" for row in study.protocol}
    wanted = {_title(*case) for case in study.design.cases}
    lost = wanted - measured - set(study.left_out)
    detail = f"{len(measured)} of {len(wanted)} measured, without a word of {len(lost)}"
    yield RunCheck("cases", not lost and measured <= wanted, detail)
    models = {name for lineage in study.design.held_out for name in lineage.ceilings}
    gone = models - set(study.predicted) - set(study.left_out)
    detail = f"{len(study.predicted)} of {len(models)} models, without a word of {len(gone)}"
    yield RunCheck("models", not gone, detail)
    left_out: dict[str, str] = {}
    for lineage in study.design.held_out:
        left_out |= read_json(folder / lineage.name / OVER)["left_out"]
    both = (measured | set(study.predicted)) & set(study.left_out)
    detail = f"{len(study.left_out)}, {len(both)} of them measured as well"
    yield RunCheck("left out", left_out == study.left_out and not both, detail)
    strange = {row.model for row in study.rows.ceilings} - set(study.predicted)
    strange |= {row.name for row in study.rows.verdicts} - {row.name for row in study.protocol}
    detail = f"rows of {', '.join(sorted(strange))} belong to no case" if strange else "all known"
    yield RunCheck("rows", not strange, detail)


def _case(
    study: StudyResult, folder: Path, verify: Verify, case: tuple[Lineage, str, str]
) -> RunCheck:
    """Every check of a case, its draw made again from its pool, its rows from its files."""
    lineage, model, behavior = case
    place = folder / lineage.name / model / behavior
    faults = [f"{c.name}: {c.detail}" for c in verify(place / RUN) if not c.passed]
    stored = read_json(place / RUN / COMMITMENT)
    committed, pool = Commitment.model_validate(stored["content"]), read_pool(place / POOL)
    settings = committed.plan.settings
    if settings["design"] != study.design_sha256:
        faults.append("its commitment names another design")
    if settings["pool"] != digest(pool.plain()):
        faults.append("its pool is not the one it committed to")
    drawn = drawn_by_chance(pool, study.design.size_of(lineage.name))
    if not is_the_draw(drawn, committed.branches):
        faults.append("its branches are not those that its pool draws")
    made = case_of(place, lineage)
    name = made.protocol.name
    rows = [row for row in study.rows.verdicts if row.name == name]
    chances = [e for e in study.rows.chances if f"{e.model.name} {e.behavior.name}" == name]
    if [row.plain() for row in rows] != [row.plain() for row in made.rows]:
        faults.append("study.json has other rows than its files")
    if [each.plain() for each in chances] != [made.chances.plain()]:
        faults.append("study.json has other chances than its files")
    if made.protocol.plain() not in [row.plain() for row in study.protocol]:
        faults.append("study.json has another protocol than its files")
    return RunCheck(name, not faults, "; ".join(faults) or "verified, made again")


def is_the_draw(drawn: Sequence[ChanceRow], committed: Sequence[BranchEntry]) -> bool:
    """Whether committed branches are those drawn, their weights to the digits that files hold."""
    own = [(row.branch, row.plain()["weight"]) for row in drawn]
    return own == [(entry.branch, entry.weight) for entry in committed]


def _ceilings(study: StudyResult, folder: Path) -> Iterator[RunCheck]:
    """Whether the ceilings of every model are those of its file, under what was predicted."""
    for lineage in study.design.held_out:
        for model in lineage.ceilings:
            if model not in study.predicted:
                continue
            place = folder / lineage.name / model / CEILINGS
            result, stored = ModelCeilings.load(place), read_json(place / PREDICTIONS)
            faults = []
            if not stored["sha256"] == digest(stored["content"]) == study.predicted[model]:
                faults.append("the predictions are not those of the study")
            forecast = stored["content"]["predicted"]
            columns = {name: [row.predicted[name] for row in result.rows] for name in forecast}
            if columns != forecast:
                faults.append("its rows have other predictions")
            rows = [row for row in study.rows.ceilings if row.model == model]
            if [row.plain() for row in rows] != [row.plain() for row in result.rows]:
                faults.append("study.json has other ceilings than its file")
            yield RunCheck(f"{model} ceilings", not faults, "; ".join(faults) or "verified")


def _figures(study: StudyResult) -> Iterator[RunCheck]:
    """Every figure and target made again from the rows."""
    groups = grouped_figures(study.design, study.rows, study.protocol, study.weights.unfinished)
    for name, group in groups.items():
        stored = study.groups.get(name)
        same = stored is not None and stored.plain() == group.plain()
        yield RunCheck(f"figures of {name}", same, "equal" if same else "not those of the rows")
    beside = grouped_beside(study.design, study.rows, study.protocol, study.weights.unfinished)
    same = {name: each.plain() for name, each in beside.items()} == {
        name: each.plain() for name, each in study.beside.items()
    }
    yield RunCheck("beside", same, "equal" if same else "not those of the rows")
    others = ", ".join(sorted(set(study.groups) - set(groups)))
    yield RunCheck("groups", not others, f"none of the design: {others}" if others else "equal")
    same = study_targets(study.design, groups) == study.targets
    yield RunCheck("targets", same, "equal" if same else "not those of the figures")


def _depth(study: StudyResult, folder: Path) -> Iterator[RunCheck]:
    """The depth of every group made again from the files of the cases."""
    rows, unfinished = study.rows.ceilings, study.weights.unfinished
    depth = grouped_depth(folder, study.design, rows, study.protocol, unfinished)
    others = {
        name
        for name in depth.keys() | study.depth.keys()
        if name not in depth
        or name not in study.depth
        or study.depth[name].plain() != depth[name].plain()
    }
    detail = f"not those of the files: {', '.join(sorted(others))}" if others else "equal"
    yield RunCheck("depth", not others, detail)


def _registered(study: StudyResult, place: Path) -> Iterator[RunCheck]:
    """Whether the design was entered before the first commitment of the study."""
    chain = ledger_at(place).sound()
    entry = registration(chain, study.design_sha256)
    if entry is None:
        yield RunCheck("registration", False, "the design is not in the ledger")
        return
    wanted = {row.commitment_sha256 for row in study.protocol} | set(study.predicted.values())
    under = [e for e in chain.entries if e.kind == "commitment" and _of_design(e, study)]
    lost = len(wanted - {each.commitment for each in under})
    others = len({each.commitment for each in under} - wanted)
    early = sum(each.number < entry.number for each in under)
    by = code_of(entry, {each.planned.code for each in under if each.planned is not None})
    detail = (
        f"entry {entry.number} of {entry.time}; {len(under)} commitments after it, {early} before"
        f" it, {lost} in no ledger, {others} that the study does not tell of; measured by {by}"
    )
    passed = entry.link == study.registered and not (early or lost or others)
    yield RunCheck("registration", passed, detail)
    yield _weighed(study, chain, under)


def _weighed(study: StudyResult, chain: Chain, commitments: Sequence[Entry]) -> RunCheck:
    """Whether the weights of every model stood in the ledger before what is committed of it."""
    entered = {
        sha256: entry.number
        for entry in chain.entries
        if entry.weights is not None and entry.weights.design == study.design_sha256
        for sha256 in entry.weights.models.values()
    }
    blind = sum(entered.get(_model_of(each), each.number) >= each.number for each in commitments)
    as_told = weights_of(chain, study.design_sha256).plain() == study.weights.plain()
    detail = (
        f"{len(entered)} models entered, {'as' if as_told else 'not as'} study.json says; {blind}"
        " commitments before the weights of their model"
    )
    return RunCheck("weights", as_told and not blind, detail)


def _model_of(entry: Entry) -> str:
    """The hash of the weights that a commitment is about."""
    return entry.planned.model_sha256 if entry.planned is not None else ""


def _of_design(entry: Entry, study: StudyResult) -> bool:
    """Whether a commitment was made for this design."""
    settings = entry.planned.settings if entry.planned is not None else {}
    return settings.get("design") == study.design_sha256
