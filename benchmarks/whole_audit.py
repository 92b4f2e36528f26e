"""One small audit by another tree of this package and by this one, CPU seconds step by step.

`python benchmarks/whole_audit.py MODEL --against FOLDER/src -b FILE` runs the same audit by the
other tree, and by this one full, curtailed and sequential: one thread, each in a process and with a
cache of its own. Writes benchmarks/whole_audit.json after every run; `--rounds 3` repeats all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from statistics import median
from typing import Any

OUT = Path(__file__).with_name("whole_audit.json")
OWN = Path(__file__).parents[1] / "src"
OTHER = "other"
MEASURES = ("full", "curtailed", "sequential")

#: What one run says: CPU seconds by step, and the table of its audit.
Ran = dict[str, Any]


class Stopwatch:
    """CPU seconds of every step of an audit, as the audit tells of them."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self.step, self.start = "", 0.0

    def begin(self, step: str, total: int) -> None:
        """The step before is over."""
        now = time.process_time()
        if self.step:
            self.steps[self.step] = self.steps.get(self.step, 0.0) + now - self.start
            print(f"{self.step}: {now - self.start:.1f} CPU s", file=sys.stderr, flush=True)
        self.step, self.start = step, now

    def advance(self, done: int) -> None:
        """Nothing is shown."""


