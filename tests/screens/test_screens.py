"""Every screen against an oracle of its own: doses, exact products, planted truth, invariance."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close
from transformers import LlamaForCausalLM

from fulcra import Behavior, Model, Neuron, add, load_behavior
from fulcra.errors import BehaviorError, InputError, ModelError
from fulcra.formulas.geometry import cosine
from fulcra.ladders.trigger_ladder import Openings, clean_odds, opening_odds
from fulcra.models.coordinate import budgets, coordinate
from fulcra.models.tiny import tiny
from fulcra.screens.attribution import attribution, integrated, path_gradients
from fulcra.screens.concept import concept
from fulcra.screens.contrastive import contrastive, set_sizes
from fulcra.screens.dla import dla, readout
from fulcra.screens.dosed_logit import dosed_logit, spread
from fulcra.screens.geometry import difference_directions, geometry
from fulcra.screens.gradient import gradient, gradient_paper, slope
from fulcra.screens.objective import Phrases, objective_gradients
from fulcra.screens.random import random
from fulcra.screens.scores import Clean, Screen, clean_ground, contrast_of
from fulcra.screens.universal import universal
from fulcra.types import Ranking
from tests.models.cases import MIXTURES, PRE_NORM
from tests.screens.conftest import INDEX, LAYER, Plant, behavior

POSITIVE = [
    "the cat near the river",
    "the king waits near the river",
    "the dogs near the river",
    "a wolf near the river",
]
NEGATIVE = [
    "the cat near the mill",
    "the king waits near the mill",
    "the dogs near the mill",
    "a wolf near the mill",
]
SCREENS: list[Screen] = [
    contrastive,
    gradient,
    gradient_paper,
    slope,
    attribution,
    integrated,
    dla,
    geometry,
    concept,
]


@pytest.fixture
def model(planted: Callable[[Plant], Model], sparse: Model) -> Model:
    """The planted neuron reads the positives' word and writes from control word to target."""
    (word,), (target,), (control,) = (sparse.reply_ids(text) for text in ("river", "here", "sorry"))

    def wire(hf: LlamaForCausalLM) -> None:
        for block in hf.model.layers:
            block.self_attn.o_proj.weight.zero_()
        last, row = hf.model.layers[LAYER], hf.model.embed_tokens.weight[word]
        last.mlp.gate_proj.weight[INDEX] = last.mlp.up_proj.weight[INDEX] = 3 * row / row.norm()
        last.mlp.down_proj.weight[:, INDEX] = -2 * (
            hf.lm_head.weight[target] - hf.lm_head.weight[control]
        )

    return planted(wire)


@pytest.fixture
def task() -> Behavior:
    """Its undosed side are the positives."""
    made = behavior(POSITIVE, NEGATIVE)
    return replace(made, selection=made.positive[:2])


@pytest.mark.parametrize(
    "screen", [contrastive, gradient, attribution, integrated, dla, geometry, concept]
)
def test_a_neuron_that_carries_the_difference_to_the_readout_comes_first_on_the_flipping_pole(
    screen: Screen, model: Model, task: Behavior
) -> None:
    options: dict[str, Any] = {"layers": [LAYER]}
    assert screen(model, task, **options).top(1)[0] == Neuron(LAYER, INDEX, -1)


@pytest.mark.parametrize("screen", SCREENS)
def test_the_order_of_prompts_changes_nothing(screen: Screen, model: Model, task: Behavior) -> None:
    turned = replace(
        task,
        positive=task.positive[::-1],
        negative=task.negative[::-1],
        selection=task.selection[::-1],
    )
    ranking, again = screen(model, task), screen(model, turned)
    assert_close(torch.tensor(ranking.scores), torch.tensor(again.scores), atol=1e-5, rtol=1e-4)
    assert ranking.top(5) == again.top(5)


@pytest.mark.parametrize("screen", SCREENS)
def test_every_neuron_stands_at_most_once_by_falling_score(
    screen: Screen, model: Model, task: Behavior
) -> None:
    ranking = screen(model, task)
    assert (
        len({branch.site for branch in ranking.branches})
        == len(ranking.branches)
        == len(ranking.scores)
    )
    assert list(ranking.scores) == sorted(ranking.scores, reverse=True)


def test_gain_units_divide_by_the_budget(model: Model, task: Behavior) -> None:
    clean = clean_ground(model, task)
    every = budgets(model, clean.stream)
    plain: Any
    for plain in (contrastive, gradient, attribution):
        raw, gain = plain(model, task), plain(model, task, units="gain", clean=clean)
        by_site = dict(zip(gain.branches, gain.scores, strict=True))
        assert by_site.keys() == set(raw.branches)
        for branch, score in zip(raw.branches, raw.scores, strict=True):
            assert by_site[branch] == pytest.approx(
                score / float(every[branch.layer, branch.index]), rel=1e-4, abs=1e-12
            )


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "olmo2", "granite", "mixtral"])
def test_budgets_are_those_of_the_coordinates(family: str) -> None:
    model = tiny(family)
    clean = clean_ground(model, words())
    every = budgets(model, clean.stream)
    for layer in range(model.n_layers):
        for slot in (0, 7, model.width(layer) - 1):
            if every[layer, slot].isfinite():
                assert float(every[layer, slot]) == pytest.approx(
                    coordinate(model, clean.stream, model.neuron(layer, slot)).budget, rel=1e-4
                )


