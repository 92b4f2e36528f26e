"""What fulcra supports, and what of it holds: every family's row, checked on a tiny model."""

from dataclasses import dataclass

from fulcra.models.check_entries import Check
from fulcra.models.checks import check
from fulcra.models.families import FAMILIES
from fulcra.models.tiny import tiny


@dataclass(frozen=True, slots=True)
class FamilyReport:
    """One family in words, and its checks on a tiny random model in float32."""

    model_type: str
    transformers_class: str
    neurons: str
    effective_write: str
    stream: str
    checks: tuple[Check, ...]
    note: str

    @property
    def passed(self) -> bool:
        """Whether every check of the family passed."""
        return all(entry.passed for entry in self.checks)


def family_report(model_type: str) -> FamilyReport:
    """The report of one family; some hundredths of a second."""
    row, model = FAMILIES[model_type], tiny(model_type)
    neurons, write = row.down + (", transposed" if row.transposed else ""), "column"
    if row.experts:
        neurons, write = f"{row.experts}, expert by expert", "router weight x column"
    if row.post_norm:
        write = f"column through {row.post_norm}, capped"
    stream = "mean-centred" if row.stream == "layer" else "as it is"
    stream += ", parallel block" if row.parallel else ""
    return FamilyReport(
        model_type, type(model.hf).__name__, neurons, write, stream, tuple(check(model)), row.note
    )


def families_table() -> list[FamilyReport]:
    """The reports of all families, verified anew."""
    return [family_report(model_type) for model_type in FAMILIES]


def families_markdown() -> str:
    """The table of families as a page; holds no number that depends on the machine."""
    head = (
        "# Model families\n\nWritten by `fulcra families --markdown`; do not edit. Every row is"
        " checked on a tiny random model\nof the family in float32, and again on the model itself"
        " whenever one is loaded: `fulcra check MODEL` prints the numbers.\n"
    )
    reports = families_table()
    laws = {entry.name: entry.law for entry in reports[0].checks}
    checks = "\n".join(f"- `{name}`: {law}" for name, law in laws.items())
    rows = [
        f"| {' | '.join(cells)} |"
        for cells in (HEADINGS, ["---"] * len(HEADINGS), *map(cells_of, reports))
    ]
    added = (
        "\nAnother family is a row in `fulcra/models/families.py` and a tiny config in"
        " `fulcra/models/tiny.py`; `fulcra check MODEL` says what is\nwrong with it. A post-MLP"
        " norm caps the alignment that a dose can reach (law.md section 2).\n\nA type without a row"
        " is read by an inferred one where every check and a weight-edit oracle pass:"
        " [every decoder](decoders.md).\n"
    )
    return f"{head}\n{checks}\n\n" + "\n".join(rows) + f"\n{added}"


HEADINGS = [
    "model type",
    "class",
    "neurons: input of",
    "effective write",
    "stream is read",
    "verified",
    "note",
]


def cells_of(report: FamilyReport) -> list[str]:
    """The report as cells of a table."""
    verified = " ".join(
        f"{entry.name}{'' if entry.passed else ': FAILED'}" for entry in report.checks
    )
    return [
        report.model_type,
        report.transformers_class,
        report.neurons,
        report.effective_write,
        report.stream,
        verified,
        report.note,
    ]
