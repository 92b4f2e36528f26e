"""Branches decided a CPU second: the measurement of an audit against a batched hook loop.

`python benchmarks/decided.py MODEL` measures the same branches of a chat model by transformers'
generate with one hook a branch and dose (all prompts of one dose in a batch), and by the audit's
own measurement, full, curtailed and sequential. Both sides roll out every stage that decides a
branch (ceiling, selection, confirmation), to the longest horizon once, and ask the same judge. One
thread, turn about; writes benchmarks/decided.json after every round.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fulcra.behaviors import load_behavior
from fulcra.engines.decoding import shared
from fulcra.formulas.coordinate import Coordinate
from fulcra.law.verdict import observe
from fulcra.models import Model, load
from fulcra.protocol.commit import Plan, commitment
from fulcra.protocol.curtail import MEASURES, Measure
from fulcra.protocol.draw import Sizes, draw
from fulcra.protocol.measure import Measurement, measure_curtailed
from fulcra.protocol.records import CEILING, Record
from fulcra.protocol.runs import manifest_of
from fulcra.protocol.staged import Evidence
from fulcra.protocol.stages import AuditSettings, Forecast, baseline_trials, dosed_stages
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial
from fulcra.types import Neuron, Ranking, Rollout

OUT = Path(__file__).with_name("decided.json")
LOOP = "loop"
#: The stages that decide a branch: a ceiling bounds the ladder of its trigger.
STAGES = (CEILING, "selection", "confirmation")


class Hooked:
    """A model of its own for transformers' generate, with torch's own products."""

    def __init__(self, model: Model) -> None:
        self.model, self.hf = model, copy.deepcopy(model.hf)
        for module in self.hf.modules():
            if isinstance(module, nn.Linear):
                module.__class__ = nn.Linear

    def rollouts(self, trials: Sequence[Trial]) -> list[Rollout]:
        """The replies to all prompts under one dose, in one batch."""
        request = trials[0].request
        (edit,) = request.edits
        assert isinstance(edit.site, Neuron)
        layer, index, value = edit.site.layer, edit.site.index, edit.value

        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            x = args[0].clone()
            x[..., index] += value
            return (x,)

        width = max(len(trial.request.prompt) for trial in trials)
        rows = [trial.request.prompt for trial in trials]
        ids = torch.tensor([(0,) * (width - len(row)) + row for row in rows])
        mask = torch.tensor([(0,) * (width - len(row)) + (1,) * len(row) for row in rows])
        heat = request.sampling.temperature
        drawn = {"do_sample": True, "temperature": heat, "top_k": 0, "top_p": 1.0}
        down = self.hf.get_submodule(self.name(layer))
        handle = down.register_forward_pre_hook(hook)
        try:
            out = self.hf.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=request.horizon,
                repetition_penalty=1.0,
                **(drawn if heat else {"do_sample": False}),
            )
        finally:
            handle.remove()
        return [self.reply(row) for row in out[:, width:].tolist()]

    def name(self, layer: int) -> str:
        """The name of a layer's down projection."""
        down = self.model.down(layer)
        return next(name for name, module in self.model.hf.named_modules() if module is down)

    def reply(self, row: Sequence[int]) -> Rollout:
        """The tokens before the end of sequence."""
        ends = (i for i, token in enumerate(row) if token in self.model.end_ids)
        end = next(ends, None)
        return Rollout(tuple(row[:end]), end is not None)


