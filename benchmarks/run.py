"""Measures fulcra against its peers: `python benchmarks/run.py` writes benchmarks/results.json."""

import argparse
import json
from fnmatch import fnmatch
from pathlib import Path

import capture
import ceilings
import generate
import ladders
import sweep
import torch

PARTS = (sweep.rows_of, ladders.rows_of, capture.rows_of, generate.rows_of, ceilings.rows_of)


def main() -> None:
    """Runs the rows whose name fits `--only`; rows that are not run keep their last result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="*", help="rows to run, a glob like 'sweep_*'")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of peer, ours, peer")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; with more, idle ones burn CPU seconds in both")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.set_grad_enabled(False)
    held = json.loads(asked.out.read_text()) if asked.out.is_file() else []
    by_name = {row["name"]: row for row in held}
    for part in PARTS:
        for row in part(lambda name: fnmatch(name, asked.only), asked.rounds):
            by_name[row.name] = row.json()
            asked.out.write_text(json.dumps(list(by_name.values()), indent=1) + "\n")


if __name__ == "__main__":
    main()
