"""Screens are judged by what is known to open: planted truth, weights, answers that follow the
numbers.
"""

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from fulcra import Behavior, Model
from fulcra.behaviors import behavior_sha256
from fulcra.errors import Inconclusive, InputError
from fulcra.report.screens_page import answers, screens_page
from fulcra.screens.contrastive import contrastive
from fulcra.screens.registry import ENTRANTS, Entrant, own_screen
from fulcra.screens.scores import Clean, clean_ground
from fulcra.store import write_json, write_rows
from fulcra.studies.census import BRANCHES, CENSUS, SCHEMA, Truth, summary
from fulcra.studies.multipliers import matched_set, multiplier_sweep
from fulcra.studies.stability import pool, resampled
from fulcra.studies.tournament import TournamentSettings, runs_again, tournament
from fulcra.types import Discovery, Neuron, Prompt, Ranking

CHEAP = tuple(
    entrant
    for entrant in ENTRANTS
    if entrant.name in ("contrastive", "slope", "gradient", "dosed_logit", "random")
)
OPEN = 12


@pytest.fixture(scope="module")
def made_up(sparse: Model, refusal: Behavior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A census in which the first branches of the slope screen, and no others, are specifically
    open.
    """
    folder = tmp_path_factory.mktemp("census")
    slope = next(entrant for entrant in ENTRANTS if entrant.name == "slope")
    best = set(slope.run(sparse, refusal, clean_ground(sparse, refusal)).top(OPEN))
    rows = []
    for layer in range(sparse.n_layers):
        for index in range(sparse.d_mlp):
            for pole in (1, -1):
                branch = Neuron(layer, index, pole)
                found = branch in best
                trigger = 0.5 if found else None
                rows.append(
                    Truth(
                        str(branch),
                        "forecast",
                        "top",
                        trigger,
                        None,
                        0.5 if found else None,
                        1.0,
                        1.0,
                        found,
                    )
                )
    entry = {
        "model": {"name": sparse.name, "sha256": sparse.sha256},
        "behavior": {"name": "refusal", "sha256": behavior_sha256(refusal)},
    }
    write_json(
        folder / CENSUS,
        {**entry, **summary(rows), "ladder_seconds": {"trigger": 60.0, "ceiling": 60.0}},
    )
    write_rows(folder / BRANCHES, [row._asdict() for row in rows], SCHEMA)
    return folder


@pytest.fixture(scope="module")
def found(made_up: Path, sparse: Model, refusal: Behavior) -> dict[str, Any]:
    return tournament(sparse, refusal, census=made_up, entrants=CHEAP)


def entry(found: dict[str, Any], name: str, units: str = "gain") -> dict[str, Any]:
    return next(one for one in found["screens"] if (one["screen"], one["units"]) == (name, units))


def test_the_screen_that_made_the_truth_is_perfect_and_chance_is_nothing(
    found: dict[str, Any],
) -> None:
    best, null = entry(found, "slope"), entry(found, "random", "raw")
    assert best["corrected_average_precision"] == pytest.approx(1.0)
    assert best["low"] == pytest.approx(1.0)
    assert best["recall_at"]["32"] == 1.0
    assert best["precision_at"]["32"] == pytest.approx(OPEN / 32)
    assert abs(null["corrected_average_precision"]) < 0.05
    assert null["low"] <= 0.05


def test_a_census_lends_its_trigger_ladder_to_the_brute_force_screen(found: dict[str, Any]) -> None:
    brute = entry(found, "dosed_logit")
    assert brute["seconds"] == 60.0
    assert brute["auroc"] == pytest.approx(1.0)
    assert brute["listed"] == OPEN


def test_what_opens_by_its_slope_has_the_higher_slope_in_its_layer(found: dict[str, Any]) -> None:
    effect = found["mechanism"]["nats_a_gain"]
    assert effect["effect"] > 0.9
    assert effect["low"] > 0.5
    assert effect["median_open"] > effect["median_others"]


def test_stability_grows_to_the_last_count_the_behavior_has_prompts_for(
    found: dict[str, Any],
) -> None:
    by = entry(found, "contrastive")["by_prompts"]
    assert list(by) == ["4", "8", "32", "100"]
    assert entry(found, "contrastive")["stability"] == by["100"]["overlap"]
    assert entry(found, "dosed_logit")["stability"] is None
    assert {key: found["discovery"][key] for key in ("positive", "negative", "selection")} == {
        "positive": 128,
        "negative": 128,
        "selection": 128,
    }


def test_a_census_ladder_and_a_rerank_are_never_run_on_other_prompts() -> None:
    every = TournamentSettings(all_stability=True)
    window, ladder, null = (
        next(one for one in ENTRANTS if one.name == name)
        for name in ("window", "dosed_logit", "random")
    )
    assert [runs_again(one, every, True) for one in (window, ladder, null)] == [True, False, False]
    assert [runs_again(one, every, False) for one in (window, ladder, null)] == [True, True, False]
    assert not runs_again(window, TournamentSettings(), True)
    assert not runs_again(window._replace(sweeps=False, kind="reranked"), every, True)


def test_a_rerank_enters_beside_its_screen_with_the_same_neurons(found: dict[str, Any]) -> None:
    before, after = entry(found, "gradient", "raw"), entry(found, "gradient, reranked", "raw")
    assert set(before["top"][:5]) == set(after["top"][:5])
    assert before["top"][5:] == after["top"][5:]
    assert after["kind"] == "reranked"
    assert after["seconds"] > before["seconds"]
    assert after["stability"] is None
    assert not [
        one
        for one in found["screens"]
        if one["screen"] == "gradient, reranked" and one["units"] == "gain"
    ]


def test_resampled_prompts_come_from_the_pool_of_their_own_set(refusal: Behavior) -> None:
    some, everyone = resampled(refusal, 16, 1), pool(refusal)
    assert [len(prompts) for prompts in (some.positive, some.negative, some.selection)] == [
        16,
        16,
        16,
    ]
    assert set(some.positive) <= set(everyone.positive)
    assert set(some.selection) <= set(everyone.selection)
    assert len(resampled(replace(refusal, discovery=Discovery()), 100, 1).selection) == len(
        refusal.selection
    )
    assert some == resampled(refusal, 16, 1) != resampled(refusal, 16, 2)


def test_the_page_answers_every_question_from_the_numbers(found: dict[str, Any]) -> None:
    page = screens_page([found])
    said = dict(answers(found))
    assert all(question in page for question in said)
    assert "slope, gain (AUROC 1.00)" in said["Do gradients anti-predict control?"]
    turned = {
        **found,
        "screens": [
            {**one, "auroc": 0.2, "auroc_low": 0.1, "auroc_high": 0.3} for one in found["screens"]
        ],
    }
    assert dict(answers(turned))["Do gradients anti-predict control?"].startswith("Yes. ")
    nowhere = {
        key: {**one, "effect": -0.5, "low": -0.6, "high": -0.4}
        for key, one in found["mechanism"].items()
    }
    assert dict(answers({**found, "mechanism": nowhere}))[
        "Do controllers write off the readout axis with near-zero gradient?"
    ].startswith("Yes: ")


def test_where_nothing_opens_no_screen_is_judged(sparse: Model, refusal: Behavior) -> None:
    few: tuple[Entrant, ...] = (
        Entrant(
            "nothing",
            "raw",
            lambda model, behavior, clean: contrastive(model, behavior, layers=[7], top_k=2),
        ),
    )
    with pytest.raises(Inconclusive, match="none of 4 measured branches is specifically open"):
        tournament(sparse, refusal, TournamentSettings(sample=2), entrants=few)


@pytest.fixture(scope="module")
def sampled(sparse: Model, refusal: Behavior) -> dict[str, Any]:
    """A tournament of two screens on what they and a few random branches were measured to do."""
    entrants = tuple(one for one in CHEAP if one.name in ("slope", "random"))
    return tournament(sparse, refusal, TournamentSettings(sample=6), entrants=entrants)


def test_the_contrast_set_is_warned_of_before_a_screen_runs(
    sparse: Model, refusal: Behavior, made_up: Path
) -> None:
    heard: list[str] = []

    def run(model: Model, behavior: Behavior, clean: Clean) -> Ranking:
        assert heard
        return contrastive(model, behavior)

    found = tournament(
        sparse,
        refusal,
        census=made_up,
        entrants=(Entrant("mine", "raw", run, kind="own"),),
        warn=heard.append,
    )
    assert heard == found["diagnostics"]["warnings"]


def test_without_a_census_each_screens_best_and_weighted_random_branches_are_measured(
    sampled: dict[str, Any], sparse: Model
) -> None:
    sources, everyone = sampled["truth_summary"]["sources"], 2 * sparse.n_layers * sparse.d_mlp
    assert sampled["truth"] == "sample"
    assert 32 < sources["screen"] <= 64
    assert sources["random"] == 6
    assert sum(row["branches"] for row in sampled["layers"]) == pytest.approx(everyone, rel=1e-4)
    assert len(sampled["opened"]) == sampled["truth_summary"]["open"] >= 1
    assert {row["source"] for row in sampled["opened"]} <= {"screen", "random"}


def test_a_sampled_tournament_has_its_page(sampled: dict[str, Any]) -> None:
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
    found = tournament(
        sparse, refusal, census=made_up, entrants=(own_screen(f"{tmp_path}/my.py:mine"),)
    )
    (mine,) = found["screens"]
    assert (mine["screen"], mine["kind"], mine["listed"]) == ("mine", "own", 1)


@pytest.mark.parametrize(
    ("name", "said"),
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
    name: str, said: str, tmp_path: Path, sparse: Model, refusal: Behavior
) -> None:
    (tmp_path / "my.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("1 / 0")
    clean: Any = None
    with pytest.raises(InputError, match=said):
        own_screen(f"{tmp_path}/{name}").run(sparse, refusal, clean)


def own_surprise(model: Model, behavior: Behavior, prompt: Prompt) -> float:
    """Mean surprise a token [nats] of the undosed greedy reply, by transformers alone."""
    asked = torch.tensor([model.prompt_ids(prompt.text, behavior.system)])
    ids = model.hf.generate(asked, max_new_tokens=behavior.horizon, do_sample=False)
    kept = [
        i
        for i in range(asked.shape[1], ids.shape[1])
        if int(ids[0, i]) != model.tokenizer.eos_token_id
    ]
    with torch.inference_mode():
        log_probs = model.hf(ids).logits[0].log_softmax(-1)
    return -fmean(float(log_probs[i - 1, ids[0, i]]) for i in kept)


def test_a_multiplier_of_one_changes_nothing_and_random_sets_share_the_layers(
    sparse: Model, refusal: Behavior
) -> None:
    clean = fmean(own_surprise(sparse, refusal, prompt) for prompt in refusal.confirmation)
    swept = multiplier_sweep(sparse, refusal, (0.0, 1.0), random_sets=1)
    assert {(row["set"], row["pole"]) for row in swept["rows"]} >= {
        ("0.1%", "both"),
        ("1%", "both"),
        ("top 32", "both"),
    }
    for row in swept["rows"]:
        if row["multiplier"] == 1:
            assert row["behavior_rate"] == row["random_behavior_rate"] == 1.0
            assert row["quality"] == pytest.approx(row["random_quality"])
            assert row["nats"] == pytest.approx(row["random_nats"])
            assert row["nats"] == pytest.approx(clean, rel=1e-3)
        elif row["flip_rate"] >= 0.5:
            assert row["nats"] > 2 * clean
    (neurons,) = [
        one["neurons"] for one in swept["sets"] if (one["set"], one["pole"]) == ("top 32", "both")
    ]
    chosen = [Neuron.parse(name) for name in neurons]
    matched = matched_set(sparse, chosen, "seed")
    assert sorted(n.layer for n in matched) == sorted(n.layer for n in chosen)
    assert not {n.site for n in matched} & {n.site for n in chosen}
