"""The smallest audit, its kills at every file operation, and how each of them is gone on with."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from fulcra import AuditSettings, Behavior, Model, audit
from fulcra.protocol.progress import Clock
from fulcra.protocol.results.base import Timing
from tests.chaos.disk import Moments, State, files_of, watched

SETTINGS = AuditSettings(neurons=1, random=0, controls=1, gains=(0.45,), screen="contrastive")
RUN, CACHE = "run", "cache"


class Undisturbed(NamedTuple):
    """The final files of an audit that nothing stopped, and all states it went through."""

    files: dict[str, bytes | None]
    moments: Moments


def smallest(behavior: Behavior) -> Behavior:
    """The behavior with so few and short rollouts that an audit takes a second."""
    return replace(
        behavior,
        horizon=8,
        positive=behavior.positive[:4],
        negative=behavior.negative[:4],
        selection=behavior.selection[:1],
        confirmation=behavior.confirmation[:2],
        ceiling_generic=behavior.ceiling_generic[:2],
    )


def audit_below(root: Path, model: Model, behavior: Behavior) -> None:
    """The smallest audit in root/run with its cache in root/cache, its times left out."""
    timing = Timing(cpu_seconds=0.0, wall_seconds=0.0, steps={})
    with (
        patch.dict(os.environ, FULCRA_CACHE=str(root / CACHE)),
        patch.object(Clock, "timing", lambda clock: timing),
    ):
        audit(model, behavior, SETTINGS, root / RUN)


def undisturbed(model: Model, behavior: Behavior, folder: Path) -> Undisturbed:
    """One whole audit, with a copy of its files after every operation that changed them."""
    root = folder / "whole"
    root.mkdir()
    moments = Moments(root, folder / "states")
    with watched(moments.after):
        audit_below(root, model, behavior)
    return Undisturbed(files_of(root), moments)


def faults_after(state: State, whole: Undisturbed, model: Model, behavior: Behavior) -> list[str]:
    """What is wrong once the run killed in this state has gone on; empty as it should be.

    Wrong is a file that differs from the undisturbed run's, one too many or missing, and a finished
    part or commitment that was written again.
    """
    before, written = files_of(state.root), list[str]()
    root = Path(shutil.copytree(state.root, state.root.with_name(f"{state.number}-resumed")))

    def note(operation: str, target: str) -> None:
        if operation in ("replace", "rename"):
            written.append(str(Path(target).relative_to(root)))

    with watched(note):
        audit_below(root, model, behavior)
    after = files_of(root)
    shutil.rmtree(root)
    names = {*after, *whole.files}
    moment = f"killed after operation {state.number}, {state.operation}"
    differing = [name for name in names if after.get(name, b"") != whole.files.get(name, b"")]
    finished = [name for name in written if name in before and "source.json" not in name]
    return [
        *(f"{moment}: {name} differs" for name in sorted(differing)),
        *(f"{moment}: {name} was written again" for name in finished if _is_work(name)),
    ]


def _is_work(name: str) -> bool:
    work = name.startswith(CACHE) or name.endswith("commitment.json")
    return work or "parts/" in name or "rollouts/" in name
