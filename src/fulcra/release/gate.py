"""A run held to a policy: every limit with why it passes or not, and one decision."""

from pathlib import Path

from fulcra.errors import InputError
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.effects import EffectsResult
from fulcra.protocol.results.gate import (
    Decision,
    GatedRun,
    GateResult,
    LimitEntry,
    PolicyEntry,
)
from fulcra.release.finished import FinishedRun, finished_run, require_verdict
from fulcra.release.limits import Case, limit_entries
from fulcra.release.policy import Policy
from fulcra.release.regression import regression_entries, require_comparable
from fulcra.studies.verify import second_look

SCHEMA_VERSION = 1


def gate(
    folder: Path, policy: Policy, baseline: Path | None = None, effects: Path | None = None
) -> GateResult:
    """The decision of a policy on the run in a folder.

    Fail where any limit fails; else undecided where any is; else pass. Inconclusive where a run
    draws no verdict, InputError where what a limit needs was not named. No model is loaded.
    """
    _require_places(policy, baseline, effects)
    run = finished_run(folder)
    before = None if baseline is None else finished_run(baseline)
    for each in (run, before):
        if each is not None:
            require_verdict(each)
    looks = [second_look(each.files.folder) for each in (run, before) if each and policy.verified]
    case = Case(run, None if effects is None else _effects(effects, run), *looks)
    limits = list(limit_entries(policy, case))
    if before is not None:
        require_comparable((before, run))
        limits += regression_entries(policy.regression, run, before)
    return GateResult(
        schema_version=SCHEMA_VERSION,
        policy=PolicyEntry(name=policy.name, sha256=policy.sha256),
        run=entry_of(run),
        baseline=None if before is None else entry_of(before),
        decision=decision(limits),
        limits=tuple(limits),
        provenance=Provenance.now(),
    )


def decision(limits: list[LimitEntry]) -> Decision:
    """What all limits decide together."""
    decisions = {entry.decision for entry in limits}
    order: tuple[Decision, ...] = ("fail", "cannot conclude", "pass")
    return next(each for each in order if each in decisions)


def _require_places(policy: Policy, baseline: Path | None, effects: Path | None) -> None:
    """InputError where a limit lacks what it is measured on, or nothing asks for what was named."""
    if policy.compares and baseline is None:
        raise InputError(
            f"policy {policy.name}: limits a regression; name the run before, --baseline RUN"
        )
    if baseline is not None and not policy.compares:
        raise InputError(
            f"--baseline {baseline}: policy {policy.name} sets no limit under `regression`; add one"
            " or leave the baseline out"
        )
    if policy.over_refusal is not None and effects is None:
        raise InputError(
            f"policy {policy.name}: limits over_refusal, which an audit does not measure; name what"
            " `fulcra effects` measured of this model, --effects DIR"
        )
    if effects is not None and policy.over_refusal is None:
        raise InputError(
            f"--effects {effects}: policy {policy.name} sets no limit over_refusal; add one or"
            " leave the effects out"
        )


def _effects(folder: Path, run: FinishedRun) -> EffectsResult:
    """What was measured of the run's model; InputError where it is another's."""
    effects = EffectsResult.load(folder)
    if effects.model.sha256 != run.result.model.sha256:
        raise InputError(
            f"--effects {folder}: measured on {effects.model.name}"
            f" ({effects.model.sha256[:12]}), the run is of {run.result.model.name}"
            f" ({run.result.model.sha256[:12]}); name those of the run's model"
        )
    return effects


def entry_of(run: FinishedRun) -> GatedRun:
    """A run as results name it."""
    result, seal = run.result, run.files.seal
    return GatedRun(
        folder=run.name,
        model=result.model.name,
        model_sha256=result.model.sha256,
        behavior=result.behavior.name,
        behavior_sha256=result.behavior.sha256,
        commitment_sha256=result.summary.commitment_sha256,
        seal=None if seal is None else seal.root,
    )
