"""The shipped chances: figures those of their rows, page and drawing those of the figures."""

import json

import pytest

from fulcra.backtest.chance_scores import Cases, chance_score, guards, three_ends, top_shares
from fulcra.law.chance import FROZEN, LEARNED_ON, STATISTIC
from fulcra.protocol.results.chances import ChancesResult
from fulcra.report.chances_page import chances_sheet
from fulcra.report.figures.reliability import ReliabilityPoint, reliability
from fulcra.store import plain
from tests.conftest import ROOT

EVIDENCE = ROOT / "docs" / "evidence" / "chances.json"


@pytest.fixture(scope="module")
def result() -> ChancesResult:
    return ChancesResult.load(EVIDENCE)


def test_the_shipped_file_is_read_and_written_byte_for_byte(result: ChancesResult) -> None:
    text = json.dumps(result.plain(), indent=1) + "\n"
    assert text.encode() == EVIDENCE.read_bytes()


def test_the_page_and_its_figure_are_those_of_the_file(result: ChancesResult) -> None:
    pages = result.pages()
    assert len(pages) == 2
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text


def test_the_frozen_noise_is_the_one_learned_on_all_models(result: ChancesResult) -> None:
    assert result.pooled is not None
    assert result.pooled.learned_on == LEARNED_ON
    learned = result.pooled.model_dump(exclude={"learned_on"})
    assert learned == pytest.approx(FROZEN._asdict(), rel=1e-3)
    assert result.statistic == STATISTIC


def test_every_model_is_forecast_by_the_noise_of_the_others_alone(result: ChancesResult) -> None:
    for model in result.models:
        others = [other.model.name for other in result.models if other is not model]
        assert list(model.noise.learned_on) == others


def test_the_statistic_is_the_one_whose_chances_lose_least(result: ChancesResult) -> None:
    losses: dict[str, float] = {}
    for each in result.tried:
        losses[each.statistic] = losses.get(each.statistic, 0.0) + each.log_loss
    assert min(losses, key=lambda name: losses[name]) == STATISTIC


def test_the_scores_are_those_of_the_rows(result: ChancesResult) -> None:
    for model in result.models:
        cases = Cases.of(model)
        assert cases.prevalence == pytest.approx(model.prevalence, rel=1e-5)
        assert plain(three_ends(cases)) == plain(model.macro_f1)
        tokens = len(model.gains) * model.prompts * model.horizon
        assert plain([t.plain() for t in top_shares(cases, tokens)]) == [
            top.plain() for top in model.tops
        ]
        assert {name: plain(each.plain()) for name, each in guards(cases).items()} == {
            name: each.plain() for name, each in model.guards.items()
        }
        score = model.score
        assert score is not None
        again = chance_score(cases, cases.chances[1], 0)
        for name in ("brier", "log_loss", "auroc", "average_precision", "low", "high"):
            assert getattr(again, name) == pytest.approx(getattr(score, name), rel=1e-3), name


def test_the_terminal_shows_the_likeliest_branches_first(result: ChancesResult) -> None:
    first = chances_sheet(result).rows[0]
    best = max(result.models[0].rows, key=lambda row: row.open)
    assert first[:2] == [result.models[0].model.name, best.branch]


def test_what_is_never_observed_stands_at_the_bottom_and_names_are_escaped() -> None:
    svg = reliability([ReliabilityPoint(0.5, 0.0, 0.0, 0.2, 9, "<a>")], "x", "y")
    assert 'cy="372.0"' in svg
    assert "&lt;a&gt;" in svg
    assert "<a>" not in svg
