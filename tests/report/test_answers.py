"""What the first screen says is what the audit holds, never more; every number with n."""

from typing import Any

import pytest

from fulcra.report.answers import answers, decision_line
from fulcra.report.branch_notes import branch_note
from fulcra.report.changed_words import changed_words
from fulcra.report.deciding import best_rung, deciding_line, undecided
from fulcra.report.headline import headline
from fulcra.report.power import prompts_to_decide
from fulcra.report.reading import measured, withheld
from fulcra.report.reproduce import commands
from fulcra.report.sample_sizes import sizes
from fulcra.report.scorecard import scorecard
from tests.report.conftest import value

Audit = dict[str, Any]


def said(audit: Audit) -> dict[str, str]:
    return {
        answer.question: f"{answer.short} {answer.detail}"
        for answer in answers(withheld(value(audit)))
    }


def doubtful(audit: Audit, *rates: float) -> Audit:
    """The audit with as many undetermined branches, of these best rates."""
    closed = [e for e in audit["neurons"] if e["source"] == "screen" and e["verdict"] != "open"]
    for entry in closed:
        entry["verdict"] = "closed"
    for entry, rate in zip(closed, rates, strict=False):
        entry |= {"verdict": "undetermined", "observed_open": rate >= 0.5, "failure_mode": None}
        for rung in entry["curve"]:
            rung["flip_confirmation"] = 0.0
        entry["curve"][4]["flip_confirmation"] = rate
    return audit


def test_an_open_audit_names_a_range_and_no_dose(open_audit: Audit) -> None:
    text = said(open_audit)
    assert text["Can one neuron flip it?"].startswith("Yes.")
    assert text["How far can it be pushed?"].startswith("Gains 0.45 to ")
    assert "A range: no dose in it is better established" in text["How far can it be pushed?"]
    assert "best dose" not in " ".join(text.values())


def test_the_range_holds_only_gains_at_which_half_of_the_prompts_flip(open_audit: Audit) -> None:
    entry = next(e for e in open_audit["neurons"] if e["verdict"] == "open")
    for rung in entry["curve"]:
        rung["flip_confirmation"] = 0.75 if rung["gain"] == 0.65 else 0.0
    entry["smallest_open_gain"] = 0.65
    open_audit["summary"]["search"] |= {"smallest_open_gain": 0.65}
    assert "Gain 0.65, alone of those tried." in said(open_audit)["How far can it be pushed?"]


def test_a_closed_audit_is_closed_for_what_was_measured(closed_audit: Audit) -> None:
    text = said(closed_audit)
    assert text["Can one neuron flip it?"].startswith("No branch that was measured can.")
    line = decision_line(value(closed_audit))
    assert line.startswith("Closed to one neuron for what was measured (48 branches, gains 0.10 to")
    assert "says nothing of branches that were not" in line


def test_without_the_protocol_nothing_is_answered(unreproduced_audit: Audit) -> None:
    text = said(unreproduced_audit)
    assert text["Can one neuron flip it?"].startswith("Not established.")
    assert text["What does flipping achieve?"].startswith("Not established.")
    assert "No sign-off" in decision_line(withheld(value(unreproduced_audit)))


def test_where_nothing_is_ever_correct_no_share_of_answers_is_told(closed_audit: Audit) -> None:
    for row in closed_audit["context"]:
        row["reach"] = 0.0 if row["rate"] is not None else None
    for entry in closed_audit["neurons"]:
        entry["outcomes"] = {}
    text = said(closed_audit)["What does flipping achieve?"]
    assert "the behavior may not tell them apart" in text


def test_undetermined_branches_say_how_many_prompts_would_decide_them(open_audit: Audit) -> None:
    rows = undecided(value(doubtful(open_audit, 0.625, 0.5, 0.3125)))
    assert [row.prompts for row in rows] == [prompts_to_decide(0.3125), 129, None]
    assert rows[-1].needed == "no number: exactly one half"
    line = deciding_line(value(open_audit))
    assert line.startswith("3 undetermined branches: 55 to 129 prompts in all would decide 2;")


def test_no_doubt_no_line(open_audit: Audit) -> None:
    assert deciding_line(value(doubtful(open_audit))) == ""


@pytest.mark.parametrize("leak", [0.0, 0.25])
def test_numbers_of_a_full_audit_follow_from_its_baseline(open_audit: Audit, leak: float) -> None:
    open_audit["baseline"] |= {"n": 24, "leak": leak}
    for row in open_audit["context"]:
        row["n"] = 12
    audit = value(open_audit)
    counts = sizes(audit, measured(audit)[0].curve[0])
    assert counts == (12, round(24 * (1 - leak)) - 12, 16)


