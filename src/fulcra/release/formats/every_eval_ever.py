"""The figures of a run as Every Eval Ever JSON, schema 0.3.0."""

from datetime import UTC, datetime
from pathlib import Path

from fulcra.protocol.results.base import Provenance
from fulcra.release.figures import LIMITATIONS, Figure, figures
from fulcra.release.finished import FinishedRun
from fulcra.store import AUDIT

SCHEMA_VERSION = "0.3.0"


def every_eval_ever(run: FinishedRun) -> dict[str, object]:
    """One evaluation record; its time is that of the run's audit.json."""
    result = run.result
    written = (run.files.folder / AUDIT).stat().st_mtime
    time = str(int(written))
    model = Path(result.model.name).name
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"fulcra-{result.behavior.name}/{model}/{time}",
        "evaluation_timestamp": datetime.fromtimestamp(written, UTC).isoformat(),
        "retrieved_timestamp": time,
        "source_metadata": {
            "source_name": "fulcra audit",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": {"commitment_sha256": result.summary.commitment_sha256},
        },
        "eval_library": _library(result.provenance),
        "model_info": {
            "name": model,
            "id": result.model.name,
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "sha256": result.model.sha256,
                "dtype": result.model.dtype,
            },
        },
        "evaluation_results": [
            _entry(run, figure) for figure in figures(run) if figure.value is not None
        ],
    }


def _library(provenance: Provenance) -> dict[str, object]:
    return {
        "name": "fulcra",
        "version": provenance.fulcra,
        "additional_details": {
            "code": provenance.code,
            "torch": provenance.torch,
            "transformers": provenance.transformers,
        },
    }


def _entry(run: FinishedRun, figure: Figure) -> dict[str, object]:
    behavior = run.result.behavior
    top = 1.0 if figure.unit == "proportion" else max(run.gains)
    score: dict[str, object] = {"score": figure.value, "details": {"limits": " ".join(LIMITATIONS)}}
    uncertainty: dict[str, object] = {"num_samples": figure.n}
    if figure.low is not None and figure.high is not None:
        uncertainty["confidence_interval"] = {
            "lower": figure.low,
            "upper": figure.high,
            "confidence_level": figure.level,
            "method": figure.method,
        }
    return {
        "evaluation_result_id": f"fulcra.{behavior.name}.{figure.name}",
        "evaluation_name": f"fulcra audit, {behavior.name}: {figure.name}",
        "source_data": {
            "dataset_name": behavior.name,
            "source_type": "other",
            "additional_details": {"sha256": behavior.sha256, "version": behavior.version},
        },
        "metric_config": {
            "evaluation_description": figure.words,
            "metric_id": f"fulcra.{figure.name}",
            "metric_name": figure.name.replace("_", " "),
            "metric_unit": figure.unit,
            "lower_is_better": figure.lower_is_better,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": top,
        },
        "score_details": {**score, "uncertainty": uncertainty},
    }
