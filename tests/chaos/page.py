"""Makes faults, keeps what was seen, and writes docs/reliability.md of it: `make chaos`."""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict

from fulcra import load, load_behavior
from fulcra.store import json_bytes, write_text
from tests.chaos.audits import faults_after, smallest, undisturbed
from tests.chaos.faults import WHOLE, Observation, alone, chain, read_only

DOCS = Path(__file__).parents[2] / "docs"
PAGE, SEEN, FUZZED = (
    DOCS / name for name in ("reliability.md", "evidence/chaos.json", "evidence/fuzz.json")
)
Part = Literal["kills", "faults"]
PARTS: tuple[Part, ...] = ("kills", "faults")
#: What names a machine or one of its processes.
PROCESS = re.compile(r"process \d+ on [^\s;]+")


class Kills(BaseModel):
    """The smallest audit killed after its changes of the disk: how many, and what was wrong."""

    model_config = ConfigDict(extra="forbid")

    operations: int
    changes: int
    resumed: int
    faults: list[str]


class Seen(BaseModel):
    """All that `make chaos` saw."""

    model_config = ConfigDict(extra="forbid")

    kills: Kills
    faults: list[Observation]


class Kind(BaseModel):
    """Inputs of one kind, by how they were answered, and the slowest answer."""

    accepted: int
    refused: int
    slowest_cpu_seconds: float


class Fuzzed(BaseModel):
    """What `make fuzz` counted."""

    asked: int
    limit_seconds: float
    failed_tests: int
    kinds: dict[str, Kind]


HEAD = """# Reliability

Written by `make chaos` and `make fuzz` from what they saw ([chaos](evidence/chaos.json),
[fuzz](evidence/fuzz.json)): real processes, real signals, one machine, no network.

A run given `--out` may be stopped by anything at any moment; the same command goes on in the same
folder. Every file is written under another name, synced and renamed; parts of a run that stand are
never measured again; a commitment is never written twice; the folder is locked by the process that
writes in it, and the lock ends with that process.

**In sum:** {total} faults, {tracebacks} tracebacks, {lost} with finished work lost; {inputs}.

## Killed at every write

The smallest audit made {operations} file operations, {changes} of which changed the folder or the
cache. After {resumed} of these {changes} changes, evenly spread, the audit was gone on with from
exactly the files that a kill -9 leaves there: {faulty} of {resumed} differed from the undisturbed
run in a byte of any file (times aside), had a stray temporary file, or repeated finished work.
`tests/chaos` goes on after every second of them where slow tests run.

## Faults of a machine

Seven faults hit one audit, one after another; each of the others an audit of its own. Exit code 3
is what the undisturbed audit ends with, too: it is too small for a verdict. Lost is a finished part
that was measured again, and any difference to the undisturbed run in commitment, figures or
rollouts.

| fault | command | exit code | what the user saw | what was lost |
|---|---|--:|---|---|
"""
FUZZ = """
## Hostile files, names and arguments

`FULCRA_FUZZ={asked} make fuzz` (50,000 without a number): {total} inputs, each accepted, or refused
in one line with exit code 2; {failed}. The slowest took {slowest:g} s of
processor time, {limit:g} are allowed.

| kind | accepted | refused | slowest [s] |
|---|--:|--:|--:|
"""
TAIL = """
## What else is under test, and what is not

Every file operation failing with a full, failing or read-only disk (one line, the old file stays):
`tests/store`. A number that is none in one layer (its rows are unscored, the neuron is named in
`audit.json`, in the report and by `fulcra verify`); what halved batches leave there; memory that
runs out elsewhere (one line): `tests/chaos`. Memory that runs out with one row alone (one line):
`tests/engines`.

Not covered: a disk that loses what it reported as synced, two machines on a network folder without
file locks, a second thread of one process in the same folder, and memory that runs out outside of
rollouts, ladders and surprises: there the command ends in one line and goes on when called again.
"""


