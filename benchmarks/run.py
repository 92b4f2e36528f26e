"""Measures fulcra against its peers: `python benchmarks/run.py` writes benchmarks/results.json."""

import argparse
import json
from fnmatch import fnmatch
from pathlib import Path

import capture
import ceilings
import cluster
import generate
import ladders
import setting
import startup
import sweep
import torch

PARTS = (
    sweep.rows_of,
    ladders.rows_of,
    capture.rows_of,
    generate.rows_of,
    ceilings.rows_of,
    cluster.rows_of,
    startup.rows_of,
)
HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=["*"], help="rows to run, globs like 'sweep_*'"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of peer, ours, peer")
    parser.add_argument(
        "--threads",
        type=int,
        default=2,
        help="torch threads; on a busy machine idle ones burn CPU seconds in both",
    )
    parser.add_argument(
        "--device", default="cpu", help="cpu, or cuda for wall seconds on an accelerator"
    )
    parser.add_argument(
        "--small",
        action="store_true",
        help="the least work that runs every row; its ratios mean nothing",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="default: results.json; results-1.json for one thread, results-cuda.json for cuda",
    )
    return parser.parse_args()


def results_file(options: argparse.Namespace) -> Path:
    """Where the rows go: a file a number of threads and device.

    Two threads on the CPU are the plain one.
    """
    mark = (
        ""
        if options.device == "cpu" and options.threads == 2
        else f"-{options.threads if options.device == 'cpu' else options.device}"
    )
    return Path(options.out or HERE / f"results{'-small' if options.small else ''}{mark}.json")


def main() -> None:
    """Runs the rows whose name fits `--only`; rows that are not run keep their last result."""
    options = arguments()
    if options.device != "cpu" and not torch.cuda.is_available():
        print(
            f"benchmarks on {options.device}: skipped, there is no accelerator here; `make bench`"
            " measures on the CPU"
        )
        return
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    setting.device = torch.device(options.device)
    out, size = results_file(options), setting.SMALL if options.small else setting.Size()
    held = json.loads(out.read_text()) if out.is_file() else []
    by_name = {row["name"]: row for row in held}
    for part in PARTS:
        for row in part(
            lambda name: any(fnmatch(name, pattern) for pattern in options.only),
            options.rounds,
            size,
        ):
            by_name[row.name] = row.json()
            out.write_text(json.dumps(list(by_name.values()), indent=1) + "\n")


if __name__ == "__main__":
    main()
