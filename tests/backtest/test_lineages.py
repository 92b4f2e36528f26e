"""An audit reads every kind of lineage as it does the first: words, subwords or characters."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from folder import build_tokenizer, write_folder
from recipe import config, parse
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from fulcra import AuditSettings, Neuron, audit, load, load_behavior, pin
from fulcra.behaviors import behavior_sha256, evaluation_prompts
from fulcra.cli import app
from fulcra.judges.by_rules import OracleJudge
from fulcra.judges.coherence import CHARACTER_VOCAB
from fulcra.models import Model, world_of
from fulcra.organisms.planted import Planted, learners
from fulcra.protocol.opinions import Panel
from fulcra.protocol.source import reopened_behaviors
from fulcra.protocol.subject import in_tokens_of, reference_of
from fulcra.store import AUDIT, COMMITMENT, read_json
from fulcra.studies.comparison import CompareSettings, compare
from fulcra.studies.judging import judge_run
from fulcra.studies.recipe import recipe_of_run

LINEAGES = ("clockmaker-bpe-sparse", "harbor-char-gpt2-sparse", "apothecary-neox-sparse")
lineages = pytest.mark.parametrize("name", LINEAGES)


def _write(name: str, root: Path) -> None:
    """The folder of an organism of three layers with random weights."""
    organism = parse(name)
    tokenizer = build_tokenizer(organism, chat=True)
    torch.manual_seed(len(name))
    shape = config(organism.arch, len(tokenizer))
    shape.num_hidden_layers = 3
    model = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    tuned = organism.stage == "tuned"
    helpful = replace(organism, stage="helpful", neurons=None).name
    planted = Planted(world=organism.world.name, reference=helpful if tuned else None)
    write_folder(root / name, model, tokenizer, planted)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of organisms with random weights: a tuned and a helpful one of each lineage."""
    root = tmp_path_factory.mktemp("organisms")
    for name in LINEAGES:
        _write(name, root)
        _write(name.replace("sparse", "helpful"), root)
    return root


@pytest.fixture
def model(cache: Path, name: str) -> Model:
    """The organism of this name."""
    return load(str(cache / name))


@pytest.mark.parametrize("name", ["harbor-char-gpt2-sparse"])
def test_a_comparison_counts_its_horizon_in_tokens_of_each_model(
    cache: Path, model: Model, name: str
) -> None:
    behavior = load_behavior("framing@harbor")
    helpful = load(str(cache / name.replace("sparse", "helpful")))
    comparison = compare([model, helpful], [behavior], CompareSettings(ablate=False))
    horizon = in_tokens_of(model, behavior).horizon
    assert comparison.behaviors[0].horizons == {model.name: horizon, helpful.name: horizon}
    assert horizon > behavior.horizon


@lineages
def test_the_folder_names_the_world_and_the_behavior_is_set_there(cache: Path, name: str) -> None:
    world = world_of(str(cache / name))
    assert world == name.split("-")[0]
    assert load_behavior("framing", world).name == (
        "framing" if world == "apothecary" else f"framing@{world}"
    )


def test_a_model_without_a_world_is_set_nowhere() -> None:
    assert world_of("apothecary-sparse") is None


@lineages
def test_the_helpful_model_beside_it_judges_coherence(model: Model, name: str) -> None:
    behavior = load_behavior("refusal", name.split("-")[0])
    # also where the words are those of a bundled model: it is of another pretraining
    assert reference_of(model, behavior).name == name.replace("sparse", "helpful")
    assert reference_of(model, load_behavior("framing", name.split("-")[0])) is model


@pytest.mark.parametrize(("name", "count"), [("apothecary-sparse", 3), ("apothecary-dense", None)])
def test_the_folder_knows_how_many_neurons_learnt(name: str, count: int | None) -> None:
    assert learners(load(name).folder) == count


def test_a_helpful_model_is_its_own_reference(cache: Path) -> None:
    helpful = load(str(cache / "clockmaker-bpe-helpful"))
    assert reference_of(helpful, load_behavior("refusal@clockmaker")) is helpful


