"""Finished runs on the page: the windows they committed, for the model that they measured."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.playground.window import Window
from fulcra.protocol.results.audit import Branch, Predicted
from fulcra.protocol.results.commitment import BranchEntry
from fulcra.protocol.source import reopened_behaviors
from fulcra.release.finished import finished_run
from fulcra.types import Behavior, Edge, Neuron

#: Verdicts in the order in which their branches are offered.
VERDICTS = ("open", "undetermined", "closed")


class LoadedRun(NamedTuple):
    """One run: its folder, the behavior it audited, and its branches by name, best first."""

    folder: Path
    name: str
    behavior: Behavior
    branches: Mapping[str, BranchEntry]

    def window(self, branch: str) -> Window | None:
        """The window committed for a branch; None where it was not measured, or a norm caps it.

        How a dose turns a stream behind a norm stands in no commitment.
        """
        entry = self.branches.get(branch)
        if entry is None or entry.cap_alignment is not None:
            return None
        trigger = entry.trigger_predicted
        return Window(
            replace(entry.coordinate, branch=Neuron(branch)),
            _edge(entry.ceiling_predicted),
            None if trigger is None else _edge(trigger),
            self.name,
        )


def loaded_run(folder: Path, model: Model) -> LoadedRun:
    """The run in a folder; InputError where it did not finish or measured another model."""
    run = finished_run(folder)
    made_on = run.result.model
    if made_on.sha256 != model.sha256:
        raise InputError(
            f"run {folder}: measured {made_on.name} with weights {made_on.sha256[:12]},"
            f" {model.name} has weights {model.sha256[:12]}; give a run of this model"
        )
    (behavior,) = reopened_behaviors([folder])
    entries = {entry.branch: entry for entry in run.files.content.branches}
    rank = {branch.name: _rank(branch) for branch in run.result.neurons}
    order = sorted(entries, key=lambda name: rank.get(name, len(VERDICTS)))
    return LoadedRun(folder, run.name, behavior, {name: entries[name] for name in order})


def _rank(branch: Branch) -> int:
    return VERDICTS.index(branch.verdict) if branch.verdict in VERDICTS else len(VERDICTS)


def _edge(predicted: Predicted) -> Edge:
    return Edge(predicted.gain, predicted.method, predicted.tier, alignment=predicted.alignment)