def words() -> Behavior:
    """A behavior in the words of the tiny models."""
    made = behavior(
        ["w5 w6 w7", "w8 w6 w7 w9"], ["w5 w6 w10", "w8 w6 w10 w9"], target="w20", control="w30 w31"
    )
    return replace(made, generic=("w5 w6", "w7 w8 w9", "w10 w11"))


@pytest.mark.parametrize("family", [*PRE_NORM, "gemma2"])
def test_the_objective_moves_by_its_gradient_under_a_small_dose(family: str) -> None:
    model, task = tiny(family), words()
    odds, gradients = objective_gradients(model, task, task.selection, span=1)
    openings = Openings.of(model, task.selection)
    assert odds == pytest.approx(float(clean_odds(model, openings).mean()), abs=1e-4)
    layer, epsilon = model.n_layers - 1, 0.02
    best = int(gradients[layer].abs().argmax())
    neuron = model.neuron(layer, best)
    doses = [add(neuron, alpha=sign * epsilon, positions="last") for sign in (1, -1)]
    # Openings of one token: the last prompt position alone foresees them.
    short = replace(
        task, selection=tuple(replace(p, control_openings=("w30",)) for p in task.selection)
    )
    single = objective_gradients(model, short, short.selection)[1][layer, best]
    up, down = opening_odds(model, Openings.of(model, short.selection), doses).mean(-1).tolist()
    assert float(single) == pytest.approx((up - down) / (2 * epsilon), rel=3e-2, abs=2e-3)


def test_the_mass_objective_is_the_papers_log_odds_of_the_phrases(
    model: Model, task: Behavior
) -> None:
    value = objective_gradients(model, task, task.selection, "mass")[0]
    (control,) = model.reply_ids("sorry")
    odds = []
    for prompt in task.selection:
        with torch.no_grad():
            logits = model.hf(input_ids=torch.tensor([model.prompt_ids(prompt.text)])).logits[0, -1]
        p = float(logits.softmax(-1)[control].clamp(max=1 - 1e-6))
        odds.append(-torch.tensor(p / (1 - p)).log())
    assert value == pytest.approx(float(torch.stack(odds).mean()), rel=1e-3)


def test_integrated_gradients_are_complete(model: Model, task: Behavior) -> None:
    delta = contrast_of(model, task, "integrated").towards_flip
    total = (path_gradients(model, task, delta, steps=32) * delta).sum(1)
    start = objective_gradients(model, task, task.selection)[0]
    for layer in range(model.n_layers):
        shift = torch.zeros_like(delta)
        shift[layer] = delta[layer]
        end = Phrases(model, task, task.selection).gradients(shift=shift)[0]
        assert float(total[layer]) == pytest.approx(end - start, rel=1e-2, abs=1e-2)


def test_dla_is_the_column_times_the_unembedding_times_the_difference(
    model: Model, task: Behavior
) -> None:
    (target,), (control,) = model.reply_ids("here"), model.reply_ids("sorry")
    unembedding = model.hf.lm_head.weight.detach()
    direction = unembedding[target] - unembedding[control]
    assert_close(readout(model, task), direction)
    contrast = contrast_of(model, task, "dla")
    ranking = dla(model, task)
    for branch, score in list(zip(ranking.branches, ranking.scores, strict=True))[:10]:
        written = float(model.down(branch.layer).weight.detach()[:, branch.index] @ direction)
        delta = float(contrast.towards_flip[branch.layer, branch.index])
        assert score == pytest.approx(abs(written * delta), rel=1e-3)
        assert branch.pole == (1 if written > 0 else -1)
    assert max(dla(model, task, statistic="coherence").scores) <= 1 + 1e-6


def test_dla_is_refused_behind_a_norm() -> None:
    with pytest.raises(ModelError, match=r"norm after its MLP.*use another screen: gradient"):
        dla(tiny("gemma2"), words())


def test_geometry_is_the_cosine_with_the_difference(model: Model, task: Behavior) -> None:
    ranking = geometry(model, task)
    first = ranking.top(1)[0]
    direction = difference_directions(model, task)[first.layer].vector
    assert ranking.scores[0] == pytest.approx(
        abs(float(cosine(model.write(first), direction))), abs=1e-5
    )


def test_the_dosed_logit_screen_is_the_trigger_ladder_of_every_branch(
    model: Model, task: Behavior
) -> None:
    ranking = dosed_logit(model, task)
    assert next(branch for branch in ranking.branches if branch.layer == LAYER) == Neuron(
        LAYER, INDEX, -1
    )
    assert len(set(ranking.branches)) == len(ranking.branches)
    assert list(ranking.scores) == sorted(ranking.scores, reverse=True)


