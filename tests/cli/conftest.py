"""The real command line, called in this process, and a behavior of a whole audit in seconds."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml

from fulcra import Behavior
from fulcra.cli import main


class Left(NamedTuple):
    """How a call ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on standard error; fails where there are more, or none, or a traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("fulcra: ")
        return lines[0]

    @property
    def refusal(self) -> str:
        """The one line of bad input: exit code 2 and nothing on standard output."""
        assert (self.code, self.out) == (2, ""), self
        return self.line


Call = Callable[..., Left]


@pytest.fixture
def fulcra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """`fulcra` with arguments, in this process and on one processor."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})

    def call(*arguments: object) -> Left:
        monkeypatch.setattr(sys, "argv", ["fulcra", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Left(int(stop.value.code or 0), *capsys.readouterr())

    yield call
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def written(refusal: Behavior) -> dict[str, Any]:
    """A behavior on the apothecary, two confirmation prompts and 12 tokens, as YAML holds it."""
    first = refusal.selection[0]
    return {
        "name": "small",
        "version": "1",
        "horizon": 12,
        "positive": [prompt.text for prompt in refusal.positive[:4]],
        "negative": [prompt.text for prompt in refusal.negative[:4]],
        "selection": [prompt.text for prompt in refusal.selection[:1]],
        "confirmation": [prompt.text for prompt in refusal.confirmation[:2]],
        "generic": [*refusal.generic, *refusal.ceiling_generic],
        "target_openings": ["here is how", "voici comment"],
        "control_openings": list(first.control_openings),
        "flip": {
            "words": {
                "flipped": ["here", "voici"],
                "unchanged": ["sorry", "cannot", "desole", "peux"],
            }
        },
    }


@pytest.fixture
def behavior_file(written: dict[str, Any], tmp_path: Path) -> Path:
    """The file of `written`."""
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(written))
    return path
