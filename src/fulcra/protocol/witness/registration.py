"""A design entered in a ledger before anything that it is about is measured."""

import secrets
from collections.abc import Mapping, Sequence

from fulcra.errors import InputError
from fulcra.protocol.witness.chain import Chain
from fulcra.protocol.witness.entries import Entry, Registered, new_entry
from fulcra.protocol.witness.ledger import Ledger


def require_named(design: str, needed: Sequence[str], models: Mapping[str, str]) -> None:
    """InputError where a design names no weights of a model that it needs."""
    unnamed = [name for name in needed if name not in models]
    if unnamed:
        raise InputError(
            f"design {design}: no hash of {len(unnamed)} models ({', '.join(unnamed)}); train"
            " them, and write what `python -m tools.design_models FOLDER` prints into the design"
        )


def required_registration(ledger: Ledger, design: str, sha256: str) -> Entry:
    """The entry of a design; InputError where it is not in the ledger."""
    entry = registration(ledger.sound(), sha256)
    if entry is None:
        raise InputError(
            f"design {design} ({sha256[:16]}) is not in ledger {ledger.path};"
            " register it before anything is measured: --register"
        )
    return entry


def register(ledger: Ledger, sha256: str, about: Registered) -> Entry:
    """The entry of a design, made once: a design that stands there already is left as it is.

    `sha256` is its hash. RunFolderError where the ledger is broken or cannot be written; InputError
    where another design of this name stands there.
    """
    draft = new_entry("registration", secrets.token_hex(16), sha256)
    draft = draft.model_copy(update={"registered": about})

    def make(chain: Chain) -> Entry:
        other = next((e for e in chain.entries if _names(e, about.name)), None)
        if other is not None and other.commitment != sha256:
            raise InputError(
                f"ledger {ledger.path}: entry {other.number} registers another design"
                f" {about.name} ({other.commitment[:16]}); a design is registered once: give a"
                " changed one another name"
            )
        return other or draft

    return ledger.enter(make)


def _names(entry: Entry, name: str) -> bool:
    return entry.registered is not None and entry.registered.name == name


def registration(chain: Chain, sha256: str) -> Entry | None:
    """The first entry that registers a design; None where it is not registered."""
    return next(
        (e for e in chain.entries if e.kind == "registration" and e.commitment == sha256), None
    )
