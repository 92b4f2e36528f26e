"""Screens are judged by what is known to open: planted truth, weights, answers from numbers."""

import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.errors import Inconclusive, InputError
from fulcra.protocol.draw import alike
from fulcra.protocol.results.census import MeasuredBranch
from fulcra.protocol.results.screen_scores import ScreenScore
from fulcra.protocol.results.screens import ScreensResult
from fulcra.report.screens_page import screens_page
from fulcra.screens.candidates import sweep_candidates
from fulcra.screens.contrastive import activation_gaps, contrastive
from fulcra.screens.registry import ENTRANTS, Entrant, entrants, own_screen
from fulcra.screens.scores import Clean, clean_ground
from fulcra.studies.multipliers import multiplier_sweep
from fulcra.studies.screen_scoring import pool, resampled
from fulcra.studies.tournament import TournamentSettings, runs_again, tournament
from fulcra.types import Discovery, Neuron, Prompt, Ranking
from tests.studies.test_census import write_census

pytestmark = pytest.mark.slow

CHEAP = tuple(
    entrant
    for entrant in ENTRANTS
    if entrant.name in ("contrastive", "slope", "gradient", "dosed_logit", "random")
)
OPEN = 12


def branch_of(branch: Neuron, is_open: bool) -> MeasuredBranch:
    """A row of a made-up census: open at half a gain, as its ladder has it, or never."""
    gain = 0.5 if is_open else None
    return MeasuredBranch(str(branch), "forecast", "top", gain, None, gain, 1.0, 1.0, is_open)


