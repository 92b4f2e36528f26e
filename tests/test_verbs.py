"""Arguments of another kind: one line that says what was given and what is expected."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fulcra
from fulcra.errors import InputError
from fulcra.types import Neuron
from fulcra.verbs import checked

NEURON = Neuron("L1.N83-")


def wrong(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as refusal:
        call()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_name_in_place_of_what_bears_it_says_how_that_is_made(
    sparse: fulcra.Model, refusal: fulcra.Behavior
) -> None:
    calls: list[tuple[Callable[[], object], str]] = [
        (
            lambda: fulcra.audit("apothecary-sparse", refusal),  # type: ignore[arg-type]
            "audit(): model is 'apothecary-sparse' (str); expected Model (fulcra.load(name))",
        ),
        (
            lambda: fulcra.rank(sparse, "refusal"),  # type: ignore[arg-type]
            "rank(): behavior is 'refusal' (str); expected Behavior (fulcra.load_behavior(name),"
            " or fulcra.behavior(...))",
        ),
        (
            lambda: fulcra.window(sparse, refusal, "L1.N83-"),  # type: ignore[arg-type]
            "window(): neuron is 'L1.N83-' (str); expected Neuron (fulcra.Neuron(\"L1.N83-\"))",
        ),
        (
            lambda: fulcra.coordinate(sparse, "L1.N83-"),  # type: ignore[arg-type]
            "coordinate(): branch is 'L1.N83-' (str); expected Neuron (fulcra.Neuron(\"L1.N83-\"))"
            " or Direction (fulcra.direction(layer, vector))",
        ),
        (
            lambda: fulcra.predict_trigger(sparse, refusal, NEURON),  # type: ignore[arg-type]
            "predict_trigger(): branch is Behavior 'refusal', version 1, horizon … (Behavior);"
            ' expected Neuron (fulcra.Neuron("L1.N83-")) or Direction'
            " (fulcra.direction(layer, vector))",
        ),
    ]
    for call, line in calls:
        assert wrong(call) == line


def test_one_where_a_list_is_wanted_is_not_taken_letter_by_letter(sparse: fulcra.Model) -> None:
    assert wrong(lambda: fulcra.predict_ceiling(sparse, NEURON, "boil the water")) == (
        "predict_ceiling(): openings is one text; give a list, each str"
    )
    edit = fulcra.add(NEURON, gain=0.3)
    made = "each Edit (fulcra.add(branch, gain=.3), pin, scale, anchor)"
    assert wrong(lambda: fulcra.recipe(sparse, edit, "mine")) == (  # type: ignore[arg-type]
        f"recipe(): edits is one Edit; give a list, {made}"
    )
    with pytest.raises(InputError, match="edits holds 'x' \\(str\\); give a list, each Edit"):
        fulcra.edit(sparse, edit, "x").__enter__()  # type: ignore[arg-type]


def test_what_can_be_gone_through_once_is_a_list(sparse: fulcra.Model) -> None:
    texts = ["what is 3 plus 4 ?", "sing"]
    prompts: list[Callable[[], object]] = [
        lambda: (text for text in texts),
        lambda: np.array(texts),
        lambda: dict.fromkeys(texts).keys(),
    ]
    expected = fulcra.roll(sparse, texts, horizon=2).texts
    for each in prompts:
        assert fulcra.roll(sparse, each(), horizon=2).texts == expected  # type: ignore[arg-type]
    read = fulcra.read(sparse, iter([NEURON]), (text for text in texts))  # type: ignore[arg-type]
    assert (len(read.neurons), len(read.tokens)) == (1, 2)
    for wrong_texts, kind in ((np.array(3), "ndarray"), ({"a": "b"}, "dict"), (3, "int")):
        with pytest.raises(InputError, match=rf"texts is one {kind}; give a list, each str$"):
            fulcra.read(sparse, [NEURON], wrong_texts)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^read\(\): texts is empty"):
        fulcra.read(sparse, [NEURON], iter(()))  # type: ignore[arg-type]


def test_nothing_where_something_is_wanted_is_one_line(
    sparse: fulcra.Model, refusal: fulcra.Behavior
) -> None:
    made = fulcra.recipe(sparse, [fulcra.scale(NEURON, 0.0)], "mine", windows=[])
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: fulcra.recipe(sparse, [], "x"), "recipe(): edits is empty; give one or more"),
        (lambda: fulcra.recipe(sparse, made.edits, ""), "recipe(): name is empty; give one"),
        (
            lambda: fulcra.effects(sparse, [], made),
            "effects: no behavior was given; give a list of one or more",
        ),
        (
            lambda: fulcra.ablate_mean(sparse, NEURON, ["sing"]),  # type: ignore[list-item]
            "ablate_mean(): prompts holds 'sing'; give token ids, model.prompt_ids(text)",
        ),
        (
            lambda: fulcra.universal(sparse, top=5.0),
            "universal(): top is 5.0; give a share above 0, at most 1",
        ),
    ]
    for call, line in calls:
        assert wrong(call) == line


def test_a_dose_is_a_number_and_a_position_one_of_four() -> None:
    assert wrong(lambda: fulcra.add(NEURON, gain="0.3")) == (  # type: ignore[arg-type]
        "add(): gain is '0.3' (str); expected float"
    )
    assert wrong(lambda: fulcra.pin(NEURON, 1.0, "every")) == (  # type: ignore[arg-type]
        "pin(): positions is 'every' (str); expected 'all' or 'prompt' or 'generated' or 'last'"
    )
    assert fulcra.add(NEURON, gain=np.float32(0.5)) == fulcra.add(NEURON, gain=0.5)  # type: ignore[arg-type]


def test_a_path_may_be_text_and_a_model_may_be_named_by_a_path(tmp_path: Path) -> None:
    with pytest.raises(fulcra.FulcraError, match=r"nosuch: no audit\.json"):
        fulcra.verify(str(tmp_path / "nosuch"))  # type: ignore[arg-type]
    with pytest.raises(fulcra.FulcraError, match="nosuch"):
        fulcra.load(tmp_path / "nosuch")


def test_a_long_value_is_shown_by_its_beginning() -> None:
    line = wrong(lambda: fulcra.load_behavior(list(range(99))))  # type: ignore[arg-type]
    assert line.startswith("load_behavior(): name_or_path is [0, 1, 2, ")
    assert line.endswith("… (list); expected str or Path")


def test_a_verb_stays_itself() -> None:
    assert fulcra.audit is fulcra.audit
    assert fulcra.audit.__name__ == "audit"
    assert (fulcra.audit.__doc__ or "").startswith("The whole audit")
    with pytest.raises(TypeError, match=r"got an unexpected keyword argument 'nosuch'"):
        fulcra.verify(Path(), nosuch=1)  # type: ignore[call-arg]


def test_options_and_what_cannot_be_judged_pass() -> None:
    def verb(first: "list[int] | None", *rest: int, **options: object) -> tuple[object, ...]:
        return first, rest, options

    call = checked("verb", verb)
    assert call([1], 2, 3, other="x") == ([1], (2, 3), {"other": "x"})
    assert wrong(lambda: call(None, 2, "x")) == (  # type: ignore[arg-type]
        "verb(): rest holds 'x' (str); give a list, each int"
    )
