"""audit.json as a document: what was audited, with what code, what was found; and the folder it is
saved in.
"""

import hashlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from fulcra.models import Model
from fulcra.models.coordinate import realised_alignment
from fulcra.protocol import Record
from fulcra.protocol.draw import Cast
from fulcra.protocol.evidence import results
from fulcra.protocol.measure import SCHEMA, record_rows
from fulcra.protocol.redaction import TEXTS_SCHEMA, kept_rows
from fulcra.protocol.subject import Ground
from fulcra.report import render_report
from fulcra.store import (
    AUDIT,
    PRIVATE,
    REPORT,
    ROLLOUTS,
    TEXTS,
    RunFolder,
    plain,
    read_rows,
    write_json,
    write_rows,
    write_text,
)
from fulcra.types import Behavior

SCHEMA_VERSION = 1
#: Completions quoted in the report, of the best branch.
SAMPLES = 6


@cache
def code_version() -> str:
    """Hash of the package's source files: the same code gives the same run."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _commit() -> str | None:
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(
            asked, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def model_entry(model: Model) -> dict[str, Any]:
    """The model of a result: name, hash of its weights, shape, dtype."""
    return {
        "name": model.name,
        "sha256": model.sha256,
        "family": model.hf.config.model_type,
        "layers": model.n_layers,
        "d_model": model.d_model,
        "d_mlp": model.d_mlp,
        "parameters": sum(p.numel() for p in model.hf.parameters()),
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def behavior_entry(behavior: Behavior, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The behavior of a result, with the hash and sizes of its prompt sets."""
    splits = ("positive", "negative", "selection", "confirmation", "generic", "ceiling_generic")
    return {
        "name": behavior.name,
        "version": behavior.version,
        "sha256": plan["behavior_sha256"],
        "sensitive": behavior.sensitive,
        "horizon": behavior.horizon,
        "horizons": plan["horizons"],
        "flip": behavior.flip,
        "labels": dict(behavior.labels),
        "splits": {name: len(getattr(behavior, name)) for name in splits},
    }


def versions() -> dict[str, Any]:
    """The versions under which a result was made."""
    return {
        "fulcra": version("fulcra"),
        "code": code_version(),
        "commit": _commit(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "python": platform.python_version(),
    }


def provenance(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Versions and hashes under which an audit was made."""
    return {
        **versions(),
        **{key: plan[key] for key in ("code", "generic_sha256", "reference", "coherence")},
    }


def _with_spread(model: Model, ground: Ground, cast: Cast, neurons: list[dict[str, Any]]) -> None:
    """Add the 5-95 % range of the realised alignment to every rung of every committed branch."""
    by_name = {str(at.branch): at for at in cast.branches}
    for entry in neurons:
        at = by_name.get(entry["neuron"] + entry["pole"])
        if at is None:
            continue
        for rung in entry.get("curve", []):
            rung["alignment_low"], rung["alignment_high"] = realised_alignment(
                model, ground.clean, at, rung["gain"]
            )


def _samples(
    behavior: Behavior, neurons: Sequence[Mapping[str, Any]], records: Sequence[Record]
) -> list[dict[str, Any]]:
    """A few confirmation completions of the best opened branch; none where the behavior is
    sensitive.
    """
    opened = [entry for entry in neurons if entry["source"] != "control" and entry["observed_open"]]
    if behavior.sensitive or not opened:
        return []
    best = max(
        opened,
        key=lambda e: (
            e["outcomes"]["flipped_correct"],
            e["outcomes"]["flipped"],
            -e["smallest_open_gain"],
        ),
    )
    name, gain = best["neuron"] + best["pole"], best["outcomes_gain"]
    words = {prompt.id: prompt.text for prompt in behavior.confirmation}
    shown = [
        r for r in records if r.stage == "confirmation" and r.branch == name and r.dose == gain
    ][:SAMPLES]
    return [
        {
            "neuron": best["neuron"],
            "pole": best["pole"],
            "gain": gain,
            "prompt": words[r.prompt],
            "text": r.text,
            "outcome": r.outcomes[-1],
        }
        for r in shown
    ]


def document(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    cast: Cast,
    content: Mapping[str, Any],
    sha256: str,
    records: Sequence[Record],
) -> dict[str, Any]:
    """The content of audit.json but for its timing block."""
    plan, found = content["plan"], results(content, sha256, records)
    _with_spread(model, ground, cast, found["neurons"])
    head = {
        "schema_version": SCHEMA_VERSION,
        "model": model_entry(model),
        "behavior": behavior_entry(behavior, plan),
        "settings": plan["settings"],
        "provenance": provenance(plan),
    }
    made: dict[str, Any] = plain(
        {**head, **found, "samples": _samples(behavior, found["neurons"], records)}
    )
    return made


def save(folder: RunFolder, found: Mapping[str, Any], records: Sequence[Record]) -> None:
    """Write texts, rollouts, report and audit.json (last, so that its presence means a finished
    run); drop the parts.
    """
    if parts := folder.text_parts():
        texts = ((row["text_hash"], row["text"]) for part in parts for row in read_rows(part))
        write_rows(folder.path / TEXTS, kept_rows(texts), TEXTS_SCHEMA, PRIVATE)
    write_rows(folder.path / ROLLOUTS, record_rows(records), SCHEMA)
    write_text(folder.path / REPORT, render_report(found))
    write_json(folder.path / AUDIT, found)
    folder.drop_parts()
