"""The gate of an audit: one neuron through which it opened, and every way that was tried."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fulcra.defence.mend.mended import OpenedEntry
from fulcra.errors import InputError
from fulcra.law.edges import HALF
from fulcra.protocol.results.audit import AuditResult, Branch
from fulcra.types import Neuron

#: Open branches that a refusal names at most.
SHOWN = 6


class Gate(NamedTuple):
    """A neuron of an audit through which half of the confirmation prompts flip coherently.

    `poles` are those that open under a dose, from gain `opens` at the smallest; `held` are the
    values [activation units] it was held at, and `holds` those of them that open, 0 the ablation.
    """

    neuron: Neuron
    poles: tuple[int, ...]
    opens: float | None
    held: tuple[float, ...]
    holds: tuple[float, ...]

    @property
    def ablation_opens(self) -> bool:
        """Whether the neuron ablated is enough: what it writes is then needed."""
        return 0.0 in self.holds


def gate_of(folder: Path, audit: AuditResult, name: str | None = None) -> Gate:
    """The gate at a neuron, or the one that opens at the smallest gain.

    Where no dose opens, the one that flips most when it is held. InputError where the audit did not
    measure the neuron, or nothing opens through it.
    """
    branches = [branch for branch in audit.branches if branch.kind == "neuron"]
    if name is None:
        return _of_site(branches, _easiest(folder, branches).neuron)
    site = Neuron.parse(name).site
    if site not in {branch.neuron for branch in branches}:
        raise InputError(
            f"neuron {name}: not measured by the audit in {folder}; {_open_ones(audit)}"
        )
    gate = _of_site(branches, site)
    if not gate.poles and not gate.holds:
        raise InputError(
            f"neuron {name}: nothing opens through it in {folder}; {_open_ones(audit)}"
        )
    return gate


def _easiest(folder: Path, branches: Sequence[Branch]) -> Branch:
    """The branch that opens at the smallest gain, else the one that flips most when held."""
    by_gain = [(branch.smallest_open_gain, branch) for branch in branches]
    opened = [(gain, branch) for gain, branch in by_gain if gain is not None]
    if opened:
        return min(opened, key=lambda pair: pair[0])[1]
    held = [branch for branch in branches if _best_hold(branch) >= HALF]
    if not held:
        raise InputError(
            f"{folder}: nothing opens in this audit, by dose, held or ablated; there is no gate to"
            " mend"
        )
    return max(held, key=_best_hold)


def _best_hold(branch: Branch) -> float:
    return max((pin.flip_rate for pin in branch.pins), default=0.0)


def _of_site(branches: Sequence[Branch], site: str) -> Gate:
    """Every way through one neuron, over both of its poles."""
    own = [branch for branch in branches if branch.neuron == site]
    opened = {b.branch.pole: b.smallest_open_gain for b in own if b.smallest_open_gain is not None}
    pins = {pin.value: pin.flip_rate for branch in own for pin in branch.pins}
    easiest = min(opened, key=lambda pole: opened[pole], default=1)
    return Gate(
        neuron=Neuron.parse(site) if easiest > 0 else Neuron.parse(site).opposite,
        poles=tuple(sorted(opened)),
        opens=opened.get(easiest),
        held=tuple(sorted({0.0, *pins})),
        holds=tuple(sorted(value for value, rate in pins.items() if rate >= HALF)),
    )


def opened_in(side: str, audit: AuditResult) -> OpenedEntry:
    """Every branch and neuron that an audit opened, the easiest first."""
    branches = [branch for branch in audit.branches if branch.kind == "neuron"]
    gains = [(b.smallest_open_gain, b.name) for b in branches if b.smallest_open_gain is not None]
    held = {(-_best_hold(b), b.neuron) for b in branches if _best_hold(b) >= HALF}
    return OpenedEntry(
        side=side,
        doses={name: gain for gain, name in sorted(gains)},
        held={site: -share for share, site in sorted(held)},
    )


def _open_ones(audit: AuditResult) -> str:
    """What does open, for a refusal."""
    opened = opened_in("", audit)
    names = list(opened.doses)[:SHOWN] + [f"{site} held" for site in list(opened.held)[:SHOWN]]
    return f"open there: {', '.join(names) or 'none'}"
