"""The page of a tournament prints what its numbers decide, each question with its own answer."""

import re
from pathlib import Path
from typing import Any

import pytest

from fulcra.protocol.results.multiply import MultiplyResult
from fulcra.protocol.results.screens import ScreensResult
from fulcra.report.screens_page import screens_page
from fulcra.report.screens_table import multiply_sheet, screens_sheet

EVIDENCE = Path("docs/evidence")


@pytest.fixture(scope="module")
def sparse_result() -> ScreensResult:
    return ScreensResult.load(EVIDENCE / "screens.json")


def answers(result: ScreensResult) -> dict[str, str]:
    """The page's answer to each of its questions, its table left out."""
    return dict(re.findall(r"^\*\*(.*)\*\* (.*)$", screens_page([result]), re.MULTILINE))


def changed(result: ScreensResult, **values: Any) -> ScreensResult:
    """The result with other values for every screen."""
    screens = tuple(score.model_copy(update=values) for score in result.screens)
    return result.model_copy(update={"screens": screens})


def test_the_page_of_the_shipped_tournaments_is_the_one_in_the_documentation() -> None:
    names = ("screens", "screens-dense", "screens-qwen3")
    results = [ScreensResult.load(EVIDENCE / f"{name}.json") for name in names]
    assert screens_page(results) == Path("docs/screens.md").read_text()


def test_a_result_saves_its_page_beside_it(sparse_result: ScreensResult, tmp_path: Path) -> None:
    assert sparse_result.save(tmp_path) == tmp_path / "screens.json"
    assert (tmp_path / "screens.md").read_text() == screens_page([sparse_result])
    assert ScreensResult.load(tmp_path) == sparse_result


@pytest.mark.parametrize(
    ("low", "high", "verdict", "words"),
    [
        (0.1, 0.3, "yes", "Yes. slope, gain (AUROC 0.20), "),
        (0.6, 0.9, "no", "No. slope, gain (AUROC 0.20), "),
        (0.1, 0.9, "not shown", "Not shown. slope, gain (AUROC 0.20), "),
        (None, None, "not shown", "Not shown. slope, gain (AUROC 0.20), "),
    ],
)
def test_gradients_anti_predict_where_their_interval_lies_below_one_half(
    sparse_result: ScreensResult, low: float | None, high: float | None, verdict: str, words: str
) -> None:
    result = changed(sparse_result, auroc=0.2, auroc_low=low, auroc_high=high)
    assert result.gradients.anti_predict == verdict
    assert answers(result)["Do gradients anti-predict control?"].startswith(words)


def test_contrast_that_stays_late_in_gain_units_does_not_only_follow_growth(
    sparse_result: ScreensResult,
) -> None:
    late = sparse_result.late_layers
    assert late is not None
    assert late.verdict == "late"
    assert late._replace(gain=late.chance).verdict == "by growth"
    assert late._replace(raw=late.chance).verdict == "spread"


def test_contrast_beats_gradient_in_the_units_in_which_it_scores_higher(
    sparse_result: ScreensResult,
) -> None:
    rescaling = sparse_result.rescaling
    assert rescaling is not None
    assert rescaling.beats_in == "none"
    raw, gain = (
        pair._replace(contrast=pair.gradient, gradient=pair.contrast) for pair in rescaling.pairs
    )
    equal = rescaling.pairs[0]._replace(gradient=rescaling.pairs[0].contrast)
    assert rescaling._replace(pairs=[raw, gain]).beats_in == "both"
    assert rescaling._replace(pairs=[equal, gain]).beats_in == "gain"
    assert rescaling._replace(pairs=[raw, equal._replace(units="gain")]).beats_in == "raw"


def test_the_window_screen_is_ahead_only_with_intervals_apart(
    sparse_result: ScreensResult,
) -> None:
    against = sparse_result.window_against
    assert against is not None
    assert against.ahead
    level = changed(sparse_result, low=0.0, high=1.0)
    assert level.window_against is not None
    assert not level.window_against.ahead
    assert answers(level)["Is the window screen the best for its cost?"].startswith("Not above all")


def test_what_did_not_run_is_not_measured(sparse_result: ScreensResult) -> None:
    few = tuple(score for score in sparse_result.screens if score.screen in ("random", "dla"))
    empty = {"by_prompts": {}}
    nothing = sparse_result.model_copy(
        update={"screens": tuple(s.model_copy(update=empty) for s in few), "mechanism": {}}
    )
    assert answers(nothing) == {
        "Do gradients anti-predict control?": "Not measured: no gradient screen ran.",
        "Do controllers write off the readout axis with near-zero gradient?": (
            "Not measured: the behavior has no openings."
        ),
        "Do raw contrasts pile into late layers only because activations grow?": "Not measured.",
        "Does contrast beat gradient only through rescaling?": (
            "Not measured: no gradient screen ran."
        ),
        "What do more discovery prompts change?": "Not measured.",
        "Is the window screen the best for its cost?": (
            "Not measured: the window screen did not run."
        ),
    }


def test_the_tables_have_a_row_for_every_screen_and_every_multiplied_set(
    sparse_result: ScreensResult,
) -> None:
    multiplied = MultiplyResult.load(EVIDENCE / "multiply-sparse.json")
    scores, multiplied_rows = screens_sheet(sparse_result), multiply_sheet(multiplied)
    assert scores.rows[0] == ("window", "gain", "0.41", "0.27-0.55", "0.33", "0.91", "21.2")
    assert len(scores.rows) == len(sparse_result.screens)
    assert len(multiplied_rows.rows) == len(multiplied.rows)