def killed(folder: Path, every: int) -> Kills:
    """What was seen of an audit below `folder`, killed after every n-th of its changes; minutes."""
    torch.set_num_threads(1)
    model, behavior = load("apothecary-sparse"), smallest(load_behavior("refusal"))
    whole = undisturbed(model, behavior, folder)
    states = whole.moments.states[::every]
    wrong = [fault for state in states for fault in faults_after(state, whole, model, behavior)]
    return Kills(
        operations=whole.moments.operations,
        changes=len(whole.moments.states),
        resumed=len(states),
        faults=wrong,
    )


def faulted(folder: Path) -> list[Observation]:
    """What was seen of the faults of a machine, made below `folder`; minutes."""
    met = [*chain(folder), *alone(folder, folder / WHOLE), read_only(folder)]
    return [_without_place(each, folder) for each in met]


def _without_place(met: Observation, folder: Path) -> Observation:
    """The observation with no word on the machine that it was made on."""
    line = PROCESS.sub("process PID on HOST", met.line.replace(str(folder), ""))
    return met._replace(line=line)


def page(met: Seen, fuzzed: Fuzzed | None) -> str:
    """The page of what was seen."""
    rows = [row(each) for each in met.faults]
    kills, lines = met.kills, [each.line for each in met.faults]
    total = sum(kind.accepted + kind.refused for kind in fuzzed.kinds.values()) if fuzzed else 0
    head = HEAD.format(
        total=kills.resumed + len(rows),
        tracebacks=sum("Traceback" in line for line in lines),
        lost=len({line.partition(":")[0] for line in kills.faults})
        + sum(bool(each.lost) for each in met.faults),
        inputs=f"{total:,} hostile inputs, {fuzzed.failed_tests} kinds with a traceback or too slow"
        if fuzzed
        else "hostile inputs not counted yet",
        operations=kills.operations,
        changes=kills.changes,
        resumed=kills.resumed,
        faulty=len({line.partition(":")[0] for line in kills.faults}),
    )
    return head + "\n".join(rows) + "\n" + (_fuzz(fuzzed, total) if fuzzed else "") + TAIL


def _fuzz(fuzzed: Fuzzed, total: int) -> str:
    head = FUZZ.format(
        asked=fuzzed.asked,
        total=f"{total:,}",
        failed=f"{fuzzed.failed_tests} kinds had a traceback or were too slow",
        slowest=max(kind.slowest_cpu_seconds for kind in fuzzed.kinds.values()),
        limit=fuzzed.limit_seconds,
    )
    return head + "\n".join(_kinds(fuzzed)) + "\n"


def _kinds(fuzzed: Fuzzed) -> Iterable[str]:
    for name, kind in fuzzed.kinds.items():
        yield f"| {name} | {kind.accepted:,} | {kind.refused:,} | {kind.slowest_cpu_seconds:g} |"


def row(met: Observation) -> str:
    """The line of the table that says what one fault did."""
    shown = met.line.replace("|", "\\|") or "nothing"
    command = f"`{met.command}`" if met.command else ""
    return (
        f"| {met.fault} | {command} | {met.code} | {shown} | {', '.join(met.lost) or 'nothing'} |"
    )


def written() -> str:
    """The page of what stands in docs/evidence."""
    fuzzed = Fuzzed.model_validate_json(FUZZED.read_text()) if FUZZED.is_file() else None
    return page(Seen.model_validate_json(SEEN.read_text()), fuzzed)


def watch(part: Part, every: int) -> None:
    """Make the faults of one part, and keep what was seen beside that of the other."""
    before = json.loads(SEEN.read_text()) if SEEN.is_file() else {}
    with tempfile.TemporaryDirectory() as place:
        if part == "kills":
            met = killed(Path(place), every).model_dump()
        else:
            met = [each._asdict() for each in faulted(Path(place))]
    write_text(SEEN, json_bytes({**before, part: met}).decode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="go on after every n-th change only")
    parser.add_argument("--only", choices=PARTS, help="make these faults again, no others")
    parser.add_argument("--again", action="store_true", help="write the page of what was seen")
    options = parser.parse_args()
    for each in () if options.again else [options.only] if options.only else PARTS:
        watch(each, options.every)
    write_text(PAGE, written())
    sys.stdout.write(f"{PAGE.name} is written\n")
