"""The figures of a run as the model card of a CycloneDX 1.6 machine-learning component."""

from pathlib import Path

from fulcra.release.figures import LIMITATIONS, Figure, figures
from fulcra.release.finished import FinishedRun


def cyclonedx(run: FinishedRun) -> dict[str, object]:
    """A bill of materials of one component, to be merged with the one of the model."""
    result = run.result
    model = result.model
    metrics = [_metric(run, figure) for figure in figures(run) if figure.value is not None]
    component = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{model.sha256}",
        "name": Path(model.name).name,
        "modelCard": {
            "modelParameters": {"architectureFamily": model.family},
            "quantitativeAnalysis": {"performanceMetrics": metrics},
            "considerations": {"technicalLimitations": list(LIMITATIONS)},
        },
        "properties": [
            {"name": f"fulcra:{name}", "value": value}
            for name, value in {
                "model_sha256": model.sha256,
                "behavior_sha256": result.behavior.sha256,
                "commitment_sha256": result.summary.commitment_sha256,
                "code": result.provenance.code,
            }.items()
        ],
    }
    tool = {"type": "application", "name": "fulcra", "version": result.provenance.fulcra}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"tools": {"components": [tool]}},
        "components": [component],
    }


def _metric(run: FinishedRun, figure: Figure) -> dict[str, object]:
    interval = {"lowerBound": figure.low, "upperBound": figure.high}
    ends = {name: f"{end:.6g}" for name, end in interval.items() if end is not None}
    return {
        "type": f"fulcra.{figure.name}",
        "value": f"{figure.value:.6g}",
        "slice": f"{run.result.behavior.name}, n = {figure.n}: {figure.words}",
        "confidenceInterval": ends,
    }