def test_numbers_of_a_curtailed_audit_are_those_of_the_rung(open_audit: Audit) -> None:
    open_audit["settings"]["measure"] = "curtailed"
    open_audit["neurons"][0]["curve"][0] |= {"n_confirmation": 7, "n_generic": 9}
    audit = value(open_audit)
    assert sizes(audit, audit.neurons[0].curve[0]) == (7, None, 9)
    note = branch_note(audit, audit.neurons[0])
    assert "n = 7)" in note.numbers.rows[0][2]
    assert "n = " not in note.numbers.rows[1][2]


def test_a_branch_says_why_it_is_closed(closed_audit: Audit) -> None:
    audit = value(closed_audit)
    for reason, words in (("collapse_first", "Collapse first:"), ("too_late", "Too late:")):
        entry = next(e for e in measured(audit) if e.failure_mode == reason)
        assert words in " ".join(branch_note(audit, entry).sentences)


def test_the_best_rung_is_the_first_of_the_highest(open_audit: Audit) -> None:
    entry = value(open_audit).neurons[0].model_copy(update={"curve": ()})
    assert best_rung(entry) is None


def test_the_scorecard_counts_what_was_committed_and_measured(open_audit: Audit) -> None:
    rows = {row[0]: row[1:] for row in scorecard(value(open_audit)).rows}
    assert rows["open or closed, both edges forecast"][0].startswith("40 of 47 (")
    assert "n = 984" in rows["ceiling: mean error of its alignment"][1]
    assert "n = " in rows["ceiling: mean error of its alignment"][0]


def test_a_scorecard_without_any_edge_says_so(closed_audit: Audit) -> None:
    for entry in closed_audit["neurons"]:
        entry |= {"trigger_predicted": None, "ceiling_predicted": None}
    rows = {row[0]: row[1] for row in scorecard(value(closed_audit)).rows}
    assert rows["trigger: beyond the ladder or not"] == "not predicted"


def test_changed_words_are_those_that_the_undosed_reply_has_not() -> None:
    parts = changed_words("i will not tell you how", "i will tell you how to do it")
    assert "".join(part.text for part in parts) == "i will tell you how to do it"
    assert [part.text.strip() for part in parts if part.changed] == ["to do it"]
    assert changed_words(None, "as it stands") == [("as it stands", False)]


def test_the_command_line_makes_the_run_again(open_audit: Audit) -> None:
    line = commands(value(open_audit))[0].line
    assert line.startswith("fulcra audit apothecary-sparse --behavior refusal --neurons 12")
    open_audit["model"]["name"] = "a b; rm"
    assert "fulcra audit 'a b; rm'" in commands(value(open_audit))[0].line


def test_one_half_is_not_promised_to_be_decided(closed_audit: Audit) -> None:
    audit = doubtful(closed_audit, 0.5)
    entry = next(e for e in audit["neurons"] if e["verdict"] == "undetermined")
    entry["smallest_open_gain"] = 0.45
    text = said(audit)["What to do next?"]
    assert text.startswith("Widen the search. At or near one half: 2,000 prompts do not decide it.")
    detail = headline(value(audit)).detail
    assert "at or near one half, which 2,000 prompts do not decide" in detail
    assert "more prompts decide it" not in detail


def test_closed_names_the_branches_in_doubt(closed_audit: Audit) -> None:
    audit = doubtful(closed_audit, 0.4375, 0.4375)
    assert said(audit)["Can one neuron flip it?"].startswith(
        "No branch that was measured can. 2 branches in doubt."
    )
    assert ", but for 2 branches in doubt: says nothing of" in decision_line(value(audit))
    clear = doubtful(closed_audit)
    assert "in doubt" not in decision_line(value(clear)) + said(clear)["Can one neuron flip it?"]


def test_a_curtailed_audit_had_up_to_so_many_prompts(closed_audit: Audit) -> None:
    assert "up to" not in decision_line(value(closed_audit))
    closed_audit["settings"]["measure"] = "sequential"
    assert "up to 16 prompts a gain" in decision_line(value(closed_audit))
    assert said(closed_audit)["How sure is this?"].startswith("Up to 16 prompts a gain")


def test_samples_are_named_only_where_there_are_some(open_audit: Audit) -> None:
    open_audit["behavior"]["sensitive"] = True
    assert "samples below" not in said(open_audit)["What to do next?"]
    open_audit["behavior"]["sensitive"] = False
    assert "samples below" in said(open_audit)["What to do next?"]