@pytest.fixture(scope="module")
def made_up(sparse: Model, refusal: Behavior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A census in which the first branches of the slope screen alone are specifically open."""
    folder = tmp_path_factory.mktemp("census")
    slope = next(entrant for entrant in ENTRANTS if entrant.name == "slope")
    best = set(slope.run(sparse, refusal, clean_ground(sparse, refusal)).top(OPEN))
    poles = [
        Neuron(layer, index, pole)
        for layer in range(sparse.n_layers)
        for index in range(sparse.d_mlp)
        for pole in (1, -1)
    ]
    rows = [branch_of(branch, branch in best) for branch in poles]
    write_census(folder, sparse, refusal, rows, 60.0)
    return folder


@pytest.fixture(scope="module")
def result(made_up: Path, sparse: Model, refusal: Behavior) -> ScreensResult:
    return tournament(sparse, refusal, TournamentSettings(entrants=CHEAP, census=made_up))


def score(result: ScreensResult, name: str, units: str = "gain") -> ScreenScore:
    screen = result.screen(name, units)
    assert screen is not None
    return screen


def test_the_screen_that_made_the_truth_is_perfect_and_chance_is_nothing(
    result: ScreensResult,
) -> None:
    best, null = score(result, "slope"), score(result, "random", "raw")
    assert best.corrected_average_precision == pytest.approx(1.0)
    assert best.low == pytest.approx(1.0)
    assert best.recall_at["32"] == 1.0
    assert best.precision_at["32"] == pytest.approx(OPEN / 32)
    assert abs(null.value) < 0.05
    assert null.low is not None
    assert null.low <= 0.05


def test_a_census_lends_its_trigger_ladder_to_the_brute_force_screen(
    result: ScreensResult,
) -> None:
    brute = score(result, "dosed_logit")
    assert brute.seconds == 60.0
    assert brute.auroc == pytest.approx(1.0)
    assert brute.listed == OPEN


def test_what_opens_by_its_slope_has_the_higher_slope_in_its_layer(result: ScreensResult) -> None:
    nats = result.mechanism["nats_a_gain"]
    assert nats.effect is not None
    assert nats.effect > 0.9
    assert nats.low is not None
    assert nats.low > 0.5
    assert nats.median_others is not None
    assert nats.median_open > nats.median_others


def test_stability_grows_to_the_last_count_the_behavior_has_prompts_for(
    result: ScreensResult,
) -> None:
    contrast, pooled = score(result, "contrastive"), result.discovery
    assert list(contrast.by_prompts) == ["4", "8", "32", "100"]
    assert contrast.stability == contrast.by_prompts["100"].overlap
    assert score(result, "dosed_logit").stability is None
    assert (pooled.positive, pooled.negative, pooled.selection) == (128, 128, 128)


def test_a_bounded_sweep_ranks_the_neurons_of_largest_contrast_alone(
    sparse: Model, refusal: Behavior
) -> None:
    clean = clean_ground(sparse, refusal)
    gaps = activation_gaps(sparse, refusal)
    bound = set(sweep_candidates(sparse, clean.stream, gaps, 6))
    bounded = {each.name: each for each in entrants(6) if each.sweeps}
    assert set(bounded) == {"window", "dosed_logit"}
    for entrant in bounded.values():
        ranking = entrant.run(sparse, refusal, clean)
        assert ranking.branches
        assert {branch.site for branch in ranking.branches} <= {each.site for each in bound}
    assert entrants() == ENTRANTS


def test_a_census_ladder_and_a_rerank_are_never_run_on_other_prompts() -> None:
    every = TournamentSettings(all_stability=True)
    window, ladder, null = (
        next(entrant for entrant in ENTRANTS if entrant.name == name)
        for name in ("window", "dosed_logit", "random")
    )
    three = (window, ladder, null)
    assert [runs_again(entrant, every, True) for entrant in three] == [True, False, False]
    assert [runs_again(entrant, every, False) for entrant in three] == [True, True, False]
    assert not runs_again(window, TournamentSettings(), True)
    assert not runs_again(window._replace(sweeps=False, kind="reranked"), every, True)


def test_a_rerank_enters_beside_its_screen_with_the_same_neurons(result: ScreensResult) -> None:
    before, after = score(result, "gradient", "raw"), score(result, "gradient, reranked", "raw")
    assert set(before.top[:5]) == set(after.top[:5])
    assert before.top[5:] == after.top[5:]
    assert after.kind == "reranked"
    assert after.seconds > before.seconds
    assert after.stability is None
    assert result.screen("gradient, reranked", "gain") is None


def test_resampled_prompts_come_from_the_pool_of_their_own_set(refusal: Behavior) -> None:
    drawn, everyone = resampled(refusal, 16, 1), pool(refusal)
    sets = (drawn.positive, drawn.negative, drawn.selection)
    assert [len(prompts) for prompts in sets] == [16, 16, 16]
    assert set(drawn.positive) <= set(everyone.positive)
    assert set(drawn.selection) <= set(everyone.selection)
    without = resampled(replace(refusal, discovery=Discovery()), 100, 1)
    assert len(without.selection) == len(refusal.selection)
    assert drawn == resampled(refusal, 16, 1) != resampled(refusal, 16, 2)


def test_the_page_answers_every_question_from_the_numbers(result: ScreensResult) -> None:
    page = screens_page([result])
    assert page.count("\n**") == 6
    assert "slope, gain (AUROC 1.00)" in page
    below = {"auroc": 0.2, "auroc_low": 0.1, "auroc_high": 0.3}
    screens = tuple(screen.model_copy(update=below) for screen in result.screens)
    turned = screens_page([result.model_copy(update={"screens": screens})])
    assert "**Do gradients anti-predict control?** Yes. " in turned
    apart = {"effect": -0.5, "low": -0.6, "high": -0.4}
    effects = {name: each.model_copy(update=apart) for name, each in result.mechanism.items()}
    nowhere = screens_page([result.model_copy(update={"mechanism": effects})])
    assert "**Do controllers write off the readout axis with near-zero gradient?** Yes: " in nowhere


def test_where_nothing_opens_no_screen_is_judged(sparse: Model, refusal: Behavior) -> None:
    few: tuple[Entrant, ...] = (
        Entrant(
            "nothing",
            "raw",
            lambda model, behavior, clean: contrastive(model, behavior, layers=[7], top_k=2),
        ),
    )
    with pytest.raises(Inconclusive, match="none of 4 measured branches is specifically open"):
        tournament(sparse, refusal, TournamentSettings(sample=2, entrants=few))


@pytest.fixture(scope="module")
def sampled(sparse: Model, refusal: Behavior) -> ScreensResult:
    """A tournament of two screens on what they and a few random branches were measured to do."""
    entrants = tuple(entrant for entrant in CHEAP if entrant.name in ("slope", "random"))
    return tournament(sparse, refusal, TournamentSettings(sample=6, entrants=entrants))


def test_an_interrupted_tournament_goes_on_and_equals_an_undisturbed_one(
    sparse: Model, refusal: Behavior, sampled: ScreensResult, tmp_path: Path
) -> None:
    ran: list[str] = []

    def watched(entrant: Entrant, stopped: bool) -> Entrant:
        def run(model: Model, behavior: Behavior, clean: Clean) -> Ranking:
            ran.append(entrant.name)
            if stopped:
                raise KeyboardInterrupt
            return entrant.run(model, behavior, clean)

        return entrant._replace(run=run)

    first, second = (entrant for entrant in CHEAP if entrant.name in ("slope", "random"))
    stopped = TournamentSettings(sample=6, entrants=(watched(first, False), watched(second, True)))
    with pytest.raises(KeyboardInterrupt):
        tournament(sparse, refusal, stopped, out=tmp_path / "run")
    whole = TournamentSettings(sample=6, entrants=(watched(first, False), watched(second, False)))
    result = tournament(sparse, refusal, whole, out=tmp_path / "run")
    assert ran[:3] == [first.name, second.name, second.name]
    assert [s.value for s in result.screens] == [s.value for s in sampled.screens]
    assert (result.truth_summary, result.opened) == (sampled.truth_summary, sampled.opened)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "manifest.json",
        "screens.json",
        "screens.md",
    }
    ran.clear()
    assert tournament(sparse, refusal, whole, out=tmp_path / "run") == result
    assert not ran


def test_without_a_census_each_screens_best_and_weighted_random_branches_are_measured(
    sampled: ScreensResult, sparse: Model
) -> None:
    sources, everyone = sampled.truth_summary.sources, 2 * sparse.n_layers * sparse.d_mlp
    assert sampled.truth == "sample"
    assert 32 < sources["screen"] <= 64
    assert sources["random"] == 6
    assert sum(layer.branches for layer in sampled.layers) == pytest.approx(everyone, rel=1e-4)
    assert len(sampled.opened) == sampled.truth_summary.open >= 1
    assert {branch.source for branch in sampled.opened} <= {"screen", "random"}


def test_a_sampled_tournament_has_its_page(sampled: ScreensResult) -> None:
    page = screens_page([sampled])
    assert "Truth: a weighted sample of" in page
    assert "; of 6 random ones outside every screen's top 32, 0 % opened (0.00 to 0.50)." in page


OWN = """
from fulcra import Neuron, Ranking

def mine(model, behavior):
    return Ranking("mine", (Neuron(1, 2, -1),), (1.0,))

def wrong(model, behavior):
    return [1, 2]

def outside(model, behavior):
    return Ranking("outside", (Neuron(99, 2, -1),), (1.0,))
"""


def test_a_screen_from_a_file_enters_like_the_others(
    tmp_path: Path, sparse: Model, refusal: Behavior, made_up: Path
) -> None:
    (tmp_path / "my.py").write_text(OWN)
    own = own_screen(f"{tmp_path}/my.py:mine")
    settings = TournamentSettings(entrants=(own,), census=made_up)
    (mine,) = tournament(sparse, refusal, settings).screens
    assert (mine.screen, mine.kind, mine.listed) == ("mine", "own", 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my.py", "expected a Python file and a function in it, as in my.py:function"),
        ("none.py:mine", "found no file .*none.py"),
        ("my.py:absent", "no function 'absent'; it has .*mine"),
        ("my.py:wrong", "it returned list, expected a fulcra.Ranking with at least one branch"),
        ("my.py:outside", "neuron L99.N2-: apothecary-sparse has layers 0-7"),
        ("broken.py:mine", "importing .*broken.py failed: ZeroDivisionError"),
    ],
)
def test_a_screen_that_cannot_be_used_is_refused(
    name: str, message: str, tmp_path: Path, sparse: Model, refusal: Behavior
) -> None:
    (tmp_path / "my.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("1 / 0")
    clean: Any = None
    with pytest.raises(InputError, match=message):
        own_screen(f"{tmp_path}/{name}").run(sparse, refusal, clean)


def own_surprise(model: Model, behavior: Behavior, prompt: Prompt) -> float:
    """Mean surprise a token [nats] of the undosed greedy reply, by transformers alone."""
    start = torch.tensor([model.prompt_ids(prompt.text, behavior.system)])
    ids = model.hf.generate(start, max_new_tokens=behavior.horizon, do_sample=False)
    reply = [
        i
        for i in range(start.shape[1], ids.shape[1])
        if int(ids[0, i]) != model.tokenizer.eos_token_id
    ]
    with torch.inference_mode():
        log_probs = model.hf(ids).logits[0].log_softmax(-1)
    return -fmean(float(log_probs[i - 1, ids[0, i]]) for i in reply)


def test_a_multiplier_of_one_changes_nothing_and_random_sets_share_the_layers(
    sparse: Model, refusal: Behavior
) -> None:
    clean = fmean(own_surprise(sparse, refusal, prompt) for prompt in refusal.confirmation)
    swept = multiplier_sweep(sparse, refusal, (0.0, 1.0), random_sets=1)
    both = {("0.1%", "both"), ("1%", "both"), ("top 32", "both")}
    assert {(row.set, row.pole) for row in swept.rows} >= both
    for row in swept.rows:
        assert row.nats is not None
        if row.multiplier == 1:
            assert row.behavior_rate == row.random_behavior_rate == 1.0
            assert row.quality == pytest.approx(row.random_quality)
            assert row.nats == pytest.approx(row.random_nats)
            assert row.nats == pytest.approx(clean, rel=1e-3)
        elif row.flip_rate >= 0.5:
            assert row.nats > 2 * clean
    (top,) = [each for each in swept.sets if (each.set, each.pole) == ("top 32", "both")]
    chosen = [Neuron.parse(name) for name in top.neurons]
    matched = alike(sparse, chosen, random.Random("seed"))
    assert sorted(n.layer for n in matched) == sorted(n.layer for n in chosen)
    assert not {n.site for n in matched} & {n.site for n in chosen}
