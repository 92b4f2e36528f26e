"""Faults of a machine, one after another on one run: what the user sees and what is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from fulcra import load_behavior
from fulcra.protocol.shards import read_rollouts
from fulcra.store import AUDIT, COMMITMENT, ROLLOUTS, read_json

PATIENCE = 300
#: What stands before `main()` in the process of a command.
PLAIN, FULL = "", "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
CLEAR = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"


class Left(NamedTuple):
    """How a command ended: its exit code, negative for a signal, and its last lines."""

    code: int
    out: str
    err: str


class Observation(NamedTuple):
    """One fault: what was done, what the user saw, and what of the finished work was lost."""

    fault: str
    command: str
    code: int
    line: str
    lost: tuple[str, ...]


def write_behavior(path: Path) -> Path:
    """A behavior file with two confirmation prompts and 12 tokens: an audit of seconds."""
    refusal = load_behavior("refusal")
    words = {"flipped": ["here", "voici"], "unchanged": ["sorry", "cannot", "desole", "peux"]}
    content = {
        "name": "small",
        "version": "1",
        "horizon": 12,
        "positive": [prompt.text for prompt in refusal.positive[:4]],
        "negative": [prompt.text for prompt in refusal.negative[:4]],
        "selection": [prompt.text for prompt in refusal.selection[:1]],
        "confirmation": [prompt.text for prompt in refusal.confirmation[:2]],
        "generic": [*refusal.generic, *refusal.ceiling_generic],
        "target_openings": ["here is how", "voici comment"],
        "control_openings": list(refusal.selection[0].control_openings),
        "flip": {"words": words},
    }
    path.write_text(yaml.safe_dump(content))
    return path


class Victim:
    """An audit in a folder, and the faults that it meets one after another."""

    def __init__(self, root: Path) -> None:
        self.folder, self.observations = root / "run", list[Observation]()
        behavior = write_behavior(root / "small.yaml")
        self.options = ["-b", str(behavior), "--neurons", "1", "--random", "0"]
        self.options += ["--screen", "contrastive", "--quiet"]
        self._finished: dict[str, int] = {}

    def start(self, folder: Path, before: str = PLAIN) -> "subprocess.Popen[str]":
        """The audit in a process of its own."""
        code = f"{CLEAR}\n{before}\nfrom fulcra.cli import main\nmain()"
        command = [sys.executable, "-c", code, "audit", *self.options, "--out", str(folder)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, text=True, stdout=pipe, stderr=pipe)

    def whole(self, folder: Path) -> Left:
        """The audit from beginning to end, in that folder."""
        return ended(self.start(folder))

    def signalled(self, number: signal.Signals, part: str) -> None:
        """The audit goes on until `part` stands, then it gets the signal."""
        process = self.start(self.folder)
        wait_for(self.folder / part, process)
        process.send_signal(number)
        name = "kill -9" if number == signal.SIGKILL else number.name
        self.note(f"{name} once {part} stands", f"kill -{number.value} PID", ended(process))

    def second(self, part: str) -> None:
        """A second process meets the first in the folder; the first is then killed."""
        process = self.start(self.folder)
        wait_for(self.folder / part, process)
        process.send_signal(signal.SIGSTOP)
        second = ended(self.start(self.folder))
        process.kill()
        ended(process)
        self.note("two processes on one folder", "the same command again", second)

    def full(self) -> None:
        """The disk refuses the next file of more than two kilobytes."""
        left = ended(self.start(self.folder, FULL))
        self.note("no file may grow: what a full disk does, too", "ulimit -f 2", left)

    def finish(self) -> Left:
        """The audit goes on to its end."""
        return ended(self.start(self.folder))

    def note(self, fault: str, command: str, left: Left) -> None:
        """Remember a fault, and which finished parts it or the going on before it took."""
        now = {path.name: path.stat().st_ino for path in self.folder.rglob("*") if is_work(path)}
        lost = [name for name, place in self._finished.items() if now.get(name) != place]
        self._finished = now
        lines = left.err.strip().splitlines()
        self.observations.append(
            Observation(fault, command, left.code, " / ".join(lines), tuple(lost))
        )


def is_work(path: Path) -> bool:
    """Whether a file of an unfinished run is finished work."""
    return (path.parent.name == "rollouts" and path.suffix == ".parquet") or path.name == COMMITMENT


def ended(process: "subprocess.Popen[str]") -> Left:
    """How a process ended."""
    out, err = process.communicate(timeout=PATIENCE)
    return Left(process.returncode, out, err)


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    """Return once a file of that pattern stands, or the process that should write it has ended."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if any(path.parent.glob(path.name)):
            return
        time.sleep(0.002)


def chain(root: Path) -> list[Observation]:
    """Seven faults on one audit, which then ends as one that met none; its differences are lost."""
    victim = Victim(root)
    steps: tuple[Callable[[], None], ...] = (
        lambda: victim.signalled(signal.SIGKILL, "manifest.json"),
        lambda: victim.signalled(signal.SIGTERM, "rollouts/baseline-0.*.parquet"),
        victim.full,
        lambda: victim.signalled(signal.SIGHUP, "rollouts/selection-0.*.parquet"),
        lambda: victim.second("rollouts/ceiling-0.*.parquet"),
        lambda: victim.signalled(signal.SIGKILL, "rollouts/confirmation-0.*.parquet"),
        lambda: victim.signalled(signal.SIGINT, "rollouts/pins-0.*.parquet"),
    )
    for step in steps:
        step()
    left, once = victim.finish(), victim.whole(root / "whole")
    lost = tuple(differences(victim.folder, root / "whole"))
    lost += () if left == once else (f"ended with {left.code}, not {once.code}",)
    victim.observations.append(
        Observation("all of these, then undisturbed", "the same command", left.code, "", lost)
    )
    return victim.observations


def differences(folder: Path, whole: Path) -> list[str]:
    """The files in which a run differs from one that nothing stopped, its times aside."""
    names = {path.name for path in folder.iterdir()} ^ {path.name for path in whole.iterdir()}
    first, second = read_json(folder / AUDIT), read_json(whole / AUDIT)
    for content in (first, second):
        del content["timing"]
    pairs = {
        AUDIT: (json.dumps(first), json.dumps(second)),
        COMMITMENT: tuple((place / COMMITMENT).read_bytes() for place in (folder, whole)),
        ROLLOUTS: tuple(read_rollouts(place) for place in (folder, whole)),
    }
    return sorted(names | {name for name, (one, other) in pairs.items() if one != other})


def read_only(root: Path) -> Observation:
    """A new run where nobody, or not this user, may write; root may everywhere but in /sys."""
    closed = Path("/sys")
    if os.getuid():
        closed = root / "closed"
        closed.mkdir(mode=0o555)
    left = ended(Victim(root).start(closed / "fulcra-run"))
    line = left.err.strip().replace(str(closed), "FOLDER")
    return Observation("a read-only folder", "--out FOLDER/fulcra-run", left.code, line, ())
