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
from tests.processes import MAIN, Process

PATIENCE = 600
#: Where the audit stands that nothing stopped.
WHOLE = "whole"
#: What stands before `main()` in the process of a command.
PLAIN, FULL = "", "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
#: Also where `make chaos` itself was begun with signals ignored, as nohup and & do.
CLEAR = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""
#: The process waits as soon as a file of that name stands, for whatever comes.
WAITING = """
import os, time
from fnmatch import fnmatch
replace = os.replace
def waiting(source, target, **options):
    replace(source, target, **options)
    if fnmatch(str(target), "*/" + {name!r}):
        time.sleep({patience})
os.replace = waiting
"""
#: A wall clock that jumps by days, back and forth, whenever it is read.
JUMPING = """
import itertools, time
days = itertools.cycle((0, 9e5, -9e5, 3e6, -3e6))
real, real_ns = time.time, time.time_ns
time.time = lambda: real() + next(days)
time.time_ns = lambda: real_ns() + int(next(days) * 1e9)
"""
#: No more memory for batches of more than two rows than the process has by then: real refusals.
#: What was freed goes back at once (M_MMAP_THRESHOLD), or a batch may fit into it.
TIGHT = """
import ctypes
import resource
from fulcra.engines import local
ctypes.CDLL(None).mallopt(-3, 1 << 17)
whole = local.decode
def decode(model, requests):
    before, pages = resource.getrlimit(resource.RLIMIT_AS), open("/proc/self/statm").read()
    size = int(pages.split()[0]) * resource.getpagesize()
    if len(requests) > 2:
        resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 16), before[1]))
    try:
        return whole(model, requests)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
local.decode = decode
"""
#: A file system too small for the run, then one that was given more space.
SMALL_DISK = """
mount -t tmpfs -o size=40k none "$1" || exit 99
"${@:2}"; echo "$?" > codes
mount -o remount,size=64m "$1"
"${@:2}" 2> again; echo "$?" >> codes
cp -r "$1" kept
"""


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
        self.environment = {**os.environ, "FULCRA_CACHE": str(root / "cache")}
        self._finished: dict[str, int] = {}

    def arguments(self, folder: Path) -> list[str]:
        """The audit in that folder, as arguments of the command line."""
        return ["audit", *self.options, "--out", str(folder)]

    def start(self, folder: Path, before: str = PLAIN) -> Process:
        """The audit in a process of its own."""
        return Process(self.arguments(folder), f"{CLEAR}\n{before}\n{MAIN}", self.environment)

    def fresh(self, folder: Path, before: str) -> Left:
        """The audit in a process that began with nothing, as one that is short of memory must."""
        command = [sys.executable, "-c", f"{CLEAR}\n{before}\n{MAIN}", *self.arguments(folder)]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )
        return Left(done.returncode, done.stdout, done.stderr)

    def whole(self, folder: Path) -> Left:
        """The audit from beginning to end, in that folder."""
        return ended(self.start(folder))

    def signalled(self, number: signal.Signals, part: str) -> None:
        """The audit goes on until `part` stands, then it gets the signal."""
        process = self.until(part)
        process.send_signal(number)
        name = "kill -9" if number == signal.SIGKILL else number.name
        self.note(f"{name} once {part} stands", f"kill -{number.value} PID", ended(process))

    def until(self, part: str) -> Process:
        """The audit gone on with until `part` stands, where it waits; RuntimeError if it ended."""
        process = self.start(self.folder, WAITING.format(name=part, patience=PATIENCE))
        wait_for(self.folder / part, process)
        if process.poll() is not None:
            raise RuntimeError(f"the audit ended before {part} stood: {ended(process)}")
        return process

    def second(self, part: str) -> None:
        """A second process meets the first in the folder; the first is then killed."""
        process = self.until(part)
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
        self.observations.append(Observation(fault, command, *_shown(left), tuple(lost)))


def is_work(path: Path) -> bool:
    """Whether a file of an unfinished run is finished work."""
    return (path.parent.name == "rollouts" and path.suffix == ".parquet") or path.name == COMMITMENT


def ended(process: Process) -> Left:
    """How a process ended."""
    return Left(*process.ended(PATIENCE))


def wait_for(path: Path, process: Process) -> None:
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
    left, once = victim.finish(), victim.whole(root / WHOLE)
    lost = tuple(differences(victim.folder, root / WHOLE))
    lost += () if left == once else (f"ended with {left.code}, not {once.code}",)
    victim.observations.append(
        Observation("all of these, then undisturbed", "the same command", left.code, "", lost)
    )
    return victim.observations


def alone(root: Path, whole: Path) -> list[Observation]:
    """Faults that a run goes on under to its end, each in a folder of its own beside `whole`."""
    victim = Victim(root)
    clock = ended(victim.start(root / "clock", JUMPING))
    memory = victim.fresh(root / "memory", TIGHT)
    jumps, halved = (
        "time.time() jumps by weeks, both ways",
        "ulimit -v in batches of 3 rows or more",
    )
    return [
        Observation("a clock that jumps", jumps, *_shown(clock), _lost(root / "clock", whole)),
        Observation("memory runs out", halved, *_shown(memory), _lost(root / "memory", whole)),
        *raced(victim, root, whole),
        *small_disk(victim, root, whole),
    ]


def raced(victim: Victim, root: Path, whole: Path) -> list[Observation]:
    """Two processes that begin in one folder at the same moment: one is refused, one ends."""
    folder = root / "raced"
    both = [victim.start(folder) for _ in range(2)]
    first, second = sorted(map(ended, both), key=lambda left: "is writing there" in left.err)
    fault = "two processes begin at once"
    return [
        Observation(f"{fault}: the first", "the same command twice", *_shown(first), ()),
        Observation(f"{fault}: the second", "", *_shown(second), _lost(folder, whole)),
    ]


def small_disk(victim: Victim, root: Path, whole: Path) -> list[Observation]:
    """A disk that is full in the middle, and the same command once it was given space.

    Nothing where this user may not mount a file system in a name space of its own.
    """
    disk = root / "disk"
    disk.mkdir()
    shell = ["unshare", "-Urm", "bash", "-c", SMALL_DISK, "bash", str(disk)]
    try:
        process = subprocess.run(
            [*shell, sys.executable, "-c", f"{CLEAR}\n{MAIN}", *victim.arguments(disk / "run")],
            cwd=root,
            env=victim.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )
    except FileNotFoundError:
        return []
    if not (root / "kept").exists():
        return []
    codes = [int(code) for code in (root / "codes").read_text().split()]
    full, later = Left(codes[0], "", process.stderr), Left(codes[1], "", "")
    return [
        Observation("a full disk", "--out on a file system of 40 KiB", *_shown(full), ()),
        Observation(
            "the same, given space",
            "the same command",
            *_shown(later),
            _lost(root / "kept/run", whole),
        ),
    ]


def _shown(left: Left) -> tuple[int, str]:
    return left.code, " / ".join(left.err.strip().splitlines())


def _lost(folder: Path, whole: Path) -> tuple[str, ...]:
    return tuple(differences(folder, whole))


def differences(folder: Path, whole: Path) -> list[str]:
    """The files in which a run differs from one that nothing stopped, times and incidents aside."""
    if not (folder / AUDIT).is_file():
        return [f"no {AUDIT}"]
    names = {path.name for path in folder.iterdir()} ^ {path.name for path in whole.iterdir()}
    first, second = read_json(folder / AUDIT), read_json(whole / AUDIT)
    for content in (first, second):
        del content["timing"]
        content.pop("incidents", None)
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
