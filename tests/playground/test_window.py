"""Windows stand on the alignment axis where their gains say, and doses above a ceiling are told."""

from dataclasses import replace

import pytest

from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.playground.window import FARTHEST, MOST_DOSES, Window, alignments
from fulcra.types import Edge, Neuron

PLACE = Coordinate(Neuron("L2.N307-"), 40.0, 0.1)


def window(trigger: float | None, ceiling: float | None) -> Window:
    edges = Edge(ceiling, "kl_ladder", 2), Edge(trigger, "trigger_ladder", 2)
    return Window(PLACE, *edges)


def test_an_open_window_reaches_from_trigger_to_ceiling() -> None:
    span = window(0.75, 4 / 3).span
    assert span == (pytest.approx(0.6), pytest.approx(0.8))
    assert window(0.75, 4 / 3).verdict == "open"
    assert window(0.75, 4 / 3).middle() == 0.7


@pytest.mark.parametrize(("trigger", "ceiling"), [(4 / 3, 0.75), (None, 0.75), (None, None)])
def test_without_a_trigger_below_the_ceiling_there_is_no_window(
    trigger: float | None, ceiling: float | None
) -> None:
    assert window(trigger, ceiling).span is None
    assert window(trigger, ceiling).words.endswith("no window.")


def test_a_ceiling_off_the_ladder_leaves_the_window_open_to_the_end_of_the_axis() -> None:
    assert window(0.75, None).span == (pytest.approx(0.6), FARTHEST)
    assert window(0.75, None).warning(FARTHEST) is None


def test_without_openings_no_verdict_is_drawn() -> None:
    silent = window(0.75, 0.75)._replace(trigger=None)
    assert silent.verdict == "undetermined"
    assert silent.span == (0.0, pytest.approx(0.6))
    assert "declares no openings" in silent.words


def test_a_dose_above_the_ceiling_is_warned_of_and_one_below_is_not() -> None:
    opened = window(0.4, 0.75)
    assert opened.warning(0.599) is None
    warning = opened.warning(0.8)
    assert warning is not None
    assert "Dose 0.80 (gain 1.33) lies above the predicted ceiling 0.60 (gain 0.75)" in warning


def test_the_edit_at_an_alignment_is_the_dose_of_its_gain_along_the_pole() -> None:
    edit = window(0.4, 0.75).edit(0.6)
    assert (edit.op, edit.gain, edit.value) == ("add", pytest.approx(0.75), pytest.approx(-30.0))


def test_a_dose_that_a_norm_holds_off_is_refused_with_its_cap() -> None:
    class Capped:
        cap = 0.5

        def dose(self, alignment: float) -> float:
            return float("inf")

    place = replace(PLACE, turning=Capped(), cap_alignment=0.5)
    with pytest.raises(InputError, match=r"below 0\.50; choose a smaller dose"):
        window(0.4, 0.75)._replace(place=place).edit(0.8)


def test_doses_are_read_in_order_and_each_once() -> None:
    assert alignments(0.5, "0.3, 0.5,, .7") == (0.5, 0.3, 0.7)
    assert alignments(0.5, "") == (0.5,)


@pytest.mark.parametrize("further", ["much", "0.3; 0.4", "1.2", "-0.1", "nan", "inf"])
def test_what_is_no_dose_is_refused_in_one_line(further: str) -> None:
    with pytest.raises(InputError, match="dose"):
        alignments(0.5, further)


def test_more_doses_than_can_be_read_beside_each_other_are_refused() -> None:
    many = ", ".join(str(i / 20) for i in range(MOST_DOSES))
    with pytest.raises(InputError, match=f"at most {MOST_DOSES}"):
        alignments(0.9, many)
