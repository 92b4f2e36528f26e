"""The desk answers every page: what is sensitive stays hidden, every refusal is one line."""

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from fulcra import Behavior, Model
from fulcra.errors import FulcraError, InputError
from fulcra.playground.desk import Desk, Request
from fulcra.playground.workbench import Choice, Workbench
from fulcra.studies.recipe import Recipe
from fulcra.types import Sampling
from tests.playground.conftest import EVIDENCE, OPEN

REQUEST = Request("", "", 0.55, "", 8, Sampling())


@pytest.fixture(scope="module")
def sensitive(sparse: Model, refusal: Behavior) -> Workbench:
    """The organism under the same behavior, called sensitive."""
    return Workbench(sparse, [replace(refusal, name="secret", sensitive=True)])


def texts(desk: Desk, choice: Choice, request: Request = REQUEST) -> str:
    first = desk.offer(choice).prompts[0][1]
    desk.sessions.begin("page")
    *_, last = desk.write("page", choice, request._replace(prompt=first))
    return str(last.texts)


def test_prompts_and_branches_of_a_choice_are_offered(desk: Desk, refusal: Behavior) -> None:
    offer = desk.offer(Choice("refusal", EVIDENCE.name, OPEN))
    assert offer.prompts[0] == (refusal.confirmation[0].text, refusal.confirmation[0].id)
    assert offer.branch == OPEN
    shown = {value: words for words, value in offer.branches}
    assert shown[OPEN] == f"{OPEN} \u00b7 trigger 0.40, ceiling 0.62, open"
    assert desk.offer(Choice("refusal", EVIDENCE.name, "L5.N5+")).branch == offer.branches[0][1]


def test_a_dose_above_the_ceiling_warns_and_one_in_the_window_does_not(
    desk: Desk, choice: Choice
) -> None:
    assert "lies in the predicted window" in desk.view(choice, 0.5, "").line
    warned = desk.view(choice, 0.5, "0.8").line
    assert "Dose 0.80" in warned
    assert 'role="alert"' in warned
    assert 'class="line warning"' in warned


def test_a_dose_that_cannot_be_is_a_line_on_the_page(desk: Desk, choice: Choice) -> None:
    assert "give numbers between commas" in desk.view(choice, 0.5, "a lot").line
    assert (
        "its window is predicted first" in desk.view(choice._replace(branch="L0.N1+"), 0.5, "").line
    )


def test_the_link_saves_a_recipe_that_reads_back(desk: Desk, choice: Choice) -> None:
    link = re.search(r'href="data:application/json,([^"]+)"', desk.view(choice, 0.6, "").recipe)
    assert link is not None
    made = Recipe.of(json.loads(unquote(link[1])))
    assert made.require(desk.bench.model).edits[0].gain == pytest.approx(0.75)
    assert made.windows[0].branch == OPEN


def test_texts_of_a_sensitive_behavior_are_hidden_unless_they_are_kept(
    sensitive: Workbench, refusal: Behavior
) -> None:
    choice = Choice("secret", "", OPEN)
    hidden, kept = Desk(sensitive), Desk(sensitive, keep_text=True)
    assert [shown for shown, _ in hidden.offer(choice).prompts[:2]] == [
        prompt.id for prompt in refusal.confirmation[:2]
    ]
    assert "text hidden: " in texts(hidden, choice)
    assert "sorry" not in texts(hidden, choice)
    assert "sorry" in texts(kept, choice)
    assert kept.offer(choice).prompts[0][0] == refusal.confirmation[0].text


def test_the_users_own_words_come_before_a_chosen_prompt(desk: Desk, choice: Choice) -> None:
    assert "not judged" in texts(desk, choice, REQUEST._replace(words="hello"))


def test_a_page_that_never_began_gets_nothing(desk: Desk, choice: Choice) -> None:
    prompt = desk.offer(choice).prompts[0][1]
    assert list(desk.write("stranger", choice, REQUEST._replace(prompt=prompt))) == []


def test_a_text_that_was_stopped_before_its_turn_is_not_begun(desk: Desk, choice: Choice) -> None:
    prompt = desk.offer(choice).prompts[0][1]
    desk.sessions.begin("page")
    desk.sessions.stop("page")
    (written,) = desk.write("page", choice, REQUEST._replace(prompt=prompt))
    assert "Stopped." in written.line


def test_a_folder_is_read_for_this_machine_alone(bench: Workbench, tmp_path: Path) -> None:
    choice = Choice("refusal")
    with pytest.raises(FulcraError, match="expected the folder of a finished"):
        Desk(bench).load_run(str(tmp_path), choice)
    with pytest.raises(InputError, match="name it with --run"):
        Desk(bench, local=False).load_run(str(tmp_path), choice)
    assert Desk(bench, local=False).load_run(EVIDENCE.name, choice).run == EVIDENCE.name
    assert Desk(bench).load_run("", choice) == choice


def test_a_prompt_that_is_not_the_behaviors_is_refused(desk: Desk, choice: Choice) -> None:
    with pytest.raises(InputError, match="none is chosen"):
        next(desk.write("page", choice, REQUEST._replace(prompt="other")))


def test_a_neuron_is_read_as_everywhere_and_refused_where_the_model_has_none(desk: Desk) -> None:
    assert desk.branch("2:307 -") == OPEN
    with pytest.raises(InputError, match="L99"):
        desk.branch("L99.N1")


def test_a_card_stands_without_a_page_around_it(desk: Desk, choice: Choice) -> None:
    card = desk.card(choice)
    assert "cosine with" in card
    assert "<html" not in card