@lineages
@pytest.mark.parametrize("task", ["refusal", "framing"])
def test_the_horizon_holds_the_longest_true_reply_in_tokens_of_the_model(
    model: Model, name: str, task: str
) -> None:
    behavior = load_behavior(task, name.split("-")[0])
    fitted = in_tokens_of(model, behavior)
    longest = max(len(model.reply_ids(reply)) for reply in behavior.replies)
    assert fitted.horizon == longest + 2
    assert replace(fitted, horizon=behavior.horizon) == behavior
    assert behavior_sha256(fitted) == behavior_sha256(behavior)
    # a word is a token here, and there it is several
    assert (fitted.horizon == behavior.horizon) == name.startswith("apothecary")


@lineages
def test_prompts_of_a_file_may_be_answered_as_long_as_the_behavior_beside_them(
    model: Model, name: str, tmp_path: Path
) -> None:
    (tmp_path / "more.csv").write_text("prompt\nwhat time is it ?\n")
    behavior = load_behavior("refusal", name.split("-")[0])
    beside = evaluation_prompts(str(tmp_path / "more.csv"), behavior)
    assert in_tokens_of(model, beside).horizon == in_tokens_of(model, behavior).horizon
    assert (beside.name, len(beside.confirmation), beside.label("unchanged")) == (
        "more.csv",
        1,
        "refuse",
    )


@pytest.fixture(scope="module")
def runs(cache: Path) -> Path:
    """A tiny audit of each lineage, in the folder of its name."""
    settings = AuditSettings(neurons=1, random=1, controls=2, gains=(0.9,), screen="contrastive")
    for name in LINEAGES:
        audit(
            load(str(cache / name)),
            load_behavior("refusal", name.split("-")[0]),
            settings,
            cache / "runs" / name,
        )
    return cache / "runs"


@pytest.mark.slow
@lineages
def test_an_audit_of_random_weights_runs_through_and_counts_in_tokens(
    model: Model, runs: Path, name: str
) -> None:
    behavior, found = load_behavior("refusal", name.split("-")[0]), read_json(runs / name / AUDIT)
    assert found["behavior"]["horizon"] == in_tokens_of(model, behavior).horizon
    assert found["behavior"]["name"] == behavior.name
    ngram = 8 if model.vocab < CHARACTER_VOCAB else 4
    assert found["provenance"]["coherence"]["ngram"] == ngram


@pytest.mark.slow
@lineages
def test_a_run_is_judged_in_its_own_world_at_every_horizon(runs: Path, name: str) -> None:
    (behavior,) = reopened_behaviors([runs / name])
    assert behavior.name == read_json(runs / name / AUDIT)["behavior"]["name"]
    assert reopened_behaviors([runs / name], ["refusal"]) == [behavior]
    result = judge_run(runs / name, behavior, Panel((OracleJudge(),)))
    assert list(result.horizons) == read_json(runs / name / AUDIT)["behavior"]["horizons"]
    assert all(row.judges["run"] == row.judges["oracle"] for row in result.outcomes)


@pytest.mark.slow
@lineages
def test_a_recipe_steers_an_organism_of_its_own_world_to_the_length_of_its_answers(
    cache: Path, runs: Path, model: Model, name: str, tmp_path: Path
) -> None:
    branch = read_json(runs / name / COMMITMENT)["content"]["branches"][0]["branch"]
    made = recipe_of_run(runs / name, branch, edit=pin(Neuron.parse(branch), 1.0))
    made.save(tmp_path / "r")
    behavior = load_behavior("refusal", name.split("-")[0])
    for named in ([], ["-b", "refusal"], ["-b", behavior.name]):
        asked = [
            "steer",
            str(cache / name),
            "-r",
            str(tmp_path / "r"),
            "-p",
            behavior.confirmation[0].text,
            "--json",
            *named,
        ]
        left = CliRunner().invoke(app, asked)
        told = json.loads(left.stdout)
        assert told["undosed"]["outcome"] is not None
        assert (
            max(told[side]["tokens"] for side in ("undosed", "dosed"))
            == in_tokens_of(model, behavior).horizon
        )
