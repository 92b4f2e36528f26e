"""Ctrl-C and going on, what is printed, exit codes, and the second look at a run."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from fulcra import AuditResult
from fulcra.cli.app import app, research
from fulcra.protocol.shards import read_rollouts
from fulcra.store import AUDIT, COMMITMENT, ROLLOUTS, read_json, write_json
from tests.cli.conftest import Call
from tests.processes import MAIN, Process

SMALL = ("--neurons", "1", "--random", "0", "--screen", "contrastive")
PATIENCE = 300


def interrupted(arguments: tuple[str, ...], path: Path) -> tuple[int, str, str]:
    """The command in a process of its own on one processor, with Ctrl-C as soon as `path` exists.

    A shell's background jobs hand on that Ctrl-C is ignored; here it is not.
    """
    lines = ["import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"]
    if hasattr(os, "sched_getaffinity"):
        processor = min(os.sched_getaffinity(0))
        lines.append(f"import os; os.sched_setaffinity(0, {{{processor}}})")
    code = "; ".join([*lines, MAIN])
    process = Process(arguments, code)
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if any(path.parent.glob(path.name)):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    return process.ended(PATIENCE)


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on_to_the_same_audit(
    fulcra: Call, behavior_file: Path, tmp_path: Path
) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    command = ("audit", "-b", str(behavior_file), *SMALL, "--json", "--out")
    code, out, err = interrupted(
        (*command, str(folder)), folder / "rollouts" / "confirmation-0.*.parquet"
    )
    assert (code, out) == (130, "")
    assert (
        err == "fulcra: interrupted; the same command, with the same --out, goes on where this one"
        " stopped\n"
    )
    assert not {AUDIT, ROLLOUTS} & {path.name for path in folder.iterdir()}
    shards = {path: path.stat().st_mtime_ns for path in (folder / "rollouts").iterdir()}
    assert list((folder / "rollouts").glob("selection-0.*.parquet"))
    assert not list((folder / "rollouts").glob("control-0.*.parquet"))

    resumed, once = fulcra(*command, folder), fulcra(*command, whole)
    assert resumed.code == once.code
    first, second = json.loads(resumed.out), json.loads(once.out)
    assert first.pop("timing").keys() == second.pop("timing").keys()
    assert first == second
    assert (folder / COMMITMENT).read_bytes() == (whole / COMMITMENT).read_bytes()
    assert read_rollouts(folder) == read_rollouts(whole)
    assert {path: path.stat().st_mtime_ns for path in shards} == shards


def test_a_finished_run_is_printed_again_as_table_and_as_json(
    fulcra: Call, behavior_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = ("audit", "-b", behavior_file, *SMALL, "--out", tmp_path / "run")
    first, again = fulcra(*command), fulcra(*command)
    assert first == again
    assert first.code in (0, 3)
    assert "report.html" in first.out
    assert "…" not in first.out
    assert max(map(len, first.out.split("report    ")[0].splitlines())) <= 80
    assert json.loads(fulcra(*command, "--json").out) == read_json(tmp_path / "run" / AUDIT)
    assert fulcra(*command, "--quiet").out == ""


def test_no_verdict_leaves_with_3_and_says_why(
    fulcra: Call, written: dict[str, object], tmp_path: Path
) -> None:
    import yaml

    path = tmp_path / "never.yaml"
    never = {
        "flip": {
            "words": {"flipped": ["wolves"], "unchanged": ["sorry", "cannot", "desole", "peux"]}
        }
    }
    path.write_text(yaml.safe_dump({**written, **never, "target_openings": ["the dogs"]}))
    left = fulcra("audit", "-b", path, *SMALL, "--quiet", "--out", tmp_path / "run")
    assert (left.code, left.out) == (3, "")
    assert "protocol_not_reproduced" in left.line
    result = AuditResult.load(tmp_path / "run")
    assert {branch.verdict for branch in result.branches} == {"undetermined"}


def test_verify_passes_a_run_and_names_what_was_changed(fulcra: Call, run_copy: Path) -> None:
    passed = fulcra("verify", run_copy)
    assert (passed.code, passed.err) == (0, "")
    checks, coverage = passed.out.split("\n\n")
    assert all(line.startswith("ok  ") for line in checks.splitlines())
    levels = {line[:11].strip() for line in coverage.splitlines()[:-1]}
    assert levels == {"recomputed", "digest only"}
    root = coverage.splitlines()[-1].split()[1]
    assert fulcra("verify", run_copy, "--root", root, "--quiet").code == 0
    assert fulcra("verify", run_copy, "--root", "0" * 64, "--quiet").code == 1
    assert "expected the 64 hex digits" in fulcra("verify", run_copy, "--root", "abc").line

    content = read_json(run_copy / AUDIT)
    content["summary"]["open"] += 1
    write_json(run_copy / AUDIT, content)
    failed = fulcra("verify", run_copy)
    assert failed.code == 1
    lines = [line for line in failed.out.splitlines() if line.startswith("FAIL")]
    assert lines[0].startswith("FAIL summary figures: summary.open: stored 1, made again 0")
    assert [line.split(":")[0] for line in lines[1:]] == ["FAIL seal of audit.json"]
    assert lines[1].endswith("; other than sealed: summary")
    assert json.loads(fulcra("verify", run_copy, "--json").out)["passed"] is False


def test_verify_names_a_changed_commitment_and_changed_rollouts(
    fulcra: Call, run_copy: Path
) -> None:
    stored = read_json(run_copy / COMMITMENT)
    stored["content"]["plan"]["gains"][0] = 0.3
    write_json(run_copy / COMMITMENT, stored)
    left = fulcra("verify", run_copy)
    assert left.code == 1
    assert "FAIL commitment hash: stored" in left.out
    assert "FAIL confirmation rollouts: " in left.out


def test_verify_of_a_folder_without_a_run_is_bad_input(fulcra: Call, tmp_path: Path) -> None:
    assert (
        "no audit.json, commitment.json, manifest.json, rollouts.json"
        in fulcra("verify", tmp_path).refusal
    )
    assert (
        "expected the folder of a finished `fulcra audit`"
        in fulcra("verify", tmp_path / "none").refusal
    )


def test_every_command_has_help_with_an_example(fulcra: Call) -> None:
    single = ("audit", "verify", "gate", "report", "recipe", "steer", "effects", "interventions")
    for command in (*((name,) for name in single), ("behavior", "list"), ("behavior", "schema")):
        left = fulcra(*command, "--help")
        assert left.code == 0
        assert "Example: fulcra " + " ".join(command) in left.out


def test_the_help_of_every_command_is_one_line_of_80_columns() -> None:
    for application, width in ((app, 66), (research, 61)):
        for command in application.registered_commands:
            first = ((command.callback and command.callback.__doc__) or "").split("\n\n")[0]
            assert command.hidden or 0 < len(first) <= width, command.name


def test_the_schema_and_the_list_of_behaviors_are_json(fulcra: Call) -> None:
    assert {"name", "flip", "horizon"} <= set(
        json.loads(fulcra("behavior", "schema").out)["required"]
    )
    assert "refusal" in json.loads(fulcra("behavior", "list", "--json").out)["behaviors"]
    assert "refusal" in fulcra("behavior", "list").out


def test_a_dry_run_prints_the_cost_and_writes_nothing(
    fulcra: Call, behavior_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("FULCRA_CACHE", str(here / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    command = ("audit", "-b", behavior_file, *SMALL, "--out", here / "run", "--dry-run")
    cost, table = json.loads(fulcra(*command, "--json").out), fulcra(*command)
    assert not list(here.iterdir())
    assert cost["rollouts"] == sum(step["rollouts"] for step in cost["steps"].values())
    assert (table.code, table.err) == (0, "")
    assert f"{cost['rollouts']:,}" in table.out
    assert "…" not in table.out
    assert max(map(len, table.out.splitlines())) <= 80
    assert fulcra(*command, "--quiet").out == ""


def test_a_device_that_is_not_there_is_one_line(fulcra: Call) -> None:
    left = fulcra("audit", "--device", "cuda:99", "--dry-run")
    assert (left.code, left.out) == (2, "")
    assert left.err.startswith("fulcra: device 'cuda:99': torch cannot use it here (")
    assert left.err.count("\n") == 1
