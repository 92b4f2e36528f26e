"""`fulcra audit --more`: further confirmation prompts for the undetermined branches of a run."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from fulcra.behaviors import behavior_sha256
from fulcra.behaviors.splits import texts_sha256
from fulcra.errors import Inconclusive, InputError, RunFolderError
from fulcra.models import Model
from fulcra.protocol.commit import commit
from fulcra.protocol.evidence import BASELINE_RATE
from fulcra.protocol.extended import (
    LEVEL,
    NOT_MEASURED,
    RULE,
    extension_folder,
    looked,
    read_extension_seal,
    write_extension_seal,
)
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Progress
from fulcra.protocol.provenance import code_version
from fulcra.protocol.recheck.run_files import RunFiles, read_run
from fulcra.protocol.records import Record
from fulcra.protocol.results.base import Named
from fulcra.protocol.results.extension import ExtensionPlan, ExtensionResult, ExtensionSeal, Ladder
from fulcra.protocol.runs import Run, manifest_of, provenance_of
from fulcra.protocol.shards import list_shards
from fulcra.protocol.source import Sources, extensible_behavior, reopened_model
from fulcra.protocol.subject import Subject, in_tokens_of, reference_named
from fulcra.protocol.trials import dose_trials, set_trials
from fulcra.protocol.witness.entries import Outcome
from fulcra.protocol.witness.ledger import ledger_at
from fulcra.protocol.witness.seat import Seat, read_receipt
from fulcra.report.deciding import deciding_line
from fulcra.store import EXTENSION, RunFolder, plain
from fulcra.studies.verify import second_look
from fulcra.types import Behavior, Neuron, Prompt

#: The commands whose runs hold verdicts.
COMMANDS = ("audit", "window")


class Extended(NamedTuple):
    """A finished run, the behavior it audited, and confirmation prompts that it has not seen."""

    run: RunFiles
    behavior: Behavior
    prompts: tuple[Prompt, ...]

    @property
    def ladders(self) -> tuple[Ladder, ...]:
        """The undetermined branches, each with the gains it was dosed at."""
        content = self.run.content
        undecided = {b.name for b in self.run.result.neurons if b.verdict == "undetermined"}
        return tuple(
            Ladder(branch=entry.branch, gains=content.gains_of(entry))
            for entry in content.branches
            if entry.branch in undecided
        )

    @property
    def taken(self) -> Behavior:
        """The behavior with the new prompts in place of the confirmation that the run took."""
        return replace(self.behavior, confirmation=self.prompts, reserve=())


def extend(
    folder: Path,
    sources: Sources = Sources(),
    progress: Progress | None = None,
    ledger: Path | None = None,
) -> ExtensionResult:
    """What more confirmation prompts show of a run's undetermined branches, kept beside the run.

    Committed to before the first dosed rollout; an interrupted extension goes on, of a finished one
    what stands there. No file of the run is touched; controls and ceilings are not measured again.
    InputError or RunFolderError where the run cannot be extended, Inconclusive where the new
    prompts do not show the behavior. Cost: branches x gains x prompts short rollouts.
    """
    require_sound(folder)
    out = extension_folder(folder)
    if (out / EXTENSION).is_file():
        return _standing(out, sources, ledger)
    extended = extensible(read_run(folder), sources)
    _require_ledger(folder, ledger)
    model = reopened_model(folder, sources)
    made = manifest_of(
        "extend",
        model,
        extended.taken,
        {"seed": extended.run.content.plan.settings["seed"]},
        extends=_root(extended.run),
    )
    run = Run.open(made, out, progress, ledger)
    subject = _subject(run, extended, model)
    return _measured(run, extended, subject)


def require_sound(folder: Path) -> None:
    """RunFolderError unless the run has a seal and passes every check of `fulcra verify`."""
    look = second_look(folder)
    if (fault := next((check for check in look.checks if not check.passed), None)) is not None:
        raise RunFolderError(
            f"{folder}: fails `fulcra verify` ({fault.name}: {fault.detail}); only a run that"
            " passes is extended"
        )
    if look.root is None:
        raise RunFolderError(
            f"{folder}: has no seal that an extension could name; audit again, and extend that run"
        )


def extensible(run: RunFiles, sources: Sources = Sources()) -> Extended:
    """A run with undetermined branches and the prompts that it has not seen; refused without."""
    folder = run.folder
    if run.manifest["command"] not in COMMANDS or run.content.plan.engine is not None:
        raise InputError(
            f"{folder}: expected an audit or a window that the local engine rolled out; audit again"
        )
    if not run.result.summary.protocol_reproduced:
        raise Inconclusive(
            f"{folder}: no verdict is drawn of this run (protocol_not_reproduced), which more"
            " prompts do not change"
        )
    extended = Extended(run, *extensible_behavior(folder, sources.behaviors))
    if not extended.ladders:
        raise InputError(f"{folder}: no branch is undetermined; there is nothing to extend")
    if not extended.prompts:
        count = run.result.behavior.splits["confirmation"]
        raise InputError(
            f"{folder}: {run.result.behavior.name} has no confirmation prompt beyond the {count} of"
            f" the run; {deciding_line(run.result)} Give the audited file with more prompts behind"
            " these as --behavior FILE (at 97.5 %, about a fifth more)"
        )
    return extended


def _standing(out: Path, sources: Sources, ledger: Path | None) -> ExtensionResult:
    """A finished extension, which further prompts cannot be added to."""
    if sources.behaviors:
        raise InputError(
            f"{out}: this run was extended, and a third look has no level left; audit again with"
            " more prompts, or leave out --behavior to see what stands"
        )
    result, receipt = ExtensionResult.load(out), read_receipt(out)
    if ledger is not None and receipt is None:
        raise RunFolderError(
            f"{out}: ended without a ledger; an extension is never entered afterwards, leave out"
            " --ledger"
        )
    if ledger is not None and receipt is not None:
        seat = Seat(ledger_at(ledger), RunFolder(out), receipt.run)
        _enter_end(seat, result, read_extension_seal(out))
    return result


def _require_ledger(folder: Path, ledger: Path | None) -> None:
    """RunFolderError where the run stands in a ledger and its extension would not."""
    receipt = read_receipt(folder)
    if receipt is not None and receipt.entered is not None and ledger is None:
        raise RunFolderError(
            f"{folder}: was entered in a ledger as entry {receipt.entered.number}; give that ledger"
            " as --ledger, for its extension to be entered too"
        )


def _root(run: RunFiles) -> str:
    """The root of the seal of a run that has one."""
    return "" if run.seal is None else run.seal.root


def _subject(run: Run, extended: Extended, model: Model) -> Subject:
    """The subject of the run again; InputError where its clean ground comes out otherwise."""
    planned = extended.run.content.plan
    with run.clock.step("clean ground", 0):
        behavior = in_tokens_of(model, extended.behavior)
        judge = reference_named(model, behavior, planned.reference)
        subject = Subject.of(model, behavior, planned.settings["seed"], judge)
    ground = subject.ground
    again = (ground.text.sha256, plain(asdict(ground.standard)), ground.reference.name)
    if again != (planned.generic_sha256, planned.coherence, planned.reference):
        raise InputError(
            f"{extended.run.folder}: its generic text and standard of coherence come out otherwise"
            " here, so old and new rollouts cannot be counted together; extend it on the machine"
            " and with the code that audited"
        )
    return subject


def _measured(run: Run, extended: Extended, subject: Subject) -> ExtensionResult:
    """The extension: undosed prompts, the commitment, the doses, the result under its seal."""
    measure = Measurement(subject, subject.horizons, run.folder, run.salt)
    prompts = extended.prompts
    with run.clock.step("baseline", len(prompts)) as bar:
        undosed = set_trials(subject, "baseline", "undosed", (), prompts)
        records = measure("baseline", undosed, bar.advance)
    _require_shown(extended.run.folder, records)
    committed = _plan(run, extended, subject)
    sha256 = commit(run.folder, committed.plain())
    with run.entered(sha256):
        trials = [
            trial
            for ladder in committed.branches
            for trial in dose_trials(
                subject,
                "confirmation",
                [subject.coordinate(Neuron.parse(ladder.branch))],
                ladder.gains,
                prompts,
            )
        ]
        with run.clock.step("confirmation", len(trials)) as bar:
            records += measure("confirmation", trials, bar.advance)
    result = _result(run, extended, committed, records, subject)
    return _saved(run, measure, result.model_copy(update={"commitment_sha256": sha256}))


def _require_shown(folder: Path, undosed: Sequence[Record]) -> None:
    """Inconclusive unless half of the new prompts show the behavior undosed, as in an audit."""
    shown = sum(record.at(record.horizons[-1]) == "unchanged" for record in undosed)
    if shown < BASELINE_RATE * len(undosed):
        raise Inconclusive(
            f"{folder}: undosed, the model shows the behavior on {shown} of the {len(undosed)} new"
            " prompts; half are needed: give others"
        )


def _plan(run: Run, extended: Extended, subject: Subject) -> ExtensionPlan:
    """What is committed to, its numbers with the digits that files hold."""
    made = ExtensionPlan(
        **run.manifest,
        extended_commitment=extended.run.stored["sha256"],
        branches=extended.ladders,
        prompts=tuple(prompt.id for prompt in extended.prompts),
        prompts_sha256=texts_sha256(prompt.text for prompt in extended.prompts),
        horizons=subject.horizons,
        level=LEVEL,
        rule=RULE,
    )
    return ExtensionPlan.model_validate(made.plain())


def _result(
    run: Run,
    extended: Extended,
    committed: ExtensionPlan,
    records: Sequence[Record],
    subject: Subject,
) -> ExtensionResult:
    """What the extension shows; the hash of its commitment is put in by the caller."""
    source, ground = extended.run, subject.ground
    both = looked(source.content, source.records, committed, records)
    return ExtensionResult(
        schema_version=1,
        extends=committed.extends,
        commitment_sha256="",
        model=Named(name=committed.model, sha256=committed.model_sha256),
        behavior=Named(name=committed.behavior, sha256=behavior_sha256(extended.taken)),
        rule=committed.rule,
        not_measured=NOT_MEASURED,
        prompts=both.prompts,
        branches=both.branches,
        same_code=source.result.provenance.code == code_version(),
        provenance=provenance_of(
            subject.model, generic_sha256=ground.text.sha256, reference=ground.reference.name
        ),
        timing=run.clock.timing(),
    )


def _saved(run: Run, measure: Measurement, result: ExtensionResult) -> ExtensionResult:
    """The result as its file holds it, under the seal of the extension; its end entered."""
    result = ExtensionResult.of(result.plain())
    if run.folder is None:
        return result
    list_shards(run.folder.path, measure.shards)
    seal = write_extension_seal(run.folder.path, result)
    result.write(run.folder.path)
    run.folder.drop_parts()
    if run.seat is not None:
        _enter_end(run.seat, result, seal)
    return result


def _enter_end(seat: Seat, result: ExtensionResult, seal: ExtensionSeal) -> None:
    """Enter in the ledger how an extension ended, once."""
    verdicts = [branch.verdict for branch in result.branches]
    counts = {name: verdicts.count(name) for name in ("open", "closed", "undetermined")}
    counts = {"rollouts": seal.rows, **counts}
    ended = Outcome(state="finished", seal=seal.root, counts=counts)
    seat.end(result.commitment_sha256, ended)
