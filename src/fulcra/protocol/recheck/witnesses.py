"""What others hold against a run: its ledger, entry by entry, and who signed its seal."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fulcra.errors import InputError, RunFolderError
from fulcra.protocol.recheck.run_files import RunCheck
from fulcra.protocol.results.seal import SHA256, Link, Seal
from fulcra.protocol.seal import read_seal
from fulcra.protocol.witness.chain import Chain, printable
from fulcra.protocol.witness.entries import Entry, Planned
from fulcra.protocol.witness.ledger import Ledger, ledger_at
from fulcra.protocol.witness.seat import Receipt, planned, read_receipt
from fulcra.protocol.witness.signature import SIGNATURE, signer
from fulcra.protocol.witness.timestamp import write_query
from fulcra.store import COMMITMENT, SEAL, digest, read_json

#: How many digits of a hash a line shows.
SHORT = 12


class Named(NamedTuple):
    """What a run says of itself: hash and plan of its commitment, its receipt and its seal."""

    commitment: str
    about: Planned
    receipt: Receipt | None
    seal: Seal | None

    @classmethod
    def of(cls, folder: Path) -> "Named":
        """What the files of a run that can be read say."""
        stored = read_json(folder / COMMITMENT)
        about = planned(stored["content"]["plan"])
        return cls(stored["sha256"], about, read_receipt(folder), read_seal(folder))


class Witnesses(NamedTuple):
    """What others hold: a ledger, the hash of an entry as noted elsewhere, allowed signers."""

    ledger: Path | None = None
    head: str | None = None
    signers: Path | None = None

    def require_enough(self, folder: Path | None, root: str | None) -> None:
        """InputError where there is nothing to look at, or a witness has nothing to be held to."""
        if folder is None and self.ledger is None:
            raise InputError("verify: neither a run nor a ledger; give RUN, --ledger DIR, or both")
        if folder is None and (root, self.signers) != (None, None):
            raise InputError("verify: --root and --signers are about a run; give RUN")
        if self.ledger is None and self.head is not None:
            raise InputError("verify: --head is about a ledger; give --ledger DIR")
        if self.head is not None and not re.match(SHA256, self.head):
            raise InputError(f"--head {self.head}: expected the 64 hex digits of an entry's hash")

    def look(self, folder: Path | None) -> "LedgerLook":
        """The checks of a run, or of a ledger alone, by all that was given; the ledger's head."""
        signed = [] if self.signers is None or folder is None else [(folder, self.signers)]
        checks = [signature_check(*pair) for pair in signed]
        if self.ledger is None:
            return LedgerLook(checks, None)
        held = ledger_look(ledger_at(self.ledger), folder, self.head)
        return held._replace(checks=[*checks, *held.checks])


class LedgerLook(NamedTuple):
    """The checks of a ledger, and its last entry."""

    checks: list[RunCheck]
    head: Link | None


def ledger_look(ledger: Ledger, folder: Path | None = None, head: str | None = None) -> LedgerLook:
    """Whether a ledger is whole, what was abandoned or repeated in it, and the run's own entries.

    With the folder of a run only what concerns its model and behavior. `head` is the hash of an
    entry as noted elsewhere. RunFolderError where there is no ledger.
    """
    if not ledger.path.exists():
        raise RunFolderError(
            f"ledger {ledger.path}: no such file; give the folder that `fulcra audit --ledger` had"
        )
    chain = ledger.chain()
    checks = _whole(chain)
    if head is not None:
        stands = any(entry.sha256 == head for entry in chain.entries)
        detail = f"noted {head[:SHORT]}, {'stands there' if stands else 'no entry has that hash'}"
        checks.append(RunCheck("ledger head as noted", stands, detail))
    commitments = [entry for entry in chain.entries if entry.planned is not None]
    if folder is not None:
        run = Named.of(folder)
        checks += _own(chain, run)
        commitments = [entry for entry in commitments if _concerns(entry, run.about)]
    checks += [*_abandoned(chain, commitments), *_repeated(commitments)]
    shown = [check._replace(detail=printable(check.detail)) for check in checks]
    return LedgerLook(shown, None if chain.last is None else chain.last.link)


def _whole(chain: Chain) -> list[RunCheck]:
    """Whether every entry stands as it was written, in its order."""
    if chain.faults:
        return [RunCheck("ledger chain", False, fault) for fault in chain.faults]
    torn = "; a writer died in the last line, which counts for nothing" if chain.torn else ""
    return [RunCheck("ledger chain", True, f"{len(chain.entries)} entries{torn}")]


def _own(chain: Chain, run: Named) -> Iterator[RunCheck]:
    """Whether the run's commitment and its end stand in the ledger as the run has them."""
    entry = _entered(chain, run)
    if entry is None:
        detail = f"{run.commitment[:SHORT]} is missing: no entry of the ledger is of this run"
        yield RunCheck("ledger commitment", False, detail)
        return
    same = (entry.commitment, entry.planned) == (run.commitment, run.about)
    detail = f"entry {entry.number} {'is' if same else 'is not'} what the run committed to"
    yield RunCheck("ledger commitment", same, detail)
    over = next((each for each in chain.of_run(entry.run) if each.over), None)
    if over is None or over.outcome is None:
        yield RunCheck("ledger outcome", False, f"entry {entry.number} has no outcome")
        return
    sealed = None if run.seal is None else run.seal.made_root
    entered = over.outcome.seal
    agrees = entered == sealed is not None and over.number > entry.number
    roots = " and ".join("no root" if root is None else root[:SHORT] for root in (entered, sealed))
    yield RunCheck("ledger outcome", agrees, f"entry {over.number} and the seal: {roots}")


