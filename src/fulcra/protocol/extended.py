"""The verdicts of an extension, from commitments and rollouts alone, and the seal of its files.

The two looks: a run that left a branch undetermined looked at it once, and how many prompts follow
was chosen after that look, so a 95 % interval over all of them would not hold its 95 %. Each of the
two looks has an interval of 97.5 % instead (Bonferroni): both hold the true rate of a rung with at
least 95 %. The run itself drew its verdicts at 95 %, so the chance that one of its verdicts or one
of the extension's lies on the wrong side of one half at a rung is below 5 % + 2.5 %. There is one
extension a run: a third look has no level left.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from fulcra.errors import RunFolderError
from fulcra.formulas.intervals import wilson
from fulcra.law.edges import rates
from fulcra.law.verdict import observe
from fulcra.protocol.records import Record
from fulcra.protocol.results.base import fault_line
from fulcra.protocol.results.commitment import Commitment
from fulcra.protocol.results.extension import (
    Count,
    ExtendedBranch,
    ExtensionPlan,
    ExtensionResult,
    ExtensionSeal,
    Ladder,
    Looked,
    MorePrompts,
)
from fulcra.protocol.seal import merkle_root, sealed
from fulcra.protocol.shards import opened_rollouts
from fulcra.protocol.staged import Evidence
from fulcra.store import (
    COMMITMENT,
    EXTENSION,
    EXTENSIONS,
    MANIFEST,
    RECEIPT,
    ROLLOUTS,
    SALT,
    SEAL,
    json_bytes,
    read_json,
    write_json,
)

#: The confidence of each of two looks at one rate, of which both hold it with 95 %.
LEVEL = 0.975
RULE = (
    "two looks, 97.5 % each (Bonferroni): over the confirmation prompts of the run and these,"
    " leaking ones left out, open where at some gain at least half flip coherently at the last"
    " horizon; undetermined where the 97.5 % interval of the best gain spans one half; a rung that"
    " the run stopped early counts these prompts alone; one extension a run"
)
NOT_MEASURED = (
    "controls, ceilings, triggers, pins and other attacks: those of the run stand, and whether an"
    " opening is specific is not said"
)
#: Every file that the seal of an extension covers where it is there, besides its shards.
FILES = (MANIFEST, COMMITMENT, EXTENSION, ROLLOUTS, RECEIPT, SALT)


def extension_folder(run: Path) -> Path:
    """Where the one extension of a run stands."""
    return run / EXTENSIONS / "1"


def looked(
    content: Commitment, run: Sequence[Record], plan: ExtensionPlan, more: Sequence[Record]
) -> Looked:
    """The new prompts, and every extended branch over the prompts of both looks."""
    tau = plan.horizons[-1]
    undosed = [record for record in more if record.stage == "baseline"]
    prompts = MorePrompts(
        n=len(undosed),
        shown=sum(record.at(tau) == "unchanged" for record in undosed),
        leaking=sum(record.flipped(tau) for record in undosed),
    )
    evidence = Evidence([*_whole(content, run), *more], plan.horizons)
    branches = (_branch(ladder, plan, evidence) for ladder in plan.branches)
    made = Looked(prompts=prompts, branches=tuple(branches))
    return Looked.model_validate(made.plain())


def _whole(content: Commitment, run: Sequence[Record]) -> list[Record]:
    """The undosed records of a run, and its confirmation on rungs where no prompt was left out.

    A rung that was stopped early has few flips by construction, which further prompts do not undo.
    """
    evidence = Evidence(run, content.plan.horizons)
    quiet = set((content.plan.orders or {}).get("confirmation", ())) - evidence.leaking
    records = evidence.of("baseline", "undosed")
    for entry in content.branches:
        rolled = evidence.sealed("confirmation", entry.branch)
        for gain in content.gains_of(entry):
            rung = [record for record in rolled if record.gain == gain]
            records = [*records, *(rung if not quiet or len(rung) == len(quiet) else ())]
    return records


def _branch(ladder: Ladder, plan: ExtensionPlan, evidence: Evidence) -> ExtendedBranch:
    """One branch over both looks, at the gain that flips most, the first of equals."""
    name, gains, tau = ladder.branch, ladder.gains, evidence.verdict_horizon
    flips = evidence.flips("confirmation", name, gains, tau)
    observed = observe(gains, flips, plan.level)
    best = gains[int(np.nanargmax(rates(flips)))]
    at_best = [r for r in evidence.sealed("confirmation", name) if r.gain == best]
    new = set(plan.prompts)
    run = _count([r for r in at_best if r.prompt not in new], tau)
    more = _count([r for r in at_best if r.prompt in new], tau)
    interval = wilson(run.flipped + more.flipped, run.n + more.n, plan.level)
    return ExtendedBranch(
        branch=name,
        gain=best,
        run=run,
        more=more,
        rate=interval.value,
        low=interval.low,
        high=interval.high,
        level=plan.level,
        observed_open=observed.open,
        smallest_open_gain=observed.smallest_open_gain,
        verdict_before="undetermined",
        verdict=observed.verdict,
    )


def _count(records: Sequence[Record], horizon: int) -> Count:
    return Count(flipped=sum(record.flipped(horizon) for record in records), n=len(records))


def write_extension_seal(folder: Path, result: ExtensionResult) -> ExtensionSeal:
    """The seal of an extension whose files all stand but its result, written beside them."""
    shards = [stored.shard for stored in opened_rollouts(folder).shards]
    names = [name for name in FILES if name != EXTENSION] + [shard.file for shard in shards]
    paths = {name: folder / name for name in names}
    files = {name: sealed(path.read_bytes()) for name, path in paths.items() if path.is_file()}
    seal = ExtensionSeal(
        schema_version=1,
        extends=result.extends,
        files={**files, EXTENSION: sealed(json_bytes(result.plain()))},
        rows=sum(shard.rows for shard in shards),
        shards_root=merkle_root(shard.leaf for shard in shards),
        root="0" * 64,
    )
    seal = seal.model_copy(update={"root": seal.made_root})
    write_json(folder / SEAL, seal.plain())
    return seal


def read_extension_seal(folder: Path) -> ExtensionSeal:
    """The seal of a finished extension; RunFolderError where it is missing or broken."""
    try:
        return ExtensionSeal.model_validate(read_json(folder / SEAL))
    except ValidationError as error:
        raise _broken(folder / SEAL, error) from None


def read_extension_plan(stored: Mapping[str, object], folder: Path) -> ExtensionPlan:
    """The plan in the commitment of an extension; RunFolderError where it is none."""
    try:
        return ExtensionPlan.model_validate(stored.get("content"))
    except ValidationError as error:
        raise _broken(folder / COMMITMENT, error) from None


def _broken(path: Path, error: ValidationError) -> RunFolderError:
    return RunFolderError(f"{path}: {fault_line(error)}; expected what `fulcra audit --more` wrote")
