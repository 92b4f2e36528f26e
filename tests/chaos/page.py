"""Writes docs/reliability.md from the faults that it makes here: `make chaos`."""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from fulcra import load, load_behavior
from fulcra.store import write_text
from tests.chaos.audits import faults_after, smallest, undisturbed
from tests.chaos.faults import Observation, chain, read_only

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
HEAD = """# Reliability

Written by `make chaos`, from what it saw: real processes, real signals, one machine, no network.

A run given `--out` may be stopped by anything at any moment; the same command goes on in the same
folder. Every file is written under another name, synced and renamed; parts of a run that stand are
never measured again; a commitment is never written twice; the folder is locked by the process that
writes in it, and the lock ends with that process.

## Killed at every write

The smallest audit made {operations} file operations, {states} of which changed the folder or the
cache. After {resumed} of these the audit was gone on with from exactly the files that a kill -9
leaves there: {faults} of {resumed} differed from the undisturbed run in a byte of any file (times
aside), had a stray temporary file, or repeated finished work. `tests/chaos` goes on after each.

## One audit through seven faults, and one in a read-only folder

| fault | command | exit code | what the user saw | what was lost |
|---|---|--:|---|---|
"""
TAIL = """
Under test besides: a clock that jumps back, a batch that runs out of memory (halved, same
rollouts), a number that is none in one layer (its rows are unscored and the neuron is named), and
every file operation failing with a full, failing or read-only disk (one line, the old file stays).

Not covered: a disk that loses what it reported as synced, two machines on a network folder without
file locks, and a second thread of one process in the same folder.
"""


def page(folder: Path, every: int) -> str:
    """The page, of faults made below `folder`, killed at every n-th change; minutes of one core."""
    torch.set_num_threads(1)
    model, behavior = load("apothecary-sparse"), smallest(load_behavior("refusal"))
    whole = undisturbed(model, behavior, folder)
    states = whole.moments.states
    resumed = states[::every]
    faults = [state for state in resumed if faults_after(state, whole, model, behavior)]
    head = HEAD.format(
        operations=whole.moments.operations,
        states=len(states),
        resumed=len(resumed),
        faults=len(faults),
    )
    rows = [_row(each, folder) for each in (*chain(folder), read_only(folder))]
    return head + "\n".join(rows) + "\n" + TAIL


def _row(met: Observation, folder: Path) -> str:
    shown = met.line.replace(str(folder), "").replace("|", "\\|") or "nothing"
    lost = ", ".join(met.lost) or "nothing"
    return f"| {met.fault} | `{met.command}` | {met.code} | {shown} | {lost} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="go on after every n-th change only")
    every = parser.parse_args().every
    with tempfile.TemporaryDirectory() as folder:
        write_text(PAGE, page(Path(folder), every))
    sys.stdout.write(f"{PAGE.name} is written\n")
