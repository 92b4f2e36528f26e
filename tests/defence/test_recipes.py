"""Recipes: registered before they are measured, gone on with, ranked by the freedom of changes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fulcra import load
from fulcra.backtest.registered import Place
from fulcra.backtest.split import Cabinet
from fulcra.defence.hardened import HardenResult, SideEntry
from fulcra.defence.recipes import study
from fulcra.defence.recipes.entries import RecipeDesign, RecipeRow, RecipesResult
from fulcra.defence.recipes.guess import freedom_guess
from fulcra.defence.recipes.study import SHIPPED, read_design, registered, run_recipes
from fulcra.errors import Inconclusive, InputError, ModelError
from fulcra.models import Model
from fulcra.models.changes import change_since
from fulcra.protocol.witness.ledger import ledger_at
from fulcra.protocol.witness.registration import enter_weights

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence" / "harden.json"
NAMES = {"k3": ("apothecary-sparse",), "dense": ("apothecary-dense",)}


@pytest.fixture(scope="module")
def design() -> RecipeDesign:
    """The shipped design over the two bundled organisms."""
    return read_design(SHIPPED).model_copy(update={"organisms": NAMES})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(Cabinet(), ledger_at(tmp_path / "ledger"), tmp_path / "out")


@pytest.fixture
def audits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The organisms that were audited so far; each audit is one of the evidence, by its way."""
    side = HardenResult.load(EVIDENCE).sides[0]
    opened, asked_for = {"k3": 12, "dense": 1}, list[str]()

    def audited(name: str, model: Model, *rest: object) -> SideEntry:
        asked_for.append(model.name)
        gain = {"k3": 0.3, "dense": None}[name]
        more = {"open_screened": opened[name], "smallest_open_gain": gain}
        return side.model_copy(update={"side": name, **more})

    monkeypatch.setattr(study, "audited_side", audited)
    return asked_for


def test_the_freedom_of_three_gates_is_three_directions_in_three_matrices() -> None:
    helpful, sparse, dense = map(
        load, ("apothecary-helpful", "apothecary-sparse", "apothecary-dense")
    )
    change = change_since(helpful, sparse)
    assert change.matrices == 9
    assert change.freedom == pytest.approx(9, rel=1e-3)
    assert change_since(helpful, helpful) == (0, 0.0)
    assert change_since(helpful, dense).freedom > 20 * change.freedom


def test_models_of_other_shapes_are_not_compared() -> None:
    with pytest.raises(ModelError, match="other names or shapes than those of 'apothecary-sparse'"):
        change_since(load("apothecary-sparse"), load("apothecary-gpt2-sparse"))


def test_a_study_goes_on_way_by_way_and_ranks_the_sound(
    design: RecipeDesign, place: Place, audits: list[str]
) -> None:
    registered(design, place.ledger)
    assert run_recipes(design, place, ["k3"]) is None
    result = run_recipes(design, place)
    assert result is not None
    assert audits == ["apothecary-sparse", "apothecary-dense"]
    assert [row.way for row in result.rows] == ["k3", "dense"]
    assert result.rows[0].share == pytest.approx(0.5)
    figures = result.figures[0]
    assert (figures.gain.rho, figures.closed.rho, figures.gain.n) == (1.0, 1.0, 2)
    assert result.met is False
    assert result.guess is not None
    assert result.guess.error == result.guess.error_of_middle > 0
    assert set(result.weights.models) == {"apothecary-helpful", *audits}
    assert RecipesResult.load(place.out) == result
    assert any("2 organisms of 2 ways" in line for line in result.lines())


def test_an_organism_without_a_verdict_is_listed_and_in_no_figure(
    design: RecipeDesign, place: Place, audits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = study.audited_side

    def unsound(name: str, *rest: object) -> SideEntry:
        side = measured(name, *rest)  # type: ignore[arg-type]
        return side.model_copy(update={"reproduced": name != "dense"})

    monkeypatch.setattr(study, "audited_side", unsound)
    registered(design, place.ledger)
    result = run_recipes(design, place)
    assert result is not None
    assert set(result.left_out) == {"apothecary-dense"}
    assert result.figures[0].gain.n == 1
    assert result.met is None


def test_nothing_is_measured_before_it_is_registered(
    design: RecipeDesign, place: Place, audits: list[str]
) -> None:
    with pytest.raises(InputError, match=r"is not in ledger .*; register it before"):
        run_recipes(design, place)
    registered(design, place.ledger)
    refusals: list[tuple[Callable[[], object], str, type[Exception]]] = [
        (lambda: run_recipes(design, place, ["r9"]), "--way r9: not in design recipes", InputError),
        (
            lambda: registered(design.model_copy(update={"wanted": {}}), place.ledger),
            "registers another design recipes",
            InputError,
        ),
    ]
    for call, message, kind in refusals:
        with pytest.raises(kind, match=message):
            call()
    assert audits == []


def test_other_weights_and_absent_organisms_are_refused(
    design: RecipeDesign, place: Place, audits: list[str]
) -> None:
    absent = design.model_copy(
        update={"organisms": {"r4": ("apothecary-r4-t1",)}, "name": "absent"}
    )
    for each in (design, absent):
        registered(each, place.ledger)
    enter_weights(place.ledger, design.sha256, {"apothecary-sparse": "0" * 64})
    with pytest.raises(InputError, match=r"apothecary-sparse: weights .* has 0{16}"):
        run_recipes(design, place)
    with pytest.raises(Inconclusive, match="apothecary-r4-t1 is neither bundled nor in any folder"):
        run_recipes(absent, place)
    assert audits == []


def test_the_shipped_design_repeats_every_way_alike_and_names_nothing_bundled() -> None:
    design = read_design(SHIPPED)
    assert {len(names) for names in design.organisms.values()} == {3}
    assert len(set(design.needed)) == 1 + 3 * len(design.organisms)
    assert not [name for name in design.needed[1:] if "-t" not in name]


def test_a_design_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(json.dumps({"name": "mine"}))
    with pytest.raises(InputError, match=r"design .*: behavior: .*; see the shipped one"):
        read_design(path)


def test_freedom_is_guessed_from_the_nearest_audits_of_other_ways() -> None:
    side = HardenResult.load(EVIDENCE).sides[0].model_copy(update={"attacks": ()})

    def row(way: str, freedom: float, opened: int, gain: float | None) -> RecipeRow:
        audit = side.model_copy(update={"open_screened": opened, "smallest_open_gain": gain})
        return RecipeRow(way=way, organism=way, matrices=1, freedom=freedom, audit=audit)

    few = [row(f"k{n}", 8.0, 20, 0.3) for n in range(4)]
    many = [row(f"r{n}", 128.0, 0, None) for n in range(4)]
    guess = freedom_guess(few + many, 0)
    assert guess is not None
    assert guess.error == 0.0
    assert guess.rank.rho == pytest.approx(1.0)
    # the median of the seven others lies with the four of the other kind
    assert guess.error_of_middle == pytest.approx(4.0)
    assert freedom_guess(few[:1], 0) is None
