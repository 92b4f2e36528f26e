"""The formats by name, and how a run is written in each."""

import json
from collections.abc import Callable
from pathlib import Path

from fulcra.release.finished import FinishedRun, require_verdict
from fulcra.release.formats.cyclonedx import cyclonedx
from fulcra.release.formats.every_eval_ever import every_eval_ever
from fulcra.release.formats.inspect_log import write_inspect_logs
from fulcra.release.formats.model_card import model_card
from fulcra.release.formats.sarif import sarif
from fulcra.store import plain, write_text


def _json(form: Callable[[FinishedRun], dict[str, object]]) -> Callable[[FinishedRun], str]:
    return lambda run: json.dumps(plain(form(run)), indent=1, allow_nan=False) + "\n"


#: The formats that are one text.
TEXTS: dict[str, Callable[[FinishedRun], str]] = {
    "sarif": _json(sarif),
    "every-eval-ever": _json(every_eval_ever),
    "cyclonedx": _json(cyclonedx),
    "model-card": model_card,
}


def write_as(form: str, run: FinishedRun, path: Path) -> None:
    """Write a run in a format by its name; Inconclusive where the run draws no verdict."""
    require_verdict(run)
    if form in TEXTS:
        write_text(path, TEXTS[form](run))
    else:
        write_inspect_logs(run, path)
