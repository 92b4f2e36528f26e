"""The second look at a recipe study: its design, its ledger, every audit, every figure again."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fulcra.defence.auditing import audit_side
from fulcra.defence.hardened import SideEntry
from fulcra.defence.recipes.entries import RecipeDesign, RecipeRow, RecipesResult
from fulcra.defence.recipes.figures import figured
from fulcra.defence.recipes.study import AUDIT_RUN, ROW
from fulcra.protocol.recheck.run_files import RunCheck
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.witness.ledger import ledger_at
from fulcra.protocol.witness.registration import code_of, registration, weights_of
from fulcra.store import read_json

#: Every check of the folder of one run.
Verify = Callable[[Path], Sequence[RunCheck]]
#: What of a side is not in its audit but measured beside it.
BESIDE = {"allowed", "accuracy", "over_refusal", "several", "undo", "seconds"}


def recipe_checks(folder: Path, ledger: Path | None, verify: Verify) -> list[RunCheck]:
    """Every check of a recipe study's folder; with its ledger, that the design stood there first.

    RunFolderError where recipes.json is broken or the folder of an audit is gone.
    """
    result = RecipesResult.load(folder)
    made = result.design.sha256
    detail = f"recipes.json says {result.design_sha256[:12]}, made again {made[:12]}"
    names = {row.organism for row in result.rows}
    lost = set(result.design.needed[1:]) ^ names
    return [
        RunCheck("design hash", made == result.design_sha256, detail),
        RunCheck(
            "organisms",
            not lost and len(names) == len(result.rows),
            f"{len(names)} of {len(result.design.needed) - 1} measured",
        ),
        *(_row(result, row, folder, verify) for row in result.rows),
        _figures(result),
        *([] if ledger is None else _registered(result, ledger)),
    ]


def _row(result: RecipesResult, row: RecipeRow, folder: Path, verify: Verify) -> RunCheck:
    """One organism: its row is that of its folder, and says what its audit does.

    Freedom, norm, matrices, steps, the hold, several neurons together and what undoes it are not
    made again: they need its weights.
    """
    place = folder / row.organism
    faults = [f"{c.name}: {c.detail}" for c in verify(place / AUDIT_RUN) if not c.passed]
    if RecipeRow.model_validate(read_json(place / ROW)) != row:
        faults.append("recipes.json has another row than its folder")
    audit = AuditResult.load(place / AUDIT_RUN)
    audited = SideEntry.model_validate(audit_side(row.way, audit).plain())
    if audited.model_dump(exclude=BESIDE) != row.audit.model_dump(exclude=BESIDE):
        faults.append("its row says what its audit does not")
    if row.organism not in result.design.organisms.get(row.way, ()):
        faults.append("its row names another way than the design")
    if not as_designed(audit, result.design):
        faults.append("its audit has another size or behavior than the design")
    if row.design != result.design_sha256:
        faults.append("its row names another design")
    return RunCheck(row.organism, not faults, "; ".join(faults) or "as its audit says")


def as_designed(audit: AuditResult, design: RecipeDesign) -> bool:
    """Whether an audit is of the size and the behavior that every organism has."""
    made, size = audit.settings, design.size
    same = (made.neurons, made.random, made.controls, made.seed) == tuple(size.plain().values())
    return same and audit.behavior.name.partition("@")[0] == design.behavior


def _figures(result: RecipesResult) -> RunCheck:
    """Every figure made again from the rows."""
    again = result.model_copy(update=figured(result.design, result.rows)._asdict())
    same = again.plain() == result.plain()
    return RunCheck("figures", same, "equal" if same else "not those of the rows")


def _registered(result: RecipesResult, place: Path) -> Iterator[RunCheck]:
    """Whether design and weights stand in the ledger as recipes.json says."""
    chain = ledger_at(place).sound()
    entry = registration(chain, result.design_sha256)
    if entry is None:
        yield RunCheck("registration", False, "the design is not in the ledger")
        return
    weights = weights_of(chain, result.design_sha256)
    early = sum(
        each.number < entry.number
        for each in chain.entries
        if each.weights is not None and each.weights.design == result.design_sha256
    )
    by = code_of(entry, {row.code for row in result.rows})
    detail = f"entry {entry.number} of {entry.time}; audited by {by}"
    yield RunCheck("registration", entry.link == result.registered, detail)
    as_told = weights.plain() == result.weights.plain()
    there = {row.organism for row in result.rows} <= set(weights.models)
    own = all(weights.models.get(r.organism) == r.audit.model.sha256 for r in result.rows)
    detail = f"{len(weights.models)} models entered, {early} before the design"
    yield RunCheck("weights", as_told and there and own and not early, detail)
