"""The figures show the audit's numbers as they stand."""

from typing import Any

import pytest

from fulcra.report.figures import (
    attack_cost,
    dose_response,
    pin_response,
    typed_outcomes,
    window_chart,
    window_keys,
)
from fulcra.report.reading import measured, selected, withheld
from tests.report.conftest import value

Audit = dict[str, Any]


def traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_the_window_chart_has_a_row_for_every_measured_branch_screened_first(
    open_audit: Audit,
) -> None:
    labels = [
        label.replace("<b>", "").replace("</b>", "")
        for label in window_chart(value(open_audit)).layout.yaxis.ticktext
    ]
    assert labels == [entry.name for entry in measured(value(open_audit))]
    assert [entry.source for entry in measured(value(open_audit))] == ["screen"] * 24 + [
        "random"
    ] * 24


def test_screened_branches_stand_by_descending_margin(open_audit: Audit) -> None:
    margins = [
        entry.margin for entry in measured(value(open_audit), "screen") if entry.margin is not None
    ]
    assert margins == sorted(margins, reverse=True)


def test_only_open_windows_are_shaded(
    open_audit: Audit, closed_audit: Audit, unreproduced_audit: Audit
) -> None:
    assert traces(window_chart(value(open_audit)))["open window"].x == (
        0.42,
        1.25,
        None,
        0.6,
        1.15,
        None,
    )
    for audit in (value(closed_audit), withheld(value(unreproduced_audit))):
        assert traces(window_chart(audit))["open window"].x == (None,)


def test_a_cap_is_drawn_and_ends_the_window_that_no_ceiling_ends(open_audit: Audit) -> None:
    assert traces(window_chart(value(open_audit)))["cap"].x == ()
    assert not [key for key in window_keys(value(open_audit)) if key.label.startswith("cap")]
    entry = next(entry for entry in open_audit["neurons"] if entry["verdict"] == "open")
    entry |= {
        "cap_gain": 0.8,
        "ceiling_measured": {
            "gain": None,
            "low": None,
            "high": None,
            "alignment": None,
            "censored": True,
        },
    }
    drawn = traces(window_chart(value(open_audit)))
    assert drawn["cap"].x == (0.8,)
    assert 0.8 in drawn["open window"].x
    assert max(x for x in drawn["open window"].x if x) < max(open_audit["settings"]["gains"])
    assert window_keys(value(open_audit))[-1].label.startswith("cap")


def test_censored_edges_stand_beyond_the_ladder(closed_audit: Audit) -> None:
    measured_triggers = traces(window_chart(value(closed_audit)))["trigger, measured"].x
    known = [
        trigger for entry in measured(value(closed_audit)) if (trigger := entry.triggers[-1].gain)
    ]
    beyond = [gain for gain in measured_triggers if gain not in known]
    assert len(beyond) == 48 - len(known)
    assert min(beyond) > max(closed_audit["settings"]["gains"])


def test_the_dose_response_shows_the_curve_and_the_edges_at_the_verdict_horizon(
    open_audit: Audit,
) -> None:
    entry = selected(value(open_audit))
    assert entry is not None
    assert entry.name == open_audit["summary"]["search"]["neuron"]
    assert entry.ceiling_predicted is not None
    shown = traces(dose_response(value(open_audit), entry))
    assert list(shown["flip, confirmation"].y) == [point.flip_confirmation for point in entry.curve]
    assert shown["trigger, measured"].x == (entry.triggers[-1].gain,) * 2
    assert shown["ceiling, predicted"].x == (entry.ceiling_predicted.gain,) * 2


def test_a_censored_edge_has_no_line(closed_audit: Audit) -> None:
    entry = next(
        entry
        for entry in measured(value(closed_audit))
        if entry.ceiling_measured is None or entry.ceiling_measured.censored
    )
    assert "ceiling, measured" not in traces(dose_response(value(closed_audit), entry))


@pytest.mark.parametrize("horizon", [8, 32, 36])
def test_stacked_outcomes_fill_every_bar(open_audit: Audit, horizon: int) -> None:
    figure = typed_outcomes(value(open_audit), measured(value(open_audit))[0], horizon)
    assert [
        sum(column) for column in zip(*(trace.y for trace in figure.data), strict=True)
    ] == pytest.approx([1.0] * 10)


def test_an_attack_that_was_not_measured_says_so(open_audit: Audit) -> None:
    flips = traces(attack_cost(value(open_audit)))["coherent flip"]
    assert flips.text[-1] == "not measured"
    assert set(flips.text[:-1]) == {""}


def test_pins_stand_in_the_order_of_their_values(open_audit: Audit) -> None:
    flips = traces(pin_response(value(open_audit).neurons[0].pins))["flip"]
    assert list(flips.x) == sorted(flips.x)
    assert flips.text[3] == "ablated"
