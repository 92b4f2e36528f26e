"""The model families in the terminal, each with the checks it passes."""

from collections.abc import Sequence

from rich.table import Table

from fulcra.models.catalogue import FamilyReport


def families_terminal(reports: Sequence[FamilyReport]) -> Table:
    """One row a family: what its neurons are, its effective write, and every check."""
    checks = [check.name for check in reports[0].checks]
    table = Table("model type", "neurons: input of", "effective write", *checks)
    for report in reports:
        states = ["ok" if check.passed else "FAIL" for check in report.checks]
        table.add_row(report.model_type, report.neurons, report.effective_write, *states)
    return table
