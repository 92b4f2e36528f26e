"""`fulcra effects` and `fulcra interventions`: figures, tables, runs reopened, refusals."""

import json
from pathlib import Path

import pytest

from fulcra import Behavior, Model, Neuron, scale
from fulcra.behaviors import behavior_sha256
from fulcra.behaviors.world_behavior import allowed_prompts
from fulcra.organisms.world import build_world
from fulcra.store import AUDIT, read_json, write_json
from fulcra.studies.recipe import Recipe, RecipeBehavior, RecipeModel
from tests.cli.conftest import Call
from tests.judges.servers import Reply, completion, grades, serving


def written(model: Model, behavior: Behavior, folder: Path) -> Path:
    made = Recipe(
        name="gate",
        model=RecipeModel(name=model.name, sha256=model.sha256),
        behavior=RecipeBehavior(name="refusal", sha256=behavior_sha256(behavior), sensitive=False),
        edits=(scale(Neuron(2, 307), 0.0),),
    )
    return made.save(folder)


@pytest.mark.slow
def test_effects_are_a_table_and_a_file(
    fulcra: Call, sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    left = fulcra(
        "effects",
        "apothecary-sparse",
        "-r",
        written(sparse, refusal, tmp_path),
        "--out",
        tmp_path / "run",
    )
    assert left.code == 0
    for name in (
        "behavior_rate",
        "quality",
        "surprise",
        "accuracy",
        "over_refusal",
        "KL on generic text",
    ):
        assert name in left.out
    result = read_json(tmp_path / "run" / "effects.json")
    assert result["sets"][0]["figures"]["behavior_rate"]["n"] == len(refusal.confirmation)
    assert result["provenance"]["seed"] == 0


@pytest.mark.slow
def test_a_file_of_prompts_is_one_more_set_and_judges_are_compared_and_paid(
    fulcra: Call, sparse: Model, refusal: Behavior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULCRA_CACHE", str(tmp_path / "cache"))
    allowed = [prompt.text for prompt in allowed_prompts(build_world())[:3]]
    (tmp_path / "allowed.jsonl").write_text("\n".join(map(json.dumps, allowed)))
    with serving(lambda number, body: Reply(body=completion(grades(refused=True)))) as server:
        judges = (
            "--judge",
            "phrases",
            "--judge",
            f"api:m@{server.url}",
            "--price",
            "2/10",
            "--prompts",
            tmp_path / "allowed.jsonl",
        )
        call = ("effects", "apothecary-sparse", "-r", written(sparse, refusal, tmp_path), *judges)
        table = fulcra(*call)
        again = json.loads(fulcra(*call, "--json").out)
    assert (table.code, table.err) == (0, "")
    for words in (
        "allowed.jsonl, 33 tokens",
        "unchanged by phrases",
        "Krippendorff's alpha",
        "disagreements",
        "at 2/10 a million tokens",
    ):
        assert words in " ".join(table.out.split())
    own, file = again["sets"]
    assert (own["name"], file["name"], file["figures"]["unchanged"]["clean"]) == (
        "refusal",
        "allowed.jsonl",
        0.0,
    )
    assert file["judges"][2]["figures"]["unchanged"]["clean"] == 1.0
    assert [judge["cost"] for judge in file["judges"][1:]] == [None, 0.0]
    assert file["judges"][2]["from_disk"] == file["completions"]


def test_bad_sets_are_one_line(
    fulcra: Call, sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    call = ("effects", "apothecary-sparse", "-r", written(sparse, refusal, tmp_path))
    own = tmp_path / "own.csv"
    own.write_text(f"prompt\n{refusal.confirmation[0].text}\n")
    for arguments, line in (
        (
            ("--prompts", "dinner"),
            "--prompts dinner: expected SET:SPLIT:N of a public set (jbb-behaviors,",
        ),
        (("--prompts", "xstest:safe:few"), "expected SET:SPLIT:N with a whole number of prompts"),
        (("--prompts", "xstest:dinner"), "set 'xstest': no split 'dinner'; it has safe, unsafe"),
        (("--prompts", own), "is a prompt of the behavior, too; keep it in one"),
        (("-b", "dinner"), "behavior 'dinner': no built-in has this name"),
        (
            ("-b", "framing", "--judge", "phrases"),
            "--judge phrases: reads refusals, and framing flips otherwise",
        ),
        (("--price", "1/2"), "--price 1/2: no judge is at an endpoint"),
    ):
        assert line in fulcra(*call, *arguments).refusal


def test_bad_input_is_one_line(
    fulcra: Call, sparse: Model, refusal: Behavior, audited: Path, tmp_path: Path
) -> None:
    path = written(sparse, refusal, tmp_path)
    assert "doses do not carry over" in fulcra("effects", "apothecary-dense", "-r", path).refusal
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"behavior": None}))
    assert (
        "it names none); name its file with --behavior"
        in fulcra("effects", "apothecary-sparse", "-r", path).refusal
    )
    run = read_json(audited / AUDIT)
    write_json(tmp_path / "run" / AUDIT, run | {"model": run["model"] | {"sha256": "0"}})
    assert (
        "was made of another apothecary-sparse than apothecary-sparse is now; name the model with"
        " weights 0 with --model" in fulcra("interventions", tmp_path / "run").refusal
    )
    none = fulcra("interventions", tmp_path / "none").refusal
    assert "no audit.json; expected the folder of a finished `fulcra audit`" in none


@pytest.mark.slow
def test_task_files_may_name_code_and_that_is_told_once(
    fulcra: Call, sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    recipe, tasks = written(sparse, refusal, tmp_path), tmp_path / "tasks"
    call = ("effects", "apothecary-sparse", "-r", recipe, "--task-folder", tasks, "-q")
    assert "no task is named; add --tasks" in fulcra(*call).refusal
    left = fulcra(*call, "--tasks", "no_such_task")
    line = f"warning: --task-folder {tasks}: the code that its task files name is run"
    assert (left.code, left.err.count(line)) == (2, 1)