def work(options: argparse.Namespace) -> None:
    """Prints the audit of the tree that this process imports, as one JSON line."""
    import torch

    torch.set_num_threads(1)
    from fulcra.behaviors import load_behavior
    from fulcra.models import load
    from fulcra.protocol.stages import AuditSettings
    from fulcra.screens import candidates
    from fulcra.studies import audit as study

    sizes = {name: getattr(options, name) for name in ("neurons", "random", "controls")}
    own = {"measure": options.measure, "candidates": options.candidates}
    accepted = {field.name for field in fields(AuditSettings)}
    # a tree from before these settings sweeps as many neurons as its module says
    candidates.SWEPT = options.candidates
    settings = AuditSettings(**sizes, **{k: v for k, v in own.items() if k in accepted})
    model = load(options.model, options.dtype)
    behavior = load_behavior(options.behavior)
    plan = foreseen(model, behavior, settings)
    watch, start = Stopwatch(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        study.audit(model, behavior, settings, out, watch)
        watch.begin("", 0)
        total = time.process_time() - start
        result = json.loads((out / "audit.json").read_text())
        made = rollouts(out)
    said = {"cpu_s": total, "steps": watch.steps, "foreseen": plan, "rollouts": made}
    print(json.dumps({**said, "table": table(result)}))


def foreseen(model: Any, behavior: Any, settings: Any) -> dict[str, tuple[int, float]]:
    """Rollouts and CPU seconds of every step by this tree's plan; nothing where it has none."""
    try:
        from fulcra.studies.dry_run import planned
    except ImportError:
        return {}
    steps = planned(model, behavior, settings).steps
    return {step: (cost.rollouts, round(cost.cpu_seconds, 2)) for step, cost in steps.items()}


def rollouts(folder: Path) -> dict[str, int]:
    """How many rollouts of every stage a run holds."""
    import pyarrow.parquet as pq

    files = sorted(folder.glob("rollouts/*.parquet")) or [folder / "rollouts.parquet"]
    stages = [stage for file in files for stage in pq.read_table(file)["stage"].to_pylist()]
    return dict(Counter(stages))


def table(result: dict[str, Any]) -> dict[str, Any]:
    """What an audit says of each branch with predictions: verdict, edges, flips by gain."""
    return {
        entry["neuron"] + entry["pole"]: {
            "verdict": entry["verdict"],
            "observed_open": entry["observed_open"],
            "ceiling": entry["ceiling_measured"]["gain"],
            "trigger": entry["triggers"][-1]["gain"],
            "flips": {row["gain"]: row["flip_confirmation"] for row in entry["curve"]},
        }
        for entry in result["neurons"]
        if entry["source"] != "control"
    }


def ran(source: Path, options: argparse.Namespace, measure: str) -> Ran:
    """The audit by the package below `source`, in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, options.model, "--worker"]
    for name in ("behavior", "dtype", "neurons", "random", "controls", "candidates"):
        command += [f"--{name}", str(getattr(options, name))]
    with tempfile.TemporaryDirectory() as cache:
        threads = {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "FULCRA_CACHE": cache}
        done = subprocess.run(
            [*command, "--measure", measure],
            env={**os.environ, **threads},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    said: Ran = json.loads(done.stdout.splitlines()[-1])
    return said


def apart(ours: Ran, theirs: Ran) -> dict[str, Any]:
    """Where two tables differ: branches measured by one alone, other verdicts, other rates.

    The rate of a rung that stopped early is of fewer prompts.
    """
    pairs = [
        (theirs["table"][name], row)
        for name, row in ours["table"].items()
        if name in theirs["table"]
    ]
    both = [
        (before["flips"][gain], flips)
        for before, now in pairs
        for gain, flips in now["flips"].items()
        if None not in (flips, before["flips"].get(gain))
    ]
    return {
        "branches": len(pairs),
        "other_branches": len(set(ours["table"]) ^ set(theirs["table"])),
        "equal_verdicts": sum(a["verdict"] == b["verdict"] for a, b in pairs),
        "equal_openings": sum(a["observed_open"] == b["observed_open"] for a, b in pairs),
        "rungs": len(both),
        "equal_rates": sum(a == b for a, b in both),
        "largest_difference_of_rates": max((abs(a - b) for a, b in both), default=0.0),
    }


def rows_of(rounds: Sequence[dict[str, Ran]]) -> list[dict[str, Any]]:
    """One row a way of measuring: CPU seconds (median), by step, against the other tree."""
    rows = []
    for name in rounds[0]:
        runs = [by_name[name] for by_name in rounds if name in by_name]
        row: dict[str, Any] = {
            "name": name,
            "cpu_s": round(median(run["cpu_s"] for run in runs), 1),
            "every_cpu_s": [round(run["cpu_s"], 1) for run in runs],
            "steps": {
                step: round(median(run["steps"].get(step, 0.0) for run in runs), 2)
                for step in runs[0]["steps"]
            },
            "foreseen": runs[0]["foreseen"],
            "rollouts": runs[0]["rollouts"],
        }
        if name != OTHER:
            ratios = [by[OTHER]["cpu_s"] / by[name]["cpu_s"] for by in rounds if name in by]
            row |= {
                "ratio": round(median(ratios), 2),
                "every_ratio": [round(ratio, 2) for ratio in ratios],
                **apart(runs[0], rounds[0][OTHER]),
            }
        rows.append({**row, "table": runs[0]["table"]})
    return rows


def main() -> None:
    """Writes whole_audit.json and prints its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a folder or name that both trees load")
    parser.add_argument("--against", type=Path, help="src folder of the other tree")
    parser.add_argument("-b", "--behavior", required=True, help="a behavior file that both read")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--neurons", type=int, default=1)
    parser.add_argument("--random", type=int, default=1)
    parser.add_argument("--controls", type=int, default=4)
    parser.add_argument("--candidates", type=int, default=64, help="neurons a screen sweeps")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--measure", default=MEASURES[0], help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    if options.against is None:
        parser.error("--against: the src folder of the other tree is needed")
    rounds: list[dict[str, Ran]] = []
    for _ in range(options.rounds):
        rounds.append({OTHER: ran(options.against, options, MEASURES[0])})
        for measure in MEASURES:
            rounds[-1][measure] = ran(OWN, options, measure)
            options.out.write_text(json.dumps(rows_of(rounds), indent=1) + "\n")
    for row in rows_of(rounds):
        print({key: value for key, value in row.items() if key not in ("steps", "table")})


if __name__ == "__main__":
    main()
