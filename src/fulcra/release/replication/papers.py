"""What each paper reports, row by row: figure, model, the commands that measure it; and ours."""

import shlex
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fulcra.errors import InputError
from fulcra.organisms.planted import bundled_names
from fulcra.release.replication.reading import Reading, model_name

Letter = Literal["A", "B", "C"]
LETTERS: tuple[Letter, ...] = get_args(Letter)
FOLDER = files("fulcra.release.replication")
#: The file of what was measured here; written by tools/replicate_page.py, never by hand.
MEASURED = "measured.json"
#: A chat model of .6 billion parameters, beside the papers' own.
SMALL = "Qwen/Qwen3-0.6B"
#: What no name of a model may hold: it would end the quotes that a command has around it.
QUOTING = frozenset("'\"`$\\!")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PaperFigure(_Strict):
    """A figure of a paper: of which model, by its hub id where one is known, else in words."""

    figure: str
    model: str | None = None
    of: str = ""

    @property
    def words(self) -> str:
        """The figure and whose it is."""
        whose = self.of or model_name(self.model or "")
        return f"{whose}: {self.figure}" if whose else self.figure


class Row(_Strict):
    """One quantity of a paper.

    `reads` names a reader of results, `evidence` the files it is read from here (FILE or
    FILE:MODEL), `behaviors` those whose results count. `claim` is a line of the page of what is
    believed. `run` names commands; `needs` says what else is wanted that is not here.
    """

    row: str
    what: str
    where: str = ""
    paper: tuple[PaperFigure, ...]
    reads: str | None = None
    evidence: tuple[str, ...] = ()
    behaviors: tuple[str, ...] = ()
    claim: str | None = None
    run: tuple[str, ...] = ()
    needs: str = ""


class Paper(_Strict):
    """One paper: its rows, its commands by name, and the base model of each chat model.

    The first of its `models` stands for figures that are of all of them, or of none by name.
    """

    letter: Letter
    title: str
    source: str
    models: tuple[str, ...]
    rows: tuple[Row, ...]
    commands: dict[str, str]
    bases: dict[str, str] = Field(default_factory=dict)

    def key(self, row: Row) -> str:
        """The name of a row among those of all papers."""
        return f"{self.letter}.{row.row}"


class Measured(_Strict):
    """What was measured here of one row: its readings, its verdict, and why."""

    readings: tuple[Reading, ...] = ()
    verdict: str = ""
    why: str = ""


class Line(NamedTuple):
    """One command, exactly as it is run, and the rows that it fills, numbered from 1."""

    rows: tuple[int, ...]
    command: str


def paper(letter: str) -> Paper:
    """The paper of that letter, in any case; InputError where there is none."""
    wanted = letter.upper()
    if wanted not in LETTERS:
        raise InputError(f"paper {letter!r}: there are {', '.join(LETTERS)}")
    return _read(wanted)


@cache
def _read(letter: str) -> Paper:
    text = (FOLDER / f"{letter.lower()}.yaml").read_text(encoding="utf-8")
    return Paper.model_validate(yaml.safe_load(text))


@cache
def measured() -> dict[str, Measured]:
    """What was measured here, by the name of the row."""
    text = (FOLDER / MEASURED).read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Measured]).validate_json(text)


def own_models(source: Paper, row: Row) -> tuple[str, ...]:
    """The models of a row, each once: those of its figures, else the paper's first."""
    named = dict.fromkeys(each.model for each in row.paper if each.model)
    return tuple(named) or source.models[:1]


def rows_by_model(source: Paper) -> dict[str, tuple[int, ...]]:
    """The rows that have a command, numbered from 1, by the paper's models that they are of."""
    rows: dict[str, tuple[int, ...]] = {}
    for number, row in enumerate(source.rows, 1):
        for model in own_models(source, row) if row.run else ():
            rows[model] = (*rows.get(model, ()), number)
    return rows


def commands(source: Paper, model: str | None = None) -> tuple[Line, ...]:
    """The commands of a paper in the order in which they are run, on its own models or on one.

    Each command stands once, with all rows that it fills.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(source.rows, 1):
        for name in row.run:
            for each in (model,) if model else own_models(source, row):
                rows.setdefault((each, name), []).append(number)
    models, names = list(dict.fromkeys(each for each, _ in rows)), list(source.commands)
    ordered = sorted(rows, key=lambda key: (models.index(key[0]), names.index(key[1])))
    return tuple(
        Line(tuple(rows[each, name]), _filled(source, name, each)) for each, name in ordered
    )


def _filled(source: Paper, name: str, model: str) -> str:
    """The command of that name with the model in it: bare words quoted for a shell, or as text
    within the quotes of the command itself.
    """
    if set(model) & QUOTING or not model.isprintable():
        raise InputError(
            f"model {model!r}: its name holds a quote, a backslash or a sign of the shell; link the"
            " folder under another name"
        )
    texts = {
        "model": model,
        "name": Path(model).name,
        "base": source.bases.get(model, f"{model}-Base"),
    }
    words = {key: shlex.quote(text) for key, text in texts.items()}
    return source.commands[name].format(**words, model_text=model, name_text=texts["name"])


def shown_models(model: str | None) -> tuple[str | None, ...]:
    """Whose commands are shown: of the model that is named, else of a small one and the paper's.

    InputError for a bundled organism, which does not speak as the papers' models do.
    """
    if model in bundled_names():
        raise InputError(
            f"--model {model}: a bundled organism does not know the behaviors of a chat model; its"
            " figures stand in the column 'here'; give a chat model"
        )
    return (model,) if model else (SMALL, None)
