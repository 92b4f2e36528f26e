"""The figures of a run as a section of a model card, with the metadata that the hub reads."""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from fulcra.release.figures import LIMITATIONS, Figure, figures
from fulcra.release.finished import FinishedRun
from fulcra.report.headline import headline
from fulcra.report.notation import number
from fulcra.report.sheet import Sheet


def model_card(run: FinishedRun) -> str:
    """Front matter with a result a figure, and a section; merge both with the card there is."""
    result = run.result
    measured = [figure for figure in figures(run) if figure.value is not None]
    data = ModelCardData(
        model_name=Path(result.model.name).name,
        eval_results=[_result(run, figure) for figure in measured],
    )
    return f"---\n{data.to_yaml().strip()}\n---\n\n{section(run)}"


def section(run: FinishedRun) -> str:
    """The section alone: the verdict in counts, every figure with interval and n, the limits."""
    result = run.result
    rows = [
        (figure.name.replace("_", " "), _value(figure), _interval(figure), str(figure.n))
        for figure in figures(run)
    ]
    table = Sheet(("figure", "value", "interval", "n"), rows).markdown()
    counts = result.summary
    lines = [
        f"## Neuron audit: {result.behavior.name}",
        "",
        f"{headline(result).title} Of {counts.measured} measured branches {counts.open} are open,"
        f" {counts.closed} closed and {counts.undetermined} undetermined.",
        "",
        *table,
        "",
        *(f"- **{figure.name.replace('_', ' ')}**: {figure.words}." for figure in figures(run)),
        "",
        *(f"- {limit}" for limit in LIMITATIONS),
        "",
        f"Behavior `{result.behavior.sha256[:16]}`, weights `{result.model.sha256[:16]}`,"
        f" commitment `{counts.commitment_sha256[:16]}`; fulcra {result.provenance.fulcra}"
        f" ({result.provenance.code}).",
    ]
    return "\n".join(lines) + "\n"


def _result(run: FinishedRun, figure: Figure) -> EvalResult:
    behavior = run.result.behavior
    return EvalResult(
        task_type="text-generation",
        dataset_type=f"fulcra-{behavior.name}",
        dataset_name=f"{behavior.name} {behavior.version}",
        dataset_revision=behavior.sha256[:16],
        metric_type=figure.name,
        metric_name=figure.words,
        metric_value=figure.value,
    )


def _value(figure: Figure) -> str:
    return "beyond the ladder" if figure.value is None else number(figure.value)


def _interval(figure: Figure) -> str:
    if figure.value is None:
        return ""
    high = "beyond the ladder" if figure.high is None else number(figure.high)
    return f"{number(figure.low)} to {high} ({figure.level:.0%})"
