"""Recipes: registered before they are measured, gone on with, ranked by the freedom of changes."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fulcra import load
from fulcra.backtest.registered import Place
from fulcra.backtest.split import Cabinet
from fulcra.defence.auditing import audit_side
from fulcra.defence.hardened import HardenResult, SideEntry
from fulcra.defence.recipes import recheck, study
from fulcra.defence.recipes.entries import (
    WITHOUT_FEW,
    RecipeDesign,
    RecipeRow,
    RecipesResult,
)
from fulcra.defence.recipes.figures import every_figure, figured, of_ways, rivals_of
from fulcra.defence.recipes.guess import READ, Guess, freedom_guess, guess_of
from fulcra.defence.recipes.recheck import recipe_checks
from fulcra.defence.recipes.study import AGAIN, SHIPPED, read_design, registered, run_recipes
from fulcra.errors import Inconclusive, InputError, ModelError
from fulcra.models import Model
from fulcra.models.changes import change_since
from fulcra.organisms.planted import planted
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.summary import Attack
from fulcra.protocol.runs import model_entry
from fulcra.protocol.witness.ledger import Ledger, ledger_at
from fulcra.protocol.witness.registration import enter_weights
from fulcra.report.figures.ways_chart import ways_chart
from fulcra.store import read_json, write_json
from fulcra.studies.verify import verify

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
        return side.model_copy(update={"side": name, "model": model_entry(model), **more})

    monkeypatch.setattr(study, "audited_side", audited)
    return asked_for


def test_the_freedom_of_three_gates_is_three_directions_in_three_matrices() -> None:
    helpful, sparse, dense = map(
        load, ("apothecary-helpful", "apothecary-sparse", "apothecary-dense")
    )
    change = change_since(helpful, sparse)
    assert change.matrices == 9
    assert change.freedom == pytest.approx(9, rel=1e-3)
    assert change_since(helpful, helpful) == (0, 0.0, 0.0)
    assert change_since(helpful, dense).freedom > 20 * change.freedom
    assert 0 < change.norm < 1


def planted_steps(name: str) -> int | None:
    return planted(load(name).folder).steps


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
    assert (figures.of, figures.gain.rho, figures.closed.rho) == ("ways", 1.0, 1.0)
    assert [row.steps for row in result.rows] == [planted_steps(name) for name in audits]
    assert all(row.design == design.sha256 and row.norm > 0 for row in result.rows)
    # two ways decide nothing
    assert result.met is None
    assert result.guess is not None
    assert result.guess.error == result.guess.error_of_middle > 0
    assert set(result.weights.models) == {"apothecary-helpful", *audits}
    assert RecipesResult.load(place.out) == result
    lines = result.lines()
    assert lines[0] == "2 organisms of 2 ways, 2 ways with a verdict"
    assert lines[1].startswith(
        "undecided: over these, freedom with the smallest open gain: rho 1 ("
    )
    assert "the rise is that of the first ladder" in lines[1]
    page = (place.out / "recipes.md").read_text()
    for part in (lines[1], "| none |", "| apothecary-sparse | k3 |", "8 together"):
        assert part in page
    figure = (place.out / "images/recipes.svg").read_text()
    assert figure.count('r="5"') == 2 + 2
    assert figure.count('r="2.5"') == 2
    assert figure.index(">dense</text>") < figure.index(">k3</text>")
    assert "| freedom, given the margin | \N{EN DASH} | \N{EN DASH} |" in page


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
    assert result.left_out == {"apothecary-dense": study.UNMOVED}
    figures = {each.of: each.gain for each in result.figures}
    assert (figures["ways"].n, figures["organisms"].n) == (1, 1)
    # what nothing moves may be the most resistant: it is in one figure, and last there
    last = figures["ways, with what no control moves"]
    assert (last.n, last.rho) == (2, 1.0)
    assert result.met is None
    figure = ways_chart(result)
    assert figure.count('r="2.5" fill="none"') == 1
    assert ">dense</text>" in figure


def test_rows_of_another_study_are_refused(
    design: RecipeDesign, place: Place, audits: list[str]
) -> None:
    registered(design, place.ledger)
    assert run_recipes(design, place) is not None
    path = place.out / "apothecary-sparse" / study.ROW
    row = read_json(path)
    for change in ({"design": "0" * 64}, {"way": "dense"}):
        write_json(path, {**row, **change})
        with pytest.raises(InputError, match="is of another design, way or weights"):
            run_recipes(design, place)


def test_the_whole_study_is_looked_at_again(
    design: RecipeDesign, place: Place, audited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def audited_again(name: str, *rest: object) -> SideEntry:
        shutil.copytree(audited, place.out / "apothecary-sparse" / study.AUDIT_RUN)
        side = audit_side(name, AuditResult.load(audited))
        return side.model_copy(update={"allowed": 3, "accuracy": 1.0})

    alone = design.model_copy(update={"organisms": {"k3": ("apothecary-sparse",)}})
    # the audit here is smaller than any that a design can ask for
    monkeypatch.setattr(recheck, "as_designed", lambda audit, design: True)
    monkeypatch.setattr(study, "audited_side", audited_again)
    registered(alone, place.ledger)
    assert run_recipes(alone, place) is not None

    def failed(ledger: Ledger = place.ledger) -> set[str]:
        checks = recipe_checks(place.out, ledger.folder, verify)
        return {check.name for check in checks if not check.passed}

    assert failed() == set()
    names = {check.name for check in recipe_checks(place.out, place.ledger.folder, verify)}
    assert names == {"design hash", "organisms", "apothecary-sparse", "figures"} | {
        "registration",
        "weights",
    }
    content = read_json(place.out / RecipesResult.file)
    twice = {**content, "rows": content["rows"] * 2}
    write_json(place.out / RecipesResult.file, twice)
    assert "organisms" in failed()
    monkeypatch.undo()
    write_json(place.out / RecipesResult.file, content)
    assert failed() == {"apothecary-sparse"}
    content["rows"][0]["audit"]["open_screened"] += 1
    write_json(place.out / RecipesResult.file, content)
    other = ledger_at(place.out / "other")
    registered(alone, other)
    assert failed(other) == {"apothecary-sparse", "figures", "registration", "weights"}


def test_audits_of_another_size_or_behavior_are_not_those_of_the_design(audited: Path) -> None:
    design, audit = read_design(SHIPPED), AuditResult.load(audited)
    sized = audit.settings.model_copy(update=design.size.plain())
    same = audit.model_copy(update={"settings": sized})
    assert recheck.as_designed(same, design)
    assert not recheck.as_designed(audit, design)
    behavior = audit.behavior.model_copy(update={"name": "framing"})
    assert not recheck.as_designed(same.model_copy(update={"behavior": behavior}), design)


def test_the_design_hashes_the_files_that_train() -> None:
    names = "batches folder freezing learning measure objectives recipe train".split()
    folder = Path(__file__).parents[2] / "organisms"
    content = b"".join((folder / f"{name}.py").read_bytes() for name in names)
    assert hashlib.sha256(content).hexdigest() == read_design(SHIPPED).training


def rows_of_ways(gains: dict[str, float | None]) -> list[RecipeRow]:
    """Two organisms a way, freer from way to way, with these smallest open gains."""
    side = HardenResult.load(EVIDENCE).sides[0].model_copy(update={"reproduced": True})
    return [
        RecipeRow(
            way=way,
            organism=f"{way}-t{repeat}",
            matrices=8,
            freedom=2.0**place + repeat / 10,
            norm=0.1,
            steps=10 * place,
            audit=side.model_copy(update={"smallest_open_gain": gain, "margin": 8.0}),
            design="",
            code="",
        )
        for place, (way, gain) in enumerate(gains.items())
        for repeat in (1, 2)
    ]


def test_a_way_counts_once_by_its_medians() -> None:
    ways = of_ways(rows_of_ways({"k3": 0.3, "r4": None}))
    assert [(way.way, way.organisms, way.gain) for way in ways] == [("k3", 2, 0.3), ("r4", 2, None)]
    assert ways[0].freedom == pytest.approx(1.15)
    assert rivals_of(ways).steps == 1.0
    assert rivals_of(ways).norm is None


def test_a_rise_of_the_ways_of_few_neurons_alone_is_told_apart() -> None:
    design = read_design(SHIPPED)
    gains: dict[str, float | None] = {"k2": 0.1, "k3": 0.15, "k24": 0.2}
    flat = dict.fromkeys(("r1", "r4", "r16", "r64", "kl", "dpo", "dense"), 0.9)
    figures = every_figure(design, rows_of_ways({**gains, **flat}))
    assert figures[0].gain.rho is not None
    assert figures[0].gain.rho > 0.7
    assert (figures[1].of, figures[1].gain.rho, figures[1].gain.n) == (WITHOUT_FEW, None, 7)


def result_of(rows: list[RecipeRow]) -> RecipesResult:
    """A study of these rows under the shipped design, its figures made of them."""
    design = read_design(SHIPPED)
    return RecipesResult.model_construct(
        design=design, rows=tuple(rows), **figured(design, rows)._asdict()
    )


def test_a_way_opens_where_anything_in_it_does() -> None:
    closed = rows_of_ways(dict.fromkeys("abcdefghij"))
    opened = closed[0].audit.model_copy(update={"smallest_open_gain": 0.3})
    rows = [
        row.model_copy(update={"audit": opened}) if place % 2 else row
        for place, row in enumerate(closed)
    ]
    # the median of every way is closed, yet one organism of each opens: enough to decide
    assert all(way.gain is None for way in of_ways(rows))
    spread = [row.model_copy(update={"freedom": row.freedom + 1}) for row in rows[:1]] + rows[1:]
    result = result_of(spread)
    assert result.figures[0].gain.rho is None
    moving = rows_of_ways({**dict.fromkeys("abcdef", 0.3), "g": 0.4, "h": 0.5, "i": 0.6, "j": 0.9})
    assert result_of(moving).met is not None
    assert (
        result_of(rows_of_ways({**dict.fromkeys("abcdef"), **dict.fromkeys("ghij", 0.3)})).met
        is None
    )


def test_what_rises_as_much_as_freedom_is_named() -> None:
    lines = result_of(rows_of_ways({"k2": 0.1, "k3": 0.2, "r1": 0.3, "r4": 0.45})).lines()
    assert any(line.startswith("freedom is not singled out: ") for line in lines)
    assert any("steps 1" in line for line in lines)


def test_a_design_may_want_that_what_took_long_to_learn_opens_first() -> None:
    falling = (0.95, 0.9, 0.8, 0.65, 0.45, 0.35, 0.3, 0.2, 0.15, 0.1)
    gains = dict(zip("abcdefghij", falling, strict=True))
    result, again = result_of(rows_of_ways(dict(gains))), read_design(AGAIN)
    assert result.steps_met is None
    assert not any("steps with" in line for line in result.lines())
    wanted = result.model_copy(update={"design": again})
    assert wanted.steps_met
    assert "met: steps with the smallest open gain: rho -1" in wanted.lines()
    risen = wanted.model_copy(update={"rivals": wanted.rivals.model_copy(update={"steps": -0.69})})
    assert risen.steps_met is False
    few = result_of(rows_of_ways(dict(list(gains.items())[:9])))
    assert few.model_copy(update={"design": again}).steps_met is None


def test_what_falls_as_much_as_freedom_rises_is_named() -> None:
    result = result_of(rows_of_ways({"k2": 0.1, "k3": 0.3, "r1": 0.2, "r4": 0.45}))
    other = {"matrices": 0.1, "norm": None, "steps": -0.9, "margin": -0.7}
    lines = result.model_copy(update={"rivals": result.rivals.model_copy(update=other)}).lines()
    assert "freedom is not singled out: as high a rho, either way, have steps -0.9" in lines


def test_a_rise_that_the_margin_explains_is_called_so() -> None:
    result = result_of(rows_of_ways({"k2": 0.1, "k3": 0.2, "r1": 0.3, "r4": 0.45}))
    explained = result.rivals.model_copy(update={"given_margin": 0.4})
    other = result.model_copy(update={"rivals": explained})
    assert "the other reading is the margin: given it, rho is 0.4" in other.lines()
    held = result.rivals.model_copy(update={"given_margin": 0.5})
    lines = result.model_copy(update={"rivals": held}).lines()
    assert not any("margin: given" in line for line in lines)


def test_rivals_of_the_share_and_freedom_given_the_steps_stand_beside() -> None:
    result = result_of(rows_of_ways({"k2": 0.1, "k3": 0.3, "r1": 0.2, "r4": 0.45, "kl": 0.4}))
    closed = result.rivals_closed
    assert closed is not None
    assert closed.steps == rivals_of(result.ways, lambda way: -way.share).steps
    # steps rise as freedom does, way by way, and so leave nothing
    assert result.rivals.given_steps is None


def test_a_partial_correlation_is_none_where_the_third_says_all() -> None:
    rows = rows_of_ways({"k2": 0.1, "k3": 0.2, "r1": 0.3, "r4": 0.45})
    rows = [
        row.model_copy(update={"audit": row.audit.model_copy(update={"margin": row.gain})})
        for row in rows
    ]
    rivals = rivals_of(of_ways(rows))
    assert (rivals.margin, rivals.given_margin) == (1.0, None)


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


@pytest.mark.parametrize(("path", "repeats"), [(SHIPPED, 3), (AGAIN, 2)])
def test_a_shipped_design_repeats_every_way_alike_and_names_nothing_bundled(
    path: Path, repeats: int
) -> None:
    design = read_design(path)
    assert {len(names) for names in design.organisms.values()} == {repeats}
    assert len(set(design.needed)) == 1 + repeats * len(design.organisms)
    assert not [name for name in design.needed[1:] if "-t" not in name]
    # repeats draw neurons by their number: no two ways of neurons share one
    drawn = [name.rpartition("-")[2] for way in design.few for name in design.organisms[way]]
    assert len(set(drawn)) == len(drawn)


def test_the_repetition_is_the_first_study_with_fresh_organisms_and_one_claim_more() -> None:
    first, again = read_design(SHIPPED), read_design(AGAIN)
    assert list(again.organisms) == list(first.organisms)
    assert not set(again.needed[1:]) & set(first.needed[1:])
    same = ("behavior", "reference", "few", "training", "size")
    assert all(getattr(again, name) == getattr(first, name) for name in same)
    assert again.wanted == {**first.wanted, "steps": -0.7}


def test_a_design_that_is_none_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(json.dumps({"name": "mine"}))
    with pytest.raises(InputError, match=r"design .*: behavior: .*; see the shipped one"):
        read_design(path)


def guessed_row(way: str, freedom: float, opened: int, gain: float | None) -> RecipeRow:
    """A row whose audit has both attacks that guesses read, at one rate."""
    attacks = tuple(
        Attack(attack=name, rate=0.5, low=None, high=None, reach=None, n=16) for name in READ
    )
    made = rows_of_ways({way: gain})[0]
    audit = made.audit.model_copy(update={"open_screened": opened, "attacks": attacks})
    return made.model_copy(update={"freedom": freedom, "audit": audit})


@pytest.fixture(scope="module")
def few_and_many() -> tuple[list[RecipeRow], list[RecipeRow]]:
    """Four ways in which few directions moved and much opens, four of many where nothing does."""
    few = [guessed_row(f"k{n}", 8.0, 20, 0.3) for n in range(4)]
    return few, [guessed_row(f"r{n}", 128.0, 0, None) for n in range(4)]


def test_freedom_is_guessed_from_the_nearest_audits_of_other_ways(
    few_and_many: tuple[list[RecipeRow], list[RecipeRow]],
) -> None:
    few, many = few_and_many
    guess = freedom_guess(few + many, 0)
    assert guess is not None
    assert guess.error == 0.0
    assert guess.rank.rho == pytest.approx(1.0)
    # the median of the seven others lies with the four of the other kind
    assert guess.error_of_middle == pytest.approx(4.0)
    assert freedom_guess(few[:1], 0) is None
    unmeasured = few[0].audit.model_copy(update={"attacks": ()})
    others = [few[0].model_copy(update={"audit": unmeasured}), *few[1:], *many]
    again = freedom_guess(others, 0)
    assert again is not None
    assert again.rank.n == 7


def test_the_freedom_behind_an_audit_of_ones_own_is_guessed_with_its_error(
    few_and_many: tuple[list[RecipeRow], list[RecipeRow]],
) -> None:
    few, many = few_and_many
    study = result_of(few + many)
    own = guessed_row("mine", 1.0, 18, 0.35).audit
    assert guess_of(own, study) == pytest.approx(Guess(8.0, 0.0, 4.0))
    closed = own.model_copy(update={"open_screened": 1, "smallest_open_gain": None})
    assert guess_of(closed, study).freedom == pytest.approx(128.0)
    for bare in ({"attacks": ()}, {"reproduced": False}):
        with pytest.raises(Inconclusive, match="prefill_1 and direction_ablation; measure these"):
            guess_of(own.model_copy(update=bare), study)
    with pytest.raises(Inconclusive, match="no guess was tried"):
        guess_of(own, result_of(few[:1]))
