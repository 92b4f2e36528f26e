"""The model families in the terminal, each with the checks it passes."""

from collections.abc import Sequence

from fulcra.models.catalogue import FamilyReport
from fulcra.report.sheet import Sheet


def families_sheet(reports: Sequence[FamilyReport]) -> Sheet:
    """One row a family: what its neurons are, its effective write, and every check."""
    checks = [check.name for check in reports[0].checks]
    rows = []
    for report in reports:
        states = ["ok" if check.passed else "FAIL" for check in report.checks]
        rows.append((report.model_type, report.neurons, report.effective_write, *states))
    return Sheet(("model type", "neurons: input of", "effective write", *checks), rows)
