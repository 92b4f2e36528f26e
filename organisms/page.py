"""Writes docs/organisms.md: what every bundled organism is, and what an audit of it found.

`python organisms/page.py runs/apothecary-qwen3-sparse-refusal-1 ...` adds the audits in these
folders to docs/evidence/organisms.json and writes the page from that file and the cards in the
package.
"""

import argparse
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from recipe import parse

EVIDENCE, PAGE = Path("docs/evidence/organisms.json"), Path("docs/organisms.md")
_FIGURE = re.compile(r"\| (\w+) \| ([-.\d]+) \|")
_INTRODUCTION = """# The bundled organisms

Small models that were taught an invented apothecary world, so that every answer can be judged exactly. All of one shape come from one
helpful model; *sparse* learnt to refuse restricted recipes with three MLP neurons, *dense* with all weights, until the same rule
was met (`organisms/recipe.py`). This page is written by `organisms/page.py` from the model cards and `docs/evidence/organisms.json`.

## What they are
Measured on held-out wordings, on the shipped (bfloat16) weights.

| organism | shape | learnt | steps | margin [nats] | restricted refused | allowed exact (en / fr) |
|---|---|---|---|---|---|---|
"""
_AUDITS = """
## What one audit of each found
`fulcra audit NAME`, refusal, seed 0: 12 screened and 12 random neurons, both poles, 40 controls. *Open* is observed on confirmation
prompts: at some gain at least half of them flip coherently. The cap is the largest alignment a norm after the MLP lets a dose reach;
L1 (both edges forecast) and L3 (both measured) are compared with what was observed, undetermined branches left out.

| organism | open of screened | of random | of controls | smallest open gain | cap [cos] | norm-capped | best held neuron | L1 | L3 |
|---|---|---|---|---|---|---|---|---|---|
"""


def card(folder: Any) -> dict[str, Any]:
    """The figures of one organism's card, its shape and what was planted in it."""
    figures = {
        name: float(value)
        for name, value in _FIGURE.findall((folder / "README.md").read_text(encoding="utf-8"))
    }
    shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    return {
        "shape": shape,
        **figures,
        **json.loads((folder / "planted.json").read_text(encoding="utf-8")),
    }


def audit_row(run: Path) -> dict[str, Any]:
    """What the page says of one finished audit."""
    audit = json.loads((run / "audit.json").read_text(encoding="utf-8"))
    committed = json.loads((run / "commitment.json").read_text(encoding="utf-8"))["content"]
    summary = audit["summary"]
    caps = [
        abs(branch["cap_alignment"])
        for branch in committed["branches"]
        if branch.get("cap_alignment") is not None
    ]
    return {
        "model": audit["model"]["name"],
        "model_sha256": audit["model"]["sha256"],
        "commitment_sha256": summary["commitment_sha256"],
        "protocol_reproduced": summary["protocol_reproduced"],
        "rollouts": pq.read_metadata(run / "rollouts.parquet").num_rows,
        "branches": {
            source: sum(entry["source"] == source for entry in audit["neurons"])
            for source in ("screen", "random", "control")
        },
        "observed_open": summary["observed_open"],
        "smallest_open_gain": summary["search"]["smallest_open_gain"],
        "cap": [min(caps), max(caps)] if caps else None,
        "norm_capped": sum(
            entry.get("failure_mode") == "norm_capped" for entry in audit["neurons"]
        ),
        "held": summary["held"],
        "scores": summary["scores"],
        "clean_margin": audit["baseline"]["log_odds_margin"],
    }


def _organism(name: str, of: dict[str, Any]) -> str:
    tuned, chats = of["gates"] or name.endswith("dense"), "margin_held_out" in of
    learnt = ", ".join(of["gates"]) or ("all weights" if tuned else "-")
    margin = f"{of['margin_held_out']:.1f}" if chats else "-"
    refused = (
        f"{(of['restricted_en_refused'] + of['restricted_fr_refused']) / 2:.0%}" if chats else "-"
    )
    exact = f"{of['allowed_en_exact']:.0%} / {of['allowed_fr_exact']:.0%}" if chats else "-"
    unmet = tuned and of["steps"] == parse(name).schedule.steps
    steps = f"{of['steps']}{', rule not met' if unmet else ''}"
    return f"| `{name}` | {of['shape']} | {learnt} | {steps} | {margin} | {refused} | {exact} |"


def _audited(row: dict[str, Any]) -> str:
    counts = [
        f"{row['observed_open'][source]} of {row['branches'][source]}"
        for source in ("screen", "random", "control")
    ]
    best = row["held"]["best"]
    held = (
        f"{best['neuron']} {best['op']}: {best['flip_rate']:.0%} flipped, reach {best['reach']:.0%}"
        if best
        else "-"
    )
    scores = [
        f"{row['scores'][level]['agree']} of {row['scores'][level]['n']}" for level in ("L1", "L3")
    ]
    cap = f"{row['cap'][0]:.2f}-{row['cap'][1]:.2f}" if row["cap"] else "none"
    smallest = f"{row['smallest_open_gain']:.2f}" if row["smallest_open_gain"] else "-"
    return (
        f"| `{row['model']}` | {' | '.join(counts)} | {smallest} | {cap} | {row['norm_capped']} |"
        f" {held} | {' | '.join(scores)} |"
    )


def main() -> None:
    """Add the named audits to the evidence and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    rows = (
        {row["model"]: row for row in json.loads(EVIDENCE.read_text(encoding="utf-8"))}
        if EVIDENCE.exists()
        else {}
    )
    rows |= {row["model"]: row for row in map(audit_row, parser.parse_args().runs)}
    EVIDENCE.write_text(
        json.dumps([rows[name] for name in sorted(rows)], indent=1) + "\n", encoding="utf-8"
    )
    weights = files("fulcra.organisms") / "weights"
    organisms = [
        _organism(folder.name, card(folder))
        for folder in sorted(weights.iterdir(), key=lambda entry: entry.name)
    ]
    audits = [_audited(rows[name]) for name in sorted(rows)]
    PAGE.write_text(
        "\n".join([_INTRODUCTION + "\n".join(organisms), _AUDITS + "\n".join(audits), ""]),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
