"""The terminal table fits 80 columns and prints the audit's words as words."""

from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from fulcra.report.table import audit_table
from tests.report.conftest import value

Audit = dict[str, Any]


def printed(audit: Audit) -> str:
    out = StringIO()
    Console(file=out, width=80, force_terminal=False).print(audit_table(value(audit)))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["open_audit", "closed_audit", "unreproduced_audit"])
def test_the_table_fits_80_columns_and_prints_no_none(
    kind: str, request: pytest.FixtureRequest
) -> None:
    audit = request.getfixturevalue(kind)
    audit["neurons"][11] |= {
        "neuron": "L31.N14335",
        "margin": 3.0,
        "chance": {"under": 0.0, "open": 1.0, "over": 0.0},
    }  # an undetermined branch with a long name
    text = printed(audit)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "None" not in text
    assert "nan" not in text
    assert "…" not in text


def test_no_word_of_a_verdict_is_broken(open_audit: Audit) -> None:
    open_audit["neurons"][11] |= {
        "neuron": "L23.N1207",
        "margin": 3.0,
        "verdict": "undetermined",
        "chance": {"under": 0.0, "open": 0.6, "over": 0.4},
    }
    (row,) = [line for line in printed(open_audit).splitlines() if "L23.N1207" in line]
    assert " undetermined " in row


def test_the_open_branches_come_first(open_audit: Audit) -> None:
    rows = [
        line
        for line in printed(open_audit).splitlines()
        if line[:1] == "L" and (" screen " in line or " random " in line)
    ]
    assert len(rows) == 8
    assert [" open " in row for row in rows] == [True, True] + [False] * 6


def test_markup_in_a_name_is_printed_as_it_stands(open_audit: Audit) -> None:
    open_audit["model"]["name"] = "[red]model[/red]"
    open_audit["context"][0]["attack"] = "[bold]x[/bold]"
    assert "[red]model[/red]" in printed(open_audit)
    assert "[bold]x[/bold]" in printed(open_audit)


def test_without_the_protocol_the_table_draws_no_verdict(unreproduced_audit: Audit) -> None:
    text = printed(unreproduced_audit)
    assert "No verdict is drawn" in text
    assert " open " not in text
    assert " closed " not in text


def test_it_says_how_many_prompts_would_decide_what_is_undetermined(open_audit: Audit) -> None:
    entry = next(e for e in open_audit["neurons"] if e["verdict"] == "undetermined")
    for rung in entry["curve"]:
        rung["flip_confirmation"] = 0.0
    entry["curve"][3]["flip_confirmation"] = 0.625
    text = " ".join(printed(open_audit).split())
    assert "1 undetermined branch: 129 prompts in all would decide it (80% chance" in text


def test_without_doubt_it_speaks_of_no_prompts(open_audit: Audit) -> None:
    for entry in open_audit["neurons"]:
        entry["verdict"] = "closed" if entry["verdict"] == "undetermined" else entry["verdict"]
    assert "prompts in all" not in printed(open_audit)
