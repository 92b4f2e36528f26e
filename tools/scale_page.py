"""Writes docs/scale.md: audits on paper, the scheduler simulated, and both beside what was run.

    python -m tools.scale_page

The real runs are those of benchmarks/scheduler.json (`python benchmarks/scheduler.py`).
"""

import json
from collections.abc import Iterator
from pathlib import Path

from fulcra.behaviors import load_behavior
from fulcra.models.sizes import shape_config, sizes_of
from fulcra.protocol.scale.accelerators import A_NODE, ACCELERATORS, accelerator
from fulcra.protocol.scale.plan import FAILURE, HANDING, Machine, planned
from fulcra.protocol.scale.simulation import TAIL, Cluster, simulated, stragglers
from fulcra.protocol.stages import AuditSettings
from fulcra.report.sheet import Sheet

ROOT = Path(__file__).parents[1]
PAGE, RUNS = ROOT / "docs" / "scale.md", ROOT / "benchmarks" / "scheduler.json"
PROSE = Path(__file__).with_suffix(".txt")
SHAPES = ("8b", "8x7b", "70b", "405b")
DEVICES = ("h100", "b200")
#: Accelerators, screened neurons and tokens of a reply of the audits in the table.
GPUS, NEURONS, HORIZON = (16, 128, 1024), 100, 128
NODES = (1, 4, 16, 64, 125)
#: Mean seconds of a shard, and shards in each simulated run.
SHARD_SECONDS, SHARDS = (3.0, 30.0, 600.0), 40_000
OPENING, REPAIR = 120.0, 600.0
#: Seconds between two failures of a node of a very bad cluster.
STORM = 36_000.0


def page() -> str:
    """The text of docs/scale.md."""
    return PROSE.read_text(encoding="utf-8").format(
        neurons=NEURONS,
        horizon=HORIZON,
        plans="\n".join(_plans()),
        peaks="\n".join(_peaks()),
        utilisation="\n".join(_utilisation()),
        checked="\n".join(_checked()),
        shards=f"{SHARDS:,}",
        handing=f"{1000 * HANDING:g}",
        a_second=f"{1 / HANDING:.0f}",
        busy=f"{SHARD_SECONDS[0] / HANDING:.0f}",
        tail=f"{TAIL:g}",
        failure=f"{FAILURE / 3600:,.0f}",
    )


def _plans() -> list[str]:
    behavior = load_behavior("refusal", None)
    settings = AuditSettings(neurons=NEURONS, horizon=HORIZON)
    behavior = settings.of(behavior)
    rows = []
    for shape in SHAPES:
        sizes = sizes_of(shape, shape_config(shape))
        for device in DEVICES:
            for gpus in GPUS:
                plan = planned(sizes, behavior, settings, Machine(accelerator(device), gpus), 48)
                place = plan.layout
                rows.append(
                    (
                        shape,
                        device,
                        f"{gpus:,}",
                        f"{place.replicas} x {place.parallel}",
                        f"{place.memory / 1e9:.0f}",
                        f"{plan.wall / 3600:.2f}",
                        f"{plan.gpu_hours:,.0f}",
                        f"{plan.busy:.1%}",
                    )
                )
    columns = ("shape", "on", "of", "replicas x TP", "GB each", "wall [h]", "GPU-hours", "at work")
    return Sheet(columns, rows, numbers=columns[2:]).markdown()


def _peaks() -> list[str]:
    rows = [
        (
            device.name,
            f"{device.memory / 1e9:.0f}",
            f"{device.flops / 1e12:,.0f}",
            f"{device.bandwidth / 1e12:.2f}",
            f"{device.link / 1e9:,.0f}",
            device.source,
        )
        for device in ACCELERATORS.values()
    ]
    columns = ("name", "GB", "TFLOP/s, bf16 dense", "TB/s", "links [GB/s]", "source")
    return Sheet(columns, rows, numbers=columns[1:5]).markdown()


def _utilisation() -> list[str]:
    rows = list(_simulated_rows())
    columns = (
        "GPUs",
        "shard [s]",
        "even",
        "heavy tail",
        "+ failures",
        "+ bad nodes",
        "run again",
    )
    return Sheet(columns, rows, numbers=columns).markdown()


def _simulated_rows() -> Iterator[tuple[str, ...]]:
    for seconds in SHARD_SECONDS:
        even, heavy = (stragglers(seconds, SHARDS, tail) for tail in (0.0, TAIL))
        for nodes in NODES:
            calm = Cluster(nodes, A_NODE, OPENING, HANDING, None, REPAIR)
            runs = [
                simulated(even, calm),
                simulated(heavy, calm),
                simulated(heavy, calm._replace(failure=FAILURE)),
                simulated(heavy, calm._replace(failure=STORM)),
            ]
            shares = (f"{run.utilisation:.0%}" for run in runs)
            yield f"{nodes * A_NODE:,}", f"{seconds:g}", *shares, f"{runs[-1].again}"


def _checked() -> list[str]:
    runs = json.loads(RUNS.read_text(encoding="utf-8"))["runs"]
    rows = [
        (
            str(run["nodes"]),
            f"{run['wall']:.2f}",
            f"{run['simulated']:.2f}",
            f"{run['error']:+.1%}",
            f"{1000 * run['handing']:.1f}",
        )
        for run in runs
    ]
    columns = ("nodes", "run [s]", "simulated [s]", "off by", "driver, a shard [ms]")
    return Sheet(columns, rows, numbers=columns).markdown()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
