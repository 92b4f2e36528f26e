"""One neuron from the command line: predicted, committed, measured, drawn, or refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fulcra import AuditResult, Behavior, Neuron, window
from fulcra.behaviors.generic import OPENINGS
from fulcra.errors import Inconclusive
from fulcra.models.tiny import tiny
from fulcra.protocol.commit import fewest_prompts
from fulcra.protocol.results.window import WindowResult
from fulcra.store import COMMITMENT, read_json
from tests.cli.conftest import Call


@pytest.mark.slow
def test_a_window_is_predicted_committed_measured_and_drawn(
    fulcra: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = (
        "window",
        "apothecary-sparse",
        "L2.N307-",
        "-b",
        "refusal",
        "--out",
        tmp_path / "run",
    )
    left = fulcra(*command)
    assert left.code == 0, left.err
    assert "L2.N307- is " in left.out
    for method in (
        "family_constant",
        "participation_ratio",
        "second_order_kl",
        "kl_ladder",
        "surprise_ladder",
        "sampled_surprise_ladder",
        "trigger_ladder",
        "measured",
    ):
        assert method in left.out
    assert max(map(len, left.out.split("page      ")[0].splitlines())) <= 80
    page = (tmp_path / "run" / "window.html").read_text()
    assert 'data-figure="saturation"' in page
    assert 'data-figure="dose"' in page

    content = json.loads(fulcra(*command, "--json").out)
    result = WindowResult.load(tmp_path / "run")
    assert content == result.plain() == read_json(tmp_path / "run" / WindowResult.file)
    assert result.audit == AuditResult.load(tmp_path / "run")
    sha256 = result.audit.summary.commitment_sha256
    assert sha256 == read_json(tmp_path / "run" / COMMITMENT)["sha256"]
    committed = next(edge for edge in result.ceilings if edge.method == "kl_ladder")
    assert result.measured is not None
    assert result.measured.ceiling_predicted == committed
    first = result.curve[0]
    assert first.alignment_low <= first.alignment <= first.alignment_high
    assert fulcra("verify", tmp_path / "run").code == 0


def test_predictions_alone_roll_out_and_commit_nothing(
    fulcra: Call, behavior_file: Path, tmp_path: Path
) -> None:
    left = fulcra(
        "window",
        "apothecary-sparse",
        "3:7+",
        "-b",
        behavior_file,
        "--predict-only",
        "--out",
        tmp_path / "run",
        "--json",
    )
    content = json.loads(left.out)
    assert (left.code, content["neuron"]) == (0, "L3.N7+")
    assert "audit" not in content
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"window.html", "window.json"}


def test_a_neuron_that_is_not_there_is_bad_input(fulcra: Call, behavior_file: Path) -> None:
    assert (
        "layers 0-7 and neurons 0-383"
        in fulcra("window", "apothecary-sparse", "L3.N999+", "-b", behavior_file).refusal
    )
    assert (
        "expected a name like L14.N2207+"
        in fulcra("window", "apothecary-sparse", "nobody", "-b", behavior_file).refusal
    )
    assert (
        "neuron L3.N7: no pole, and each pole has a window of its own; write L3.N7+ or L3.N7-"
        in fulcra("window", "apothecary-sparse", "L3.N7", "-b", behavior_file).refusal
    )


def test_a_behavior_the_undosed_model_does_not_show_is_refused(
    fulcra: Call, written: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "never.yaml"
    path.write_text(
        yaml.safe_dump(
            {**written, "flip": {"words": {"flipped": ["here"], "unchanged": ["wolves"]}}}
        )
    )
    left = fulcra(
        "window", "apothecary-sparse", "L3.N7+", "-b", path, "--out", tmp_path / "run", "--quiet"
    )
    assert (left.code, left.out) == (3, "")
    assert "undosed, the model shows it on 0 of 3 prompts" in left.line


def test_too_few_prompts_for_an_interval_are_refused(
    fulcra: Call, behavior_file: Path, tmp_path: Path
) -> None:
    left = fulcra(
        "window",
        "apothecary-sparse",
        "L3.N7+",
        "-b",
        behavior_file,
        "--out",
        tmp_path / "run",
        "--quiet",
    )
    assert left.code == 3
    assert "2 confirmation prompts that do not flip undosed" in left.line
    assert fewest_prompts() == 4


def test_a_model_that_collapses_undosed_is_refused(refusal: Behavior) -> None:
    model = tiny("llama")
    # an unembedding that knows one token: whatever is asked, it says the same
    model.hf.get_output_embeddings().weight.data.zero_()
    with_bias = model.hf.get_output_embeddings()
    with_bias.register_forward_hook(
        lambda module, args, out: out.index_fill(-1, out.new_tensor([9]).long(), 50.0)
    )
    texts = tuple(
        " ".join(f"w{3 + (7 * i + j) % 90}" for j in range(4)) for i in range(len(OPENINGS))
    )
    task = replace(refusal, generic=texts[:32], ceiling_generic=texts[32:], reference=None)
    with pytest.raises(Inconclusive, match="collapses undosed: 100% of its rollouts"):
        window(model, task, Neuron(1, 3))


def test_both_commands_have_help_with_an_example(fulcra: Call) -> None:
    for command in ("window", "validate"):
        left = fulcra(command, "--help")
        assert left.code == 0
        assert f"Example: fulcra {command}" in left.out
    assert "--split none.yaml: cannot be read" in fulcra("validate", "--split", "none.yaml").refusal


def test_a_study_of_missing_models_is_refused_and_a_reduced_one_without_verdicts_too(
    fulcra: Call, tmp_path: Path
) -> None:
    path = tmp_path / "split.yaml"
    path.write_text("development: []\nheld_out:\n  - {name: b, recipe: b, ceilings: [nowhere]}\n")
    left = fulcra("validate", "--split", path, "--out", tmp_path / "run", "--quiet")
    assert (left.code, left.out) == (3, "")
    assert left.err.startswith("split ")
    assert "neither bundled nor in any folder: nowhere; train them" in left.err
    command = ("validate", "--split", path, "--out", tmp_path / "run", "--quiet", "--reduced")
    assert fulcra(*command).code == 3
    (page,) = (tmp_path / "run").glob("*.md")
    assert "Missing and not measured: nowhere" in page.read_text()
