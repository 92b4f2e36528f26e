"""Every row of a paper has its figure, its command and its reader; commands follow each other."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from fulcra.behaviors import built_in
from fulcra.cli import app
from fulcra.errors import InputError
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.comparison import ComparisonResult
from fulcra.protocol.results.model_ceilings import ModelCeilings
from fulcra.protocol.results.multiply import MultiplyResult
from fulcra.release.replication.beside import beside
from fulcra.release.replication.paper_a import ceiling_gain, opened
from fulcra.release.replication.papers import (
    LETTERS,
    SMALL,
    Paper,
    commands,
    measured,
    paper,
    rows_by_model,
)
from fulcra.release.replication.readers import READERS, readings, runs_readings
from fulcra.release.replication.reading import Reading, model_name
from fulcra.store import read_json
from tests.conftest import ROOT

EVIDENCE = ROOT / "docs" / "evidence"
PAPERS = [paper(letter) for letter in LETTERS]
COMMAND = typer.main.get_command(app)
MODELS = None, SMALL, "a folder/of mine"
#: A neuron that an earlier run names, as the shell puts it into a command.
NAMED = re.compile(r'"\$\(.+?\)"(?= )')
FOLDER = re.compile(r"(?<=[\s'])runs/[\w.-]+")
SAVED = re.compile(r"(?:--out |save\(')(runs/[\w.-]+)")


def printed(source: Paper, model: str | None) -> list[str]:
    return [line.command for line in commands(source, model)]


def words(command: str) -> list[str]:
    """The arguments of a command, a neuron in the place of the one that a run names."""
    return shlex.split(NAMED.sub("L1.N2", command))


def parsed(arguments: list[str]) -> dict[str, object]:
    """What the real command line reads from these arguments; fails where it would refuse them."""
    context = typer.main.get_command(app).make_context("fulcra", arguments)
    group = context.command
    while hasattr(group, "resolve_command"):
        name, group, rest = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = group.make_context(name, rest, parent=context)
    return context.params


ALL = sorted(
    {command for source in PAPERS for model in MODELS for command in printed(source, model)}
)


@pytest.mark.parametrize("command", ALL)
def test_the_command_line_takes_every_command_as_it_is_printed(command: str) -> None:
    name, *arguments = words(command)
    if name == "python":
        compile(arguments[1], "command", "exec")
        return
    behaviors = parsed(arguments).get("behavior") or ()
    assert name == "fulcra"
    for behavior in [behaviors] if isinstance(behaviors, str) else behaviors:
        assert built_in(behavior)


@pytest.mark.parametrize("source", PAPERS, ids=LETTERS)
def test_a_command_reads_what_an_earlier_one_of_the_same_model_wrote(source: Paper) -> None:
    saved: set[str] = set()
    for command in printed(source, SMALL):
        saved_now = set(SAVED.findall(command))
        assert set(FOLDER.findall(command)) <= saved | saved_now
        assert not saved & saved_now
        saved |= saved_now


@pytest.mark.parametrize("source", PAPERS, ids=LETTERS)
def test_the_paper_s_own_models_take_the_commands_that_are_printed_for_them(source: Paper) -> None:
    rows, own = rows_by_model(source), commands(source)
    each = [line for model in rows for line in commands(source, model)]
    assert {line.command for line in own} <= {line.command for line in each}
    assert {row for row in rows.values() for row in row} == {n for line in own for n in line.rows}


@pytest.mark.parametrize("source", PAPERS, ids=LETTERS)
def test_every_command_is_of_a_row_and_every_row_has_one_or_says_what_it_needs(
    source: Paper,
) -> None:
    assert {name for row in source.rows for name in row.run} == set(source.commands)
    assert not [row.row for row in source.rows if not row.run and not row.needs]
    assert {row.reads for row in source.rows if row.reads} <= set(READERS)
    assert len({row.row for row in source.rows}) == len(source.rows)


def test_every_reader_is_of_a_row() -> None:
    assert {row.reads for source in PAPERS for row in source.rows if row.reads} == set(READERS)


def test_a_row_shows_the_paper_s_figure_and_ours_with_its_model() -> None:
    first = beside(paper("a"))[0]
    assert first.paper == ("Llama-3.1-8B: 1.46",)
    assert "SmolLM2-135M: 0.45, median of 240" in first.figures
    assert first.verdict == "refuted"


def test_a_row_without_a_figure_of_ours_shows_what_was_concluded() -> None:
    curve = next(row for row in beside(paper("A")) if "sqrt" in row.what)
    assert (curve.here, curve.figures) == ((), [measured()["A.curve"].why])


def test_ceilings_beyond_the_ladder_count_as_larger_than_any_on_it() -> None:
    result = ModelCeilings.load(EVIDENCE / "real")
    rows = [row.model_copy(update={"measured": None}) for row in result.rows]
    (whole,) = ceiling_gain([result.model_copy(update={"rows": tuple(rows)})])
    assert (whole.value, whole.words) == (None, f"beyond the ladder, 0 of {len(rows)} on it")


def test_an_audit_of_another_behavior_fills_no_row_of_this_one() -> None:
    audits = [AuditResult.load(EVIDENCE / "real" / f"audit-{name}.json") for name in NAMES]
    row = next(row for row in paper("A").rows if row.row == "language")
    assert readings(row, audits) == tuple(opened(audits[:1]))


NAMES = "reply-english", "reply-french", "bullets"


def test_no_figure_of_a_model_is_lost_in_a_comparison() -> None:
    result = ComparisonResult.of(read_json(EVIDENCE / "anatomy.json")["comparison"])
    row = next(row for row in paper("B").rows if row.row == "late-capitals")
    assert {each.model for each in readings(row, [result])} == {m.name for m in result.models}


def test_a_folder_of_a_run_fills_the_rows_that_it_is_about(tmp_path: Path) -> None:
    MultiplyResult.load(EVIDENCE / "multiply-sparse.json").write(tmp_path)
    filled = runs_readings(paper("B"), [tmp_path])
    assert filled["B.refusals"] == (Reading("apothecary-sparse", -0.125, "100 % to 88 %, n = 16"),)
    assert filled["B.overlap"] == ()


def test_a_folder_without_a_result_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of audit\.json, .* is in it"):
        runs_readings(paper("B"), [tmp_path])


@pytest.mark.parametrize("model", ["it's", 'a"b', "$HOME/model", "a`b`", "a\nb"])
def test_a_model_that_would_end_the_quotes_of_a_command_is_refused(model: str) -> None:
    with pytest.raises(InputError, match="link the folder under another name"):
        commands(paper("C"), model)


def test_names_of_models_are_printed_without_owner_and_file() -> None:
    names = "meta-llama/Llama-3.1-8B-Instruct", "SmolLM2-135M-Instruct.Q4_1.gguf", SMALL
    assert [model_name(name) for name in names] == ["Llama-3.1-8B", "SmolLM2-135M", "Qwen3-0.6B"]
