"""The bundle is the release that plotly writes figures for, unchanged; constants have a source."""

import json
from hashlib import sha256
from pathlib import Path

from plotly.offline import get_plotlyjs_version

from fulcra.report.backtest import BACKTEST
from fulcra.report.scripts import BUNDLE_SHA256, bundle

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence" / "validation.json"


def test_the_bundle_is_the_release_that_plotly_writes_figures_for() -> None:
    assert f"v{get_plotlyjs_version()}\n" in bundle()[:200]
    assert sha256(bundle().encode()).hexdigest() == BUNDLE_SHA256


def test_the_bundle_ends_no_script_and_loads_nothing() -> None:
    assert "</script" not in bundle().lower()


def test_the_back_test_on_the_page_is_that_of_the_evidence() -> None:
    study = json.loads(EVIDENCE.read_text())
    ceiling = study["ceilings"]["held_out"]["kl_ladder"]
    calls = study["verdicts"]["held_out"]["L1"]
    met = [target["met"] for target in study["targets"]]
    assert BACKTEST._asdict() == {
        "lineages": len(study["split"]["held_out"]),
        "split": study["split_sha256"][:16],
        "mae": ceiling["mae"],
        "mae_low": ceiling["low"],
        "mae_high": ceiling["high"],
        "mae_log2": ceiling["mae_log2"],
        "ceilings": ceiling["n"],
        "noise_floor": study["noise_floor"]["held_out"]["floor"],
        "accuracy": calls["accuracy"],
        "accuracy_low": calls["low"],
        "accuracy_high": calls["high"],
        "decided": calls["decided"],
        "auroc": calls["auroc"],
        "majority": calls["majority_baseline"],
        "targets_met": sum(met),
        "targets": len(met),
    }