def _entered(chain: Chain, run: Named) -> Entry | None:
    """The entry of the run's commitment: the one its receipt names, else none."""
    if run.receipt is None or run.receipt.entered is None:
        return None
    entry = chain.numbered(run.receipt.entered.number)
    if entry is None or (entry.sha256, entry.run) != (run.receipt.entered.sha256, run.receipt.run):
        return None
    return entry


def _concerns(entry: Entry, about: Planned) -> bool:
    """Whether an entry is about the same model and behavior."""
    pairs = ("model_sha256", "behavior_sha256")
    return all(getattr(entry.planned, name) == getattr(about, name) for name in pairs)


def _abandoned(chain: Chain, commitments: Iterable[Entry]) -> list[RunCheck]:
    """Runs that committed to something and never came to an end."""
    over = {entry.run for entry in chain.entries if entry.over}
    ends = {entry.run: entry for entry in chain.entries if entry.outcome is not None}
    left = [entry for entry in commitments if entry.run not in over]
    details = [_abandonment(entry, ends.get(entry.run)) for entry in left]
    checks = [RunCheck("ledger abandoned", False, detail) for detail in details]
    return checks or [RunCheck("ledger abandoned", True, "every commitment has its outcome")]


def _abandonment(entry: Entry, stop: Entry | None) -> str:
    why = "killed, or still running"
    if stop is not None and stop.outcome is not None:
        why = f"stopped by {stop.outcome.stopped_by} at entry {stop.number}"
    return f"entry {entry.number}, {_about(entry)}: no outcome, {why}"


def _repeated(commitments: Iterable[Entry]) -> list[RunCheck]:
    """Commitments of one command, model and behavior that differ in seed, settings or code."""
    groups = defaultdict[tuple[str, str, str | None, str], list[Entry]](list)
    for entry in commitments:
        if entry.planned is not None:
            groups[entry.planned.subject].append(entry)
    repeated = [group for group in groups.values() if len(group) > 1]
    checks = [_repetition(group) for group in repeated]
    return checks or [RunCheck("ledger repeated", True, "nothing was committed twice")]


def _repetition(group: Sequence[Entry]) -> RunCheck:
    differing = len({entry.commitment for entry in group}) > 1
    numbers = ", ".join(str(entry.number) for entry in group)
    seeds = ", ".join(str(entry.planned and entry.planned.seed) for entry in group)
    how = f"differ in {_differences(group)}" if differing else "equal"
    detail = f"entries {numbers}, {_about(group[0])}: {how}; seeds {seeds}"
    return RunCheck("ledger repeated", not differing, detail)


def _differences(group: Sequence[Entry]) -> str:
    plans = [entry.planned.plain() for entry in group if entry.planned is not None]
    flat = [{**plan, **plan["settings"]} for plan in plans]
    keys = list(dict.fromkeys(key for plan in flat for key in plan if key != "settings"))
    changed = [key for key in keys if any(plan.get(key) != flat[0].get(key) for plan in flat)]
    return ", ".join(changed) or "what was predicted"


def _about(entry: Entry) -> str:
    about = entry.planned
    if about is None:
        return entry.run
    where = "" if about.neuron is None else f" of {about.neuron}"
    model, behavior = about.model_sha256[:SHORT], about.behavior_sha256[:SHORT]
    return f"{about.command}{where}, model {model}, behavior {behavior}"


def signature_check(folder: Path, signers: Path) -> RunCheck:
    """Whether one of the allowed signers signed the root of a run's seal."""
    seal, title = read_seal(folder), "signature"
    if seal is None:
        return RunCheck(title, False, f"no {SEAL} that it could be of")
    if not (folder / SIGNATURE).is_file():
        return RunCheck(title, False, f"no {SIGNATURE}; `fulcra sign RUN --key KEYFILE` makes one")
    name = signer(folder, seal.made_root, signers)
    if name is None:
        return RunCheck(title, False, f"of the root {seal.made_root[:SHORT]} by none of {signers}")
    return RunCheck(title, True, f"of the root {seal.made_root[:SHORT]} by {name}")


def write_stamp_query(folder: Path) -> Path:
    """The file of a query for a time stamp: of a run's seal, else of its commitment's hash.

    RunFolderError where the run has neither, or the hash in a file is not that of its content.
    """
    seal = read_seal(folder)
    if seal is not None:
        return write_query(folder, SEAL, _agreeing(folder / SEAL, seal.root, seal.made_root))
    if not (folder / COMMITMENT).is_file():
        raise RunFolderError(f"{folder}: no {SEAL} and no {COMMITMENT}; expected a run's folder")
    stored = read_json(folder / COMMITMENT)
    if not isinstance(stored, dict) or not {"sha256", "content"} <= set(stored):
        raise RunFolderError(f"{folder / COMMITMENT}: expected what `fulcra audit` wrote")
    made = digest(stored["content"])
    return write_query(folder, COMMITMENT, _agreeing(folder / COMMITMENT, stored["sha256"], made))


def _agreeing(path: Path, stated: str, made: str) -> str:
    if stated != made:
        raise RunFolderError(f"{path}: does not have the hash that it names; see `fulcra verify`")
    return made
