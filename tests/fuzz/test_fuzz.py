"""Files, names and arguments of every wrong kind: an answer in one line, in under two seconds."""

import io
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from fulcra.backtest.split import SHIPPED, read_split
from fulcra.behaviors.file import entries_of, read_behavior
from fulcra.behaviors.labelled import read_labelled
from fulcra.cli import main
from fulcra.errors import InputError
from fulcra.release.policy import load_policy
from fulcra.store import AUDIT, COMMITMENT, MANIFEST, WHOLE
from fulcra.studies.recipe import Recipe, recipe_of_run
from fulcra.studies.verify import verify
from fulcra.types import Neuron
from tests.fuzz.answers import LINE, answer, share
from tests.fuzz.mutations import SPLINTERS, mutated, splinters

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUN = ROOT / "docs" / "evidence" / "audit-sparse"
BEHAVIORS = (
    (ROOT / "examples" / "pronoun.yaml").read_text(),
    "name: tea\nversion: '1'\ntopic: tea\nhorizon: 12\nflip: {regex: 'a+b', words: null}\n"
    "reach: b\nsensitive: true\npositive: [a {topic}, &p {prompt: b, answer: c}]\n"
    "negative: [c, *p]\nselection: prompts.jsonl\nconfirmation: {set: none, split: x, n: 3}\n"
    "target_openings: [yes]\ncontrol_openings: ['no']\n",
    "name: a\nversion: 1\nhorizon: 5\nflip: {language: fr}\npositive: [a]\nnegative: [b]\n"
    "selection: [c]\nconfirmation: [d]\ntarget_openings: [e]\ncontrol_openings: [f]\n",
)
SPLITS = (
    SHIPPED.read_text(),
    "development:\n- {name: a, recipe: a, ceilings: [b]}\nheld_out:\n- {name: c, recipe: d}\n",
)
POLICIES = (
    *(path.read_text() for path in sorted((ROOT / "src/fulcra/release/policies").glob("*.yaml"))),
    "name: ours\nover_refusal: 0.1\ncoverage: {screened: 4, decided: 0.5}\nverified: true\n"
    "control_health: {baseline: 0.8, random: 0.1}\nregression: {smallest_open_gain: 0.8}\n",
)
RECIPE = Recipe.of(
    {
        "schema_version": 1,
        "name": "one",
        "model": {"name": "m", "sha256": "0"},
        "behavior": {"name": "b", "sha256": "1", "sensitive": False},
        "edits": [
            {"op": "add", "neuron": "L1.N83-", "value": -2.5, "gain": 0.6, "positions": "all"},
            {"op": "anchor", "neuron": "L0.N3+", "value": 1.0, "k": 2.0, "gap": 0.5},
            {"op": "add_vector", "layer": 1, "name": "v", "vector": [1.0, 2.0], "value": 1.0},
        ],
    }
)
LINES = ('{"text": "a", "label": true}\n{"text": "b", "label": false}\n' * 2,)
PROMPTS = ('"a"\n{"prompt": "b", "target_openings": ["c"]}\n', "prompt,target_openings\na,b|c\n")
COMMANDS = (
    *("audit", "check", "families", "window", "steer", "detect", "card", "screens", "exemplars"),
    *("recipe", "effects", "multiply", "census", "compare", "interventions", "judge", "verify"),
    *("gate", "report"),
)
OPTIONS = (
    *("--behavior", "--seed", "--neurons", "--gains", "--out", "--dtype", "--device", "--screen"),
    *("--branch", "--gain", "--pin", "--alpha", "--judge", "--price", "--text", "--json", "-q"),
    *("--policy", "--baseline", "--junit", "--as", "--public", "--with", "--unseal"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


@share(0.3)
@given(text=mutated(BEHAVIORS))
def test_a_behavior_file(folder: Path, text: str) -> None:
    path = _file(folder, "behavior.yaml", text)
    answer("behavior", lambda: read_behavior(path))


@share(0.15)
@given(text=mutated(SPLITS))
def test_a_split_file(folder: Path, text: str) -> None:
    path = _file(folder, "split.yaml", text)
    answer("split", lambda: read_split(path))


@share(0.06)
@given(text=mutated(POLICIES))
def test_a_policy_file(folder: Path, text: str) -> None:
    path = _file(folder, "policy.yaml", text)
    answer("policy", lambda: load_policy(str(path)))


@share(0.17)
@given(text=st.deferred(lambda: mutated(_recipes())))
def test_a_recipe(folder: Path, text: str) -> None:
    path = _file(folder, "recipe.json", text)
    answer("recipe", lambda: Recipe.load(path))


def _recipes() -> tuple[str, ...]:
    with TemporaryDirectory() as place:
        return (RECIPE.save(Path(place)).read_text(),)


@share(0.06)
@given(text=mutated(LINES))
def test_labelled_prompts(folder: Path, text: str) -> None:
    path = _file(folder, "labelled.jsonl", text)
    answer("labelled prompts", lambda: read_labelled(path))


@share(0.06)
@given(text=mutated(PROMPTS), ending=st.sampled_from((".jsonl", ".csv")))
def test_a_prompt_file(folder: Path, text: str, ending: str) -> None:
    path = _file(folder, f"prompts{ending}", text)
    answer("prompt file", lambda: entries_of(path))


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """The published run with every 40th of its rollouts, to be read in a moment."""
    run = Path(shutil.copytree(RUN, folder / "run"))
    table = parquet.read_table(run / WHOLE)
    parquet.write_table(table.take(list(range(0, len(table), 40))), run / WHOLE)
    return run


@share(0.08)
@given(name=st.sampled_from((MANIFEST, COMMITMENT, AUDIT)), data=st.data())
def test_the_files_of_a_run(run: Path, name: str, data: st.DataObject) -> None:
    sound = (RUN / name).read_text()
    _file(run, name, data.draw(mutated((sound,))))
    answer("run folder", lambda: verify(run))
    (run / name).write_text(sound)


@share(0.02)
@given(first=st.floats(0, 1), splinter=st.binary(min_size=1, max_size=20))
def test_the_table_of_a_run(run: Path, first: float, splinter: bytes) -> None:
    sound = (run / WHOLE).read_bytes()
    start = round(first * len(sound))
    (run / WHOLE).write_bytes(sound[:start] + splinter + sound[start + len(splinter) :])
    answer("rollout table", lambda: verify(run))
    (run / WHOLE).write_bytes(sound)


@share(0.1)
@given(name=mutated(("L14.N2207+", "L14/N2207", "14:2207", "L14 n2207 -", "L2.N3.E4+")))
def test_a_neuron_name(name: str) -> None:
    answer("neuron name", lambda: Neuron.parse(name))


@share(0.01)
@given(branch=splinters, gain=st.floats() | st.none())
def test_a_recipe_of_a_run(branch: str, gain: float | None) -> None:
    answer("recipe of a run", lambda: recipe_of_run(RUN, branch, gain))


@share(0.05)
@given(
    command=st.sampled_from(COMMANDS),
    words=st.lists(st.sampled_from((*OPTIONS, *OPTIONS, *SPLINTERS)) | st.text(max_size=5)),
)
def test_arguments(command: str, words: list[str]) -> None:
    # the parser of arguments repeats them, an unprintable character as "\\U0001f600"
    longest = LINE + 10 * sum(map(len, words))
    answer("arguments", lambda: _call(command, "no/such/model", *words), longest)


def _call(*arguments: str) -> None:
    """The command line in this process; InputError with its line where it refused."""
    errors, output = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["fulcra", *arguments]),
        redirect_stderr(errors),
        redirect_stdout(output),
        pytest.raises(SystemExit) as stop,
    ):
        main()
    if stop.value.code:
        assert stop.value.code == 2, errors.getvalue()
        assert len(errors.getvalue().splitlines()) == 1, errors.getvalue()
        raise InputError(errors.getvalue())
