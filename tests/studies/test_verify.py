"""The second look finds what was changed after the run: commitment, audit, rollouts."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fulcra import verify
from fulcra.errors import RunFolderError
from fulcra.protocol.shards import read_rollouts
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    ROLLOUTS,
    digest,
    read_json,
    write_json,
)
from tests.rollouts import rewrite

Rows = list[dict[str, Any]]
#: What the second look must do without.
ALIEN = ("fulcra.models", "fulcra.engines", "fulcra.screens", "transformers")


def failed(folder: Path) -> set[str]:
    return {check.name for check in verify(folder) if not check.passed}


def rewritten(path: Path, change: Callable[[Any], None]) -> None:
    content = read_json(path)
    change(content)
    write_json(path, content)


def test_an_untouched_run_passes_every_check(audited: Path) -> None:
    assert failed(audited) == set()
    assert len(verify(audited)) == 42


def test_a_changed_prediction_breaks_the_commitment(run_copy: Path) -> None:
    rewritten(
        run_copy / COMMITMENT, lambda content: content["content"]["branches"][0].update(budget=1.0)
    )
    assert {"commitment hash", "audit names it"} <= failed(run_copy)


def test_a_commitment_hashed_again_is_not_the_one_the_audit_names(run_copy: Path) -> None:
    def forge(stored: dict[str, Any]) -> None:
        stored["content"]["branches"].pop()
        stored["sha256"] = digest(stored["content"])

    rewritten(run_copy / COMMITMENT, forge)
    names = failed(run_copy)
    assert "commitment hash" not in names
    assert {"audit names it", "confirmation rollouts", "neurons figures"} <= names


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda content: content["neurons"][0].update(verdict="open"), "neurons figures"),
        (
            lambda content: content["summary"].update(open=content["summary"]["open"] + 1),
            "summary figures",
        ),
        (lambda content: content["baseline"].update(rate=0.99), "baseline figures"),
        (lambda content: content["context"][0].update(rate=0.01), "context figures"),
        (lambda content: content["neurons"].pop(), "neurons figures"),
        (lambda content: content["model"].update(sha256="0" * 64), "audit is the plan's"),
        (lambda content: content["summary"].update(commitment_sha256="0" * 64), "audit names it"),
    ],
)
def test_a_changed_figure_is_named(
    run_copy: Path, change: Callable[[Any], None], check: str
) -> None:
    rewritten(run_copy / AUDIT, change)
    assert check in failed(run_copy)


def without_controls(rows: Rows) -> Rows:
    return [row for row in rows if row["stage"] != "control"]


def without_a_row(rows: Rows) -> Rows:
    gone = next(row for row in rows if row["stage"] == "confirmation")
    return [row for row in rows if row is not gone]


def without_a_rung(rows: Rows) -> Rows:
    rung = next(place(row) for row in rows if row["stage"] == "confirmation")
    return [row for row in rows if place(row) != rung]


def place(row: dict[str, Any]) -> tuple[str, str, float]:
    return row["stage"], row["branch"], row["dose"]


def with_other_words(rows: Rows) -> Rows:
    return [{**row, "text": row["text"] + " more"} for row in rows]


def with_other_outcomes(rows: Rows) -> Rows:
    return [
        {**row, "outcomes": ["flipped"] * len(row["outcomes"])}
        if row["stage"] == "confirmation"
        else row
        for row in rows
    ]


def with_another_operation(rows: Rows) -> Rows:
    rung = next(place(row) for row in rows if row["stage"] == "confirmation")
    return [row | {"op": "pin"} if place(row) == rung else row for row in rows]


def with_a_stranger(rows: Rows) -> Rows:
    return rows + [
        {**row, "branch": "L0.N0+"}
        for row in rows
        if row["stage"] == "selection" and row["dose"] == 0.45
    ]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (without_controls, "control rollouts"),
        (without_a_row, "confirmation rollouts"),
        (without_a_rung, "confirmation rollouts"),
        (with_a_stranger, "selection rollouts"),
        (with_another_operation, "confirmation rollouts"),
        (with_other_words, "rollout texts"),
        (with_other_outcomes, "neurons figures"),
    ],
)
def test_changed_rollouts_are_found(
    run_copy: Path, change: Callable[[Rows], Rows], check: str
) -> None:
    rewrite(run_copy, change(read_rollouts(run_copy)))
    assert check in failed(run_copy)


@pytest.mark.parametrize("name", [AUDIT, COMMITMENT, ROLLOUTS, "manifest.json"])
def test_a_missing_or_broken_file_is_named(run_copy: Path, name: str) -> None:
    (run_copy / name).write_bytes(b"{")
    with pytest.raises(RunFolderError, match=f"reading .*{name}"):
        verify(run_copy)
    (run_copy / name).unlink()
    with pytest.raises(RunFolderError, match=f"no {name}; expected the folder of a finished"):
        verify(run_copy)


@pytest.mark.parametrize("name", [AUDIT, COMMITMENT])
def test_a_file_without_its_keys_is_named(run_copy: Path, name: str) -> None:
    (run_copy / name).write_text(json.dumps({"unlike": 1}))
    with pytest.raises(
        RunFolderError,
        match=rf"{name}: no (summary|sha256), .*; expected what `fulcra audit` wrote",
    ):
        verify(run_copy)


def test_a_key_that_no_commitment_has_is_named(run_copy: Path) -> None:
    rewritten(run_copy / COMMITMENT, lambda stored: stored["content"]["plan"].update(extra=1))
    with pytest.raises(RunFolderError, match=r"run: plan.extra: unknown key; expected what"):
        verify(run_copy)


def modules_after(script: str) -> list[str]:
    """The modules of fulcra and transformers that a new process has loaded after a script."""
    shown = (
        "print(*sorted(n for n in sys.modules if n.split('.')[0] in ('fulcra', 'transformers')))"
    )
    command = [sys.executable, "-c", f"import sys; {script}; {shown}"]
    left = subprocess.run(command, check=True, capture_output=True, text=True)
    return left.stdout.split()


def test_the_second_look_loads_neither_models_nor_engines_nor_screens(audited: Path) -> None:
    closure = modules_after("import fulcra.studies.verify")
    print(f"fulcra verify loads {len(closure)} modules:", *closure, sep="\n  ")
    looked = modules_after(f"import pathlib, fulcra; fulcra.verify(pathlib.Path({str(audited)!r}))")
    assert "fulcra.studies.verify" in closure
    assert not [name for name in (*closure, *looked) if name.startswith(ALIEN)]
    drawn = ("fulcra.report", "fulcra.behaviors", "fulcra.organisms")
    assert not [name for name in closure if name.startswith(drawn)]
    own = {name for name in looked if not name.startswith(drawn)}
    assert own == {*closure, "fulcra.verbs"}
