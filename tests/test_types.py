"""Values made from their names, and values that show themselves in a few lines."""

import pickle
from dataclasses import replace

import pytest

from fulcra import Behavior, Neuron, Ranking
from fulcra.errors import InputError


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("L14.N2207-", (14, 2207, -1, None)),
        ("L14.N2207", (14, 2207, 1, None)),
        ("14:2207", (14, 2207, 1, None)),
        ("L14 n2207 +", (14, 2207, 1, None)),
        ("L2.N7.E3-", (2, 7, -1, 3)),
    ],
)
def test_a_neuron_is_made_from_its_name_as_from_its_parts(
    name: str, parts: tuple[int, int, int, int | None]
) -> None:
    assert Neuron(name) == Neuron.parse(name) == Neuron(*parts)


@pytest.mark.parametrize("name", ["L14", "N2207+", "", "L14.N2207*", "L-1.N3"])
def test_a_bad_name_is_one_line(name: str) -> None:
    with pytest.raises(InputError, match="expected a name like L14") as error:
        Neuron(name)
    assert str(error.value).startswith(f"neuron {name!r}: ")
    assert "\n" not in str(error.value)


def test_a_name_stands_alone_and_parts_are_checked() -> None:
    with pytest.raises(InputError, match=r"neuron 'L1\.N2': a name stands alone"):
        Neuron("L1.N2", 3)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="layer, index and expert start at 0, the pole is 1 or -1"):
        Neuron(0, 0, 2)
    with pytest.raises(InputError, match=r"neuron \(layer 1.5, index 3, .*: .*whole numbers"):
        Neuron(1.5, 3)  # type: ignore[call-overload]


@pytest.mark.parametrize("expert", [-5, "x", 1.5])
def test_an_expert_is_a_whole_number_from_0(expert: object) -> None:
    with pytest.raises(InputError, match=rf"layer 1, index 2, pole 1, expert {expert}\): "):
        Neuron(1, 2, 1, expert)  # type: ignore[call-overload]


def test_a_neuron_stays_itself_through_replace_pickle_and_text() -> None:
    neuron = Neuron("L2.N307.E1-")
    assert replace(neuron, pole=1) == neuron.opposite
    assert repr(neuron) == "Neuron('L2.N307.E1-')"
    assert pickle.loads(pickle.dumps(neuron)) == Neuron(str(neuron)) == neuron
    assert sorted([Neuron(1, 0), Neuron(0, 5)]) == [Neuron(0, 5), Neuron(1, 0)]


def test_a_behavior_shows_itself_in_five_short_lines(refusal: Behavior) -> None:
    lines = repr(refusal).splitlines()
    assert len(lines) <= 5
    assert max(map(len, lines)) <= 100
    assert "'refusal'" in lines[0]
    assert "32 positive, 32 negative" in lines[1]
    assert not any(prompt.text in repr(refusal) for prompt in refusal.confirmation)


def test_a_ranking_shows_screen_length_and_its_first_three_branches() -> None:
    branches = tuple(Neuron(0, index) for index in range(5))
    ranking = Ranking("contrast", branches, (5.0, 4.0, 3.14159, 2.0, 1.0))
    shown = "Ranking by contrast, 5 branches: L0.N0+ 5, L0.N1+ 4, L0.N2+ 3.142, ..."
    assert repr(ranking) == shown
    assert repr(ranking.without(branches[2:])).endswith("2 branches: L0.N0+ 5, L0.N1+ 4")