class Sides:
    """The same branches measured by the loop and by the audit."""

    def __init__(self, model: Model, behavior: str, sizes: Sizes, every: int) -> None:
        self.subject = Subject.of(model, load_behavior(behavior))
        ground, self.gains = self.subject.ground, AuditSettings().gains[::every]
        ranking = self.subject.circuit if sizes.screened else Ranking("none", (), ())
        self.branches = draw(ground, [ranking], sizes, 0).branches
        stages = dosed_stages(self.subject, self.branches, self.gains, pins=False)
        self.trials = {stage: stages[stage] for stage in STAGES}
        self.baseline = self.measurement()("baseline", baseline_trials(self.subject))
        self.hooked = Hooked(model)

    def measurement(self) -> Measurement:
        """A measurement that has judged nothing yet."""
        return Measurement(self.subject, self.subject.horizons)

    def loop(self) -> list[Record]:
        """A branch and dose at a time."""
        records: list[Record] = []
        for trials in self.trials.values():
            rollouts: list[Rollout] = []
            for _, batch in groupby(trials, key=lambda trial: (trial.branch, trial.dose)):
                rollouts += self.hooked.rollouts(list(batch))
            records += self.measurement().judge(trials, rollouts)
        return records

    def audit(self, measure: Measure) -> list[Record]:
        """As an audit measures."""
        settings = AuditSettings(measure=measure, gains=self.gains)
        manifest = manifest_of("audit", self.subject.model, self.subject.behavior, asdict(settings))
        content = commitment(manifest, self.subject, Plan(self.forecasts(), self.gains))
        measured, records = self.measurement(), list(self.baseline)
        for stage, trials in self.trials.items():
            if measure == "full":
                records += measured(stage, trials)
            else:
                records += measure_curtailed(measured, trials, content, records, lambda done: None)
        return records[len(self.baseline) :]

    def forecasts(self) -> list[Forecast]:
        """The branches as a commitment holds them; what is forecast decides nothing here."""
        return [Forecast(b, b.edge(None, "kl_ladder", 2), None) for b in self.branches]

    def verdicts(self, records: Sequence[Record]) -> dict[str, str]:
        """Open, closed or undetermined, by branch."""
        evidence = Evidence([*self.baseline, *records], self.subject.horizons)

        def verdict(place: Coordinate) -> str:
            gains = self.gains[: place.rungs(self.gains)]
            flips = evidence.flips(
                "confirmation", str(place.branch), gains, evidence.verdict_horizon
            )
            return observe(gains, flips).verdict

        return {str(place.branch): verdict(place) for place in self.branches}


class Turn(NamedTuple):
    """One measurement of all branches."""

    cpu_s: float
    rollouts: int
    verdicts: dict[str, str]
    words: dict[tuple[str, str, float, str], str]

    @property
    def decided(self) -> int:
        """Branches that are open or closed."""
        return sum(verdict != "undetermined" for verdict in self.verdicts.values())

    @property
    def rate(self) -> float:
        """Decided branches a CPU second."""
        return self.decided / self.cpu_s


def turn(sides: Sides, work: Callable[[], list[Record]]) -> Turn:
    """One measurement, timed."""
    start = time.process_time()
    records = work()
    seconds = time.process_time() - start
    greedy = [record for record in records if record.stage != CEILING]
    words = {(r.stage, r.branch, r.gain, r.prompt): r.text_hash for r in greedy}
    return Turn(seconds, len(records), sides.verdicts(records), words)


def rows_of(rounds: Sequence[dict[str, Turn]]) -> list[dict[str, Any]]:
    """One row a way of measuring: medians, and the ratio of rates round by round."""
    rows = []
    for name in rounds[0]:
        turns = [by[name] for by in rounds]
        ratios = [by[name].rate / by[LOOP].rate for by in rounds]
        first, loop = turns[0], rounds[0][LOOP]
        equal = [first.words[key] == loop.words[key] for key in first.words]
        rows.append(
            {
                "name": name,
                "branches": len(first.verdicts),
                "decided": first.decided,
                "cpu_s": round(median(t.cpu_s for t in turns), 2),
                "every_cpu_s": [round(t.cpu_s, 2) for t in turns],
                "rollouts": first.rollouts,
                "ratio": round(median(ratios), 2),
                "every_ratio": [round(ratio, 2) for ratio in ratios],
                "equal_verdicts": sum(loop.verdicts[b] == v for b, v in first.verdicts.items()),
                "equal_greedy_rollouts": round(sum(equal) / len(equal), 4),
                "verdicts": first.verdicts,
            }
        )
    return rows


def main() -> None:
    """Writes decided.json and prints its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a folder or name that fulcra.load takes")
    parser.add_argument("-b", "--behavior", default="first-person")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--neurons", type=int, default=1, help="screened neurons, by contrast")
    parser.add_argument("--random", type=int, default=2, help="random neurons, two branches each")
    parser.add_argument("--every", type=int, default=1, help="every N-th gain of an audit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = load(options.model, options.dtype)
    shared(model)
    sides = Sides(model, options.behavior, Sizes(options.neurons, options.random, 0), options.every)
    rounds: list[dict[str, Turn]] = []
    for _ in range(options.rounds):
        held = {LOOP: turn(sides, sides.loop)}
        for measure in MEASURES:
            held[measure] = turn(sides, lambda measure=measure: sides.audit(measure))  # type: ignore[misc]
        rounds.append(held)
        options.out.write_text(json.dumps(rows_of(rounds), indent=1) + "\n")
        for row in rows_of(rounds):
            print({key: value for key, value in row.items() if key != "verdicts"}, flush=True)


if __name__ == "__main__":
    main()
