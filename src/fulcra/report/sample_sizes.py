"""How many rollouts each rate of an audit rests on."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Rung


class Sizes(NamedTuple):
    """The rollouts of one rung by their prompts; None where the audit does not say."""

    confirmation: int | None
    selection: int | None
    generic: int | None


def sizes(audit: "AuditResult", rung: "Rung") -> Sizes:
    """The numbers of one rung; of a curtailed audit they differ from rung to rung."""
    if audit.settings.measure != "full":
        return Sizes(rung.n_confirmation, rung.n_selection, rung.n_generic)
    confirmation, splits = confirmed(audit), audit.behavior.splits
    return Sizes(confirmation, _selected(audit, confirmation), splits.get("ceiling_generic"))


def confirmed(audit: "AuditResult") -> int | None:
    """The confirmation prompts that do not flip undosed: what every other attack was tried on."""
    return max((row.n for row in audit.context), default=None)


def _selected(audit: "AuditResult", confirmation: int | None) -> int | None:
    """The selection prompts that do not flip undosed: of all such prompts, the others."""
    if confirmation is None:
        return None
    sealed = round(audit.baseline.n * (1 - audit.baseline.leak))
    return max(sealed - confirmation, 0)
