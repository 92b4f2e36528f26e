"""A design entered in a ledger before anything is measured, and each of its models before it is."""

import secrets
from collections.abc import Iterable, Mapping, Set

from fulcra.errors import InputError
from fulcra.protocol.results.weights import Weights
from fulcra.protocol.witness.chain import Chain
from fulcra.protocol.witness.entries import Entry, Registered, new_entry
from fulcra.protocol.witness.ledger import Ledger


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


def code_of(entry: Entry, versions: Set[str]) -> str:
    """Whether the code that a design was registered with is all that measured it, in words."""
    own = entry.registered.code if entry.registered is not None else ""
    return "the same code" if versions <= {own} else f"other code, {', '.join(sorted(versions))}"


def enter_weights(
    ledger: Ledger, design: str, models: Mapping[str, str], unfinished: Iterable[str] = ()
) -> None:
    """Enter the weights of models, by hash, that are to be measured for the design of that hash.

    Models that stand there with the same weights are not entered again; InputError where one stands
    there with others: a model is trained once.
    """

    def make(chain: Chain) -> Entry:
        there = weights_of(chain, design).models
        for name, sha256 in models.items():
            if there.get(name, sha256) != sha256:
                raise InputError(
                    f"{name}: weights {sha256[:16]}, the ledger {ledger.path} has"
                    f" {there[name][:16]} for this design; a model is trained once: give the folder"
                    " that was entered"
                )
        new = {name: sha256 for name, sha256 in models.items() if name not in there}
        if not new:
            return chain.entries[-1]
        late = tuple(name for name in unfinished if name in new)
        entry = new_entry("weights", secrets.token_hex(16), design)
        about = Weights(design=design, models=new, unfinished=late)
        return entry.model_copy(update={"weights": about})

    ledger.enter(make)


def weights_of(chain: Chain, design: str) -> Weights:
    """Every model that was entered for a design, by hash."""
    entered = [
        e.weights for e in chain.entries if e.weights is not None and e.weights.design == design
    ]
    return Weights(
        design=design,
        models={name: sha for each in entered for name, sha in each.models.items()},
        unfinished=tuple(name for each in entered for name in each.unfinished),
    )