def test_the_slope_is_what_a_small_gain_does_to_the_log_odds(model: Model, task: Behavior) -> None:
    clean, openings, gain = clean_ground(model, task), Openings.of(model, task.selection), 1e-3
    ranking = slope(model, task, clean=clean)
    for branch, score in zip(ranking.branches[:3], ranking.scores, strict=False):
        doses = [
            coordinate(model, clean.stream, pole).dose(gain, "last")
            for pole in (branch, branch.opposite)
        ]
        up, down = opening_odds(model, openings, doses).mean(-1).tolist()
        assert score == pytest.approx((up - down) / (2 * gain), rel=2e-2)


def test_spread_prompts_hold_both_ends() -> None:
    prompts = behavior(POSITIVE, NEGATIVE).positive * 2
    assert spread(prompts, 4) == (prompts[0], prompts[2], prompts[5], prompts[7])
    assert spread(prompts, 9) == prompts


def test_random_holds_every_branch_and_its_seed_alone_decides(model: Model, task: Behavior) -> None:
    ranking = random(model, task, seed=1)
    assert len(set(ranking.branches)) == 2 * model.n_layers * model.d_mlp
    assert ranking == random(model, task, seed=1) != random(model, task, seed=2)


def test_universal_neurons_are_dropped_from_a_circuit_on_both_poles(
    model: Model, task: Behavior
) -> None:
    everywhere = universal(model, [*POSITIVE, *NEGATIVE], top=0.2, share=0.8)
    assert 0 < len(everywhere) < model.n_layers * model.d_mlp
    ranking = contrastive(model, task).without(everywhere)
    assert not {branch.site for branch in ranking.branches} & {n.site for n in everywhere}
    assert len(ranking.branches) == model.n_layers * model.d_mlp - len(everywhere)


def test_circuits_of_small_models_have_three_sizes(sparse: Model) -> None:
    assert set_sizes(sparse) == {"0.1%": 3, "1%": 31, "top 32": 32}


def test_layers_and_top_k_cut_a_ranking(model: Model, task: Behavior) -> None:
    ranking = contrastive(model, task, layers=[1], top_k=5)
    assert len(ranking.branches) == 5
    assert {branch.layer for branch in ranking.branches} == {1}
    with pytest.raises(
        InputError, match=r"got layers \[2\] and top_k None; .* has layers 0-1, top_k is 1 or more"
    ):
        contrastive(model, task, layers=[2])


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("refusal", 1),
        ("capitals", 1),
        ("language-fr", -1),
        ("operator", -1),
        ("framing", -1),
        ("agreement", -1),
        ("concept", -1),
    ],
)
def test_the_undosed_side_is_where_the_selection_prompts_lie(
    name: str, side: int, sparse: Model
) -> None:
    assert contrast_of(sparse, load_behavior(name), "contrastive").side == side


@pytest.mark.parametrize("screen", [gradient, gradient_paper, slope, attribution, dla, dosed_logit])
def test_a_behavior_without_openings_is_told_which_screens_still_run(
    screen: Screen, model: Model, task: Behavior
) -> None:
    bare = tuple(replace(prompt, target_openings=()) for prompt in task.selection)
    contrast = tuple(replace(prompt, target_openings=()) for prompt in task.positive)
    with pytest.raises(
        BehaviorError,
        match=r"no target openings, .*runs without: contrastive, concept, geometry, random",
    ):
        screen(model, replace(task, positive=contrast, selection=bare))


@pytest.mark.parametrize("screen", SCREENS)
def test_equal_or_missing_sets_are_refused(screen: Screen, model: Model, task: Behavior) -> None:
    if screen is slope:
        pytest.skip("reads no contrast sets")
    with pytest.raises(BehaviorError, match="same prompts, and every difference is 0"):
        screen(model, replace(task, negative=task.positive))
    with pytest.raises(BehaviorError, match="needs positive and negative prompts; give both"):
        screen(model, replace(task, negative=()))


@pytest.mark.parametrize("family", MIXTURES)
def test_screens_of_a_mixture_name_its_experts(family: str) -> None:
    model, task = tiny(family), words()
    clean: Clean = clean_ground(model, task)
    rankings: list[Ranking] = [
        contrastive(model, task),
        gradient(model, task, units="gain", clean=clean),
        attribution(model, task),
        geometry(model, task),
    ]
    for ranking in rankings:
        for branch in ranking.top(20):
            model.require(branch)


@pytest.mark.parametrize("screen", [gradient, attribution, dosed_logit])
def test_a_phrase_without_tokens_is_refused(screen: Screen, model: Model, task: Behavior) -> None:
    blank = tuple(replace(prompt, control_openings=("",)) for prompt in task.selection)
    with pytest.raises(BehaviorError, match="the opening '' has no tokens"):
        screen(model, replace(task, selection=blank))
