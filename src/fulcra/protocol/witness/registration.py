"""A design entered in a ledger before anything that it is about is measured."""

import secrets

from fulcra.protocol.witness.chain import Chain
from fulcra.protocol.witness.entries import Entry, Registered, new_entry
from fulcra.protocol.witness.ledger import Ledger


def register(ledger: Ledger, sha256: str, about: Registered) -> Entry:
    """The entry of a design, made once: a design that stands there already is left as it is.

    `sha256` is its hash. RunFolderError where the ledger is broken or cannot be written.
    """
    draft = new_entry("registration", secrets.token_hex(16), sha256)
    draft = draft.model_copy(update={"registered": about})
    return ledger.enter(lambda chain: registration(chain, sha256) or draft)


def registration(chain: Chain, sha256: str) -> Entry | None:
    """The first entry that registers a design; None where it is not registered."""
    return next(
        (e for e in chain.entries if e.kind == "registration" and e.commitment == sha256), None
    )
