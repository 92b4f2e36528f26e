"""A run's place in a ledger: entered before its first dosed rollout, and its end after the last."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from fulcra.errors import FulcraError, InputError, RunFolderError
from fulcra.protocol.results.base import Value, fault_line
from fulcra.protocol.results.seal import Link
from fulcra.protocol.witness.chain import Chain
from fulcra.protocol.witness.entries import Entry, Outcome, Planned, new_entry
from fulcra.protocol.witness.ledger import ADVICE, Ledger, ledger_at
from fulcra.store import RECEIPT, RunFolder, plain, read_json, write_json

SCHEMA_VERSION = 1


class Receipt(Value):
    """What a run remembers of its ledger: its own id, the entry of its commitment, the last entry.

    Both entries are None until the commitment is entered.
    """

    schema_version: int
    run: str
    entered: Link | None
    last: Link | None


def read_receipt(folder: Path) -> Receipt | None:
    """The receipt of a run; None where it has none. RunFolderError where it is broken."""
    path = folder / RECEIPT
    if not path.exists():
        return None
    try:
        return Receipt.model_validate(read_json(path))
    except ValidationError as error:
        raise RunFolderError(f"{path}: {fault_line(error)}; expected a run's receipt") from None


class Seat(NamedTuple):
    """One run in one ledger."""

    ledger: Ledger
    folder: RunFolder
    run: str

    @contextmanager
    def entered(self, manifest: Mapping[str, object], sha256: str) -> Iterator[None]:
        """A block of dosed rollouts: the commitment is entered before, and a stop of it after."""
        self._commit(planned(manifest), sha256)
        try:
            yield
        except (KeyboardInterrupt, Exception) as error:
            with suppress(FulcraError):
                self.end(sha256, Outcome(state="stopped", stopped_by=type(error).__name__))
            raise

    def end(self, sha256: str, outcome: Outcome) -> Entry:
        """The entry of an outcome; RunFolderError where the run ended otherwise before."""

        def make(chain: Chain) -> Entry:
            over = [entry for entry in chain.of_run(self.run) if entry.over]
            if not over:
                entry = new_entry("outcome", self.run, sha256)
                return entry.model_copy(update={"outcome": outcome})
            if over[0].outcome != outcome:
                raise RunFolderError(
                    f"{self.folder.path}: is not what entry {over[0].number} of ledger"
                    f" {self.ledger.path} says that it ended as; see `fulcra verify --ledger`"
                )
            return over[0]

        return self.ledger.enter(make)

    def resume(self, receipt: Receipt) -> None:
        """Enter that the run goes on, where its commitment was entered before.

        RunFolderError where the ledger was cut back or edited since.
        """
        chain = self.ledger.sound()
        for link in (receipt.entered, receipt.last):
            if link is not None:
                self._require(chain, link)
        commitment = _commitment(chain, self.run)
        if commitment is None and receipt.entered is not None:
            raise RunFolderError(
                f"{self.folder.path / RECEIPT}: was edited: entry {receipt.entered.number} of"
                f" ledger {self.ledger.path} is of another run; choose a new --out"
            )
        if commitment is not None and not self.folder.finished:
            resumption = new_entry("resumption", self.run, commitment.commitment)
            self._remember(commitment, self.ledger.enter(lambda chain: resumption))

    def _commit(self, about: Planned, sha256: str) -> None:
        commitment = _commitment(self.ledger.sound(), self.run)
        if commitment is None:
            if self.folder.has_dosed_parts():
                raise RunFolderError(
                    f"{self.folder.path}: holds dosed rollouts but its commitment is in no ledger;"
                    " a commitment is never entered afterwards, choose a new folder"
                )
            draft = new_entry("commitment", self.run, sha256).model_copy(update={"planned": about})
            commitment = self.ledger.enter(lambda chain: _commitment(chain, self.run) or draft)
            self._remember(commitment, commitment)
        if commitment.commitment != sha256:
            raise RunFolderError(
                f"{self.folder.path}: makes another commitment than entry {commitment.number} of"
                f" ledger {self.ledger.path}; choose a new folder"
            )

    def _require(self, chain: Chain, link: Link) -> None:
        entry = chain.numbered(link.number)
        if entry is None or entry.sha256 != link.sha256:
            fault = "was cut back" if entry is None else "was edited"
            raise RunFolderError(
                f"ledger {self.ledger.path}: {fault} since {self.folder.path} was entered: entry"
                f" {link.number} is {'gone' if entry is None else 'another'}; {ADVICE}"
            )

    def _remember(self, commitment: Entry, last: Entry) -> None:
        receipt = Receipt(
            schema_version=SCHEMA_VERSION, run=self.run, entered=commitment.link, last=last.link
        )
        write_json(self.folder.path / RECEIPT, receipt.plain())


def seat_of(folder: RunFolder | None, place: Path | None) -> Seat | None:
    """The place of a run in the ledger that was asked for; None where it has and wants none.

    Where the run goes on, that is entered. RunFolderError where the ledger is not the run's, or
    was changed since.
    """
    if folder is None or place is None:
        if folder is not None:
            _require_no_ledger(folder)
        return None
    receipt = read_receipt(folder.path)
    if folder.finished and (receipt is None or receipt.entered is None):
        raise RunFolderError(
            f"{folder.path}: ended without a ledger; a run is never entered afterwards, leave out"
            " --ledger or choose a new --out"
        )
    if receipt is None:
        run = secrets.token_hex(16)
        receipt = Receipt(schema_version=SCHEMA_VERSION, run=run, entered=None, last=None)
        write_json(folder.path / RECEIPT, receipt.plain())
    seat = Seat(ledger_at(place), folder, receipt.run)
    seat.resume(receipt)
    return seat


def require_ledger(place: Path | None, out: Path | None) -> None:
    """A refusal unless a run in `out` can be entered in the ledger at `place`, if one is asked for.

    InputError or RunFolderError.
    """
    if place is None:
        return
    if out is None:
        raise InputError("--ledger: a run that is kept in no folder cannot be entered; give --out")
    ledger = ledger_at(place)
    if out.resolve() in ledger.path.resolve().parents:
        raise InputError(f"--ledger {place}: lies in the run's own folder; choose another")
    ledger.sound()


def _require_no_ledger(folder: RunFolder) -> None:
    receipt = read_receipt(folder.path)
    if receipt is not None and receipt.entered is not None and not folder.finished:
        raise RunFolderError(
            f"{folder.path}: was entered in a ledger as entry {receipt.entered.number}; give that"
            " ledger as --ledger, or choose a new --out"
        )


def _commitment(chain: Chain, run: str) -> Entry | None:
    """The entry of a run's commitment; None where it has none."""
    return next((each for each in chain.of_run(run) if each.kind == "commitment"), None)


def planned(manifest: Mapping[str, object]) -> Planned:
    """What a run's manifest, or the plan of its commitment, says of it."""
    content = {name: manifest[name] for name in Planned.model_fields if name in manifest}
    settings = manifest["settings"]
    seed = settings.get("seed") if isinstance(settings, Mapping) else None
    return Planned.model_validate(plain({**content, "seed": seed}))
