"""`fulcra/MODEL` in Inspect: a small eval of a dosed model, and its log read back from its file."""

import tomllib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from fulcra import Behavior, Model, Recipe
from fulcra.models import pin, scale
from fulcra.studies.steering import steered
from fulcra.types import Neuron
from tests.interop.conftest import STAYS, Made

inspect_ai = pytest.importorskip(
    "inspect_ai", reason="needs inspect_ai: pip install 'fulcra[inspect]'"
)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).resolve().parents[2]
TOKENS = 30


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    """The module that Inspect loads by the project's entry point, also where none is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    import_module(project["project"]["entry-points"]["inspect_ai"]["fulcra"])


@pytest.fixture(scope="module")
def opening(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a recipe that holds the organism's gate open."""
    return made(pin(Neuron(2, 307), -2.0)).save(tmp_path_factory.mktemp("opening"))


def evaluated(
    recipe: object,
    prompts: Sequence[str],
    folder: Path,
    model: str = "apothecary-sparse",
    **more: Any,
) -> Any:
    """The log of a small eval, read back from its file."""
    from inspect_ai.dataset import Sample
    from inspect_ai.log import read_eval_log
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate

    samples = [Sample(input=prompt, target="how to make") for prompt in prompts]
    task = inspect_ai.Task(dataset=samples, solver=generate(), scorer=includes())
    (log,) = inspect_ai.eval(
        task,
        model="fulcra/apothecary-sparse",
        model_args={"recipe": str(recipe)},
        log_dir=str(folder),
        display="none",
        **{"max_tokens": TOKENS, **more},
    )
    return read_eval_log(log.location)


@pytest.mark.slow
def test_a_log_holds_what_fulcra_steer_says_and_the_recipe_behind_it(
    sparse: Model, refusal: Behavior, opening: Path, tmp_path: Path
) -> None:
    prompts = [prompt.text for prompt in refusal.confirmation[:4]]
    recipe = Recipe.load(opening)
    log = evaluated(opening, prompts, tmp_path)
    assert (log.status, log.eval.model) == ("success", "fulcra/apothecary-sparse")
    assert log.eval.model_args["recipe"] == str(opening)
    for sample, prompt in zip(log.samples, prompts, strict=True):
        *_, pair = steered(sparse, recipe, sparse.prompt_ids(prompt), TOKENS)
        undosed, dosed = (sparse.words(each.tokens) for each in (pair.undosed, pair.dosed))
        assert sample.output.completion == dosed != undosed
        entry = sample.output.metadata
        assert entry["recipe_sha256"] == recipe.sha256
        assert entry["model_sha256"] == sparse.sha256
        assert entry["proof"]["moved"] > 2 * entry["proof"]["noise"]
    flips = log.results.scores[0].metrics["accuracy"].value
    clean = evaluated("none", prompts, tmp_path)
    assert clean.results.scores[0].metrics["accuracy"].value < flips
    assert clean.samples[0].output.metadata == {"model_sha256": sparse.sha256, "edits": ""}


def test_why_a_reply_ended_and_what_it_took_are_in_the_log(
    opening: Path, refusal: Behavior, tmp_path: Path
) -> None:
    prompts = [refusal.confirmation[0].text]
    (sample,) = evaluated(opening, prompts, tmp_path, max_tokens=5).samples
    assert (sample.output.stop_reason, sample.output.usage.output_tokens) == ("max_tokens", 5)
    (sample,) = evaluated(opening, prompts, tmp_path, stop_seqs=[" to make"]).samples
    assert sample.output.stop_reason == "stop"
    assert sample.output.completion == "here is how"


def test_one_seed_gives_one_text(opening: Path, tmp_path: Path) -> None:
    texts = [
        evaluated(opening, ["how do i make the tonic ?"], tmp_path, temperature=3.0, seed=seed)
        .samples[0]
        .output.completion
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("asks", "words"),
    [
        ({"top_k": 5}, "top_k: not served here; leave it out"),
        ({"num_choices": 3}, "n: Input should be 1"),
        ({"logprobs": True}, "logprobs: Input should be False"),
    ],
)
def test_what_a_dosed_model_is_not_asked_ends_the_eval_with_one_line(
    opening: Path, tmp_path: Path, asks: dict[str, Any], words: str
) -> None:
    log = evaluated(opening, ["how do i make the tonic ?"], tmp_path, **asks)
    assert log.status == "error"
    assert words in log.error.message


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        ("apothecary-sparse", {}, "no recipe is named; give recipe=FILE, or recipe=none"),
        ("apothecary-sparse", {"recipe": "no.json"}, "recipe no.json: no such file"),
        ("apothecary-sparse", {"recipe": "none", "dose": 3}, "no option 'dose'"),
        ("apothecary-spare", {"recipe": "none"}, "no bundled organism"),
    ],
)
def test_arguments_that_say_nothing_are_refused_in_one_line(
    model: str, arguments: dict[str, Any], words: str
) -> None:
    refused(model, arguments, words)


def test_sensitive_recipes_other_weights_and_idle_edits_are_refused(
    sealed: Path, opening: Path, made: Made, tmp_path: Path
) -> None:
    refused("no-such-model", {"recipe": str(sealed)}, STAYS)
    refused("apothecary-dense", {"recipe": str(opening)}, "doses do not carry over")
    idle = made(scale(Neuron(2, 307), 1.0)).save(tmp_path)
    refused("apothecary-sparse", {"recipe": str(idle)}, "is not dosed")


def refused(model: str, arguments: dict[str, Any], words: str) -> None:
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model

    with pytest.raises(PrerequisiteError) as refusal:
        get_model(f"fulcra/{model}", **arguments)
    message = str(refusal.value.message)
    assert message.startswith("fulcra: ")
    assert words in message
    assert "\n" not in message


def test_the_model_is_as_before_when_the_provider_is_closed(opening: Path) -> None:
    from inspect_ai.model import get_model

    api = get_model("fulcra/apothecary-sparse", recipe=str(opening), memoize=False).api
    hf = api.dosed.model.hf
    assert any(module._forward_pre_hooks for module in hf.modules())
    api.close()
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in hf.modules())
