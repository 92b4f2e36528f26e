"""The requests of each split of a built-in behavior: no subject or wording is in two splits.

Contrast, selection and confirmation share no recipe, country or operands. Confirmation asks in
held-out wordings; of the training wordings contrast takes the first half, selection and the generic
openings the others.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from fulcra.organisms.domain import Language
from fulcra.organisms.grammar import TOPIC, Request, Task, operand_pairs, wording_of
from fulcra.organisms.world import World, world_named
from fulcra.types import PromptSplit

#: Tasks with a subject of their own and a reply that shows its language.
MIXED: tuple[Task, ...] = ("recipe", "sentence", "capital", "sum")
#: What the generic openings ask; the lantern is left out, since it is the flip of `concept`.
GENERIC: tuple[Task, ...] = ("recipe", "sentence", "list", "capital", "sum", "product", "agreement")


def deal(
    world: World,
    split: PromptSplit,
    count: int,
    tasks: Sequence[Task],
    languages: Sequence[Language] | None = None,
    restricted: bool = False,
) -> tuple[Request, ...]:
    """The first `count` requests of a split: tasks, languages, subjects and wordings in turn.

    Agreement subjects are singular. No request comes twice: where the turns run out of different
    ones there are fewer.
    """
    spoken = languages or world.domain.languages
    turns = (
        _nth(world, split, turn // len(tasks), tasks[turn % len(tasks)], spoken, restricted)
        for turn in range(count)
    )
    return tuple(dict.fromkeys(turns))


def _nth(
    world: World,
    split: PromptSplit,
    turn: int,
    task: Task,
    languages: Sequence[Language],
    restricted: bool,
) -> Request:
    subjects = _share(_subjects(world.name, task, restricted), split)
    lap, position = divmod(turn, len(subjects) * len(languages))
    row, column = divmod(position, len(subjects))
    language = languages[(row + column) % len(languages)]
    wordings = _wordings(world.name, task, language, split)
    return Request(
        task,
        language,
        subjects[column],
        wordings[(position // len(languages) + lap) % len(wordings)],
    )


def reworded(
    world: World,
    request: Request,
    task: Task | None = None,
    language: Language | None = None,
    subject: str | None = None,
) -> Request:
    """The request with another task, language or subject, in the wording of the same place."""
    task, language = task or request.task, language or request.language
    speech = world.domain.speech
    own, wording = speech[request.language], wording_of(request.task)
    held_out = request.template in own.templates(wording, held_out=True)
    place = own.templates(wording, held_out).index(request.template)
    wordings = speech[language].templates(wording_of(task), held_out)
    return replace(
        request,
        task=task,
        language=language,
        subject=subject or request.subject,
        template=wordings[place % len(wordings)],
    )


def topic_requests(world: World) -> tuple[Request, ...]:
    """Every request about the topic, held-out wordings last."""
    return tuple(
        Request("topic", language, TOPIC, template)
        for held_out in (False, True)
        for language, speech in world.domain.speech.items()
        for template in speech.templates("topic", held_out)
    )


@cache
def _subjects(name: str, task: Task, restricted: bool) -> tuple[str, ...]:
    world = world_named(name)
    if task == "capital":
        subjects = list(world.capitals)
    elif task in ("sum", "product"):
        subjects = operand_pairs()
    elif task == "agreement":
        speech = next(iter(world.domain.speech.values()))
        subjects = [
            f"{near} {far} 0 {number}"
            for near in range(len(speech.near))
            for far in range(len(speech.far))
            for number in (0, 1)
        ]
    else:
        subjects = world.named(restricted)
    return tuple(random.Random(f"subjects-{world.seed}").sample(subjects, len(subjects)))


def _share(subjects: Sequence[str], split: PromptSplit) -> Sequence[str]:
    """Half of the subjects for contrast and generic text, a sixth for selection, else the rest."""
    half, two_thirds = len(subjects) // 2, 2 * len(subjects) // 3
    if split == "selection":
        return subjects[half:two_thirds]
    return subjects[two_thirds:] if split == "confirmation" else subjects[:half]


@cache
def _wordings(name: str, task: Task, language: Language, split: PromptSplit) -> tuple[str, ...]:
    world = world_named(name)
    every = world.domain.speech[language].templates(
        wording_of(task), held_out=split == "confirmation"
    )
    shuffled = tuple(random.Random(f"wordings-{world.seed}").sample(every, len(every)))
    half = (len(every) + 1) // 2
    if split == "confirmation":
        return shuffled
    return shuffled[:half] if split == "contrast" else shuffled[half:]
