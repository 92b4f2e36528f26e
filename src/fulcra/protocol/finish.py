"""The end of a run: what it found as audit.json holds it, and the files that stay."""

from collections.abc import Mapping, Sequence
from typing import Any

from fulcra.formulas.coordinate import Coordinate
from fulcra.models.coordinate import realised_alignment
from fulcra.protocol.commit import Committed
from fulcra.protocol.evidence import results
from fulcra.protocol.records import SCHEMA, Record, record_rows
from fulcra.protocol.redaction import TEXTS_SCHEMA, kept_rows
from fulcra.protocol.runs import SCHEMA_VERSION, behavior_entry, model_entry, provenance
from fulcra.protocol.subject import Subject
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

#: Completions quoted in the report, of the best branch.
SAMPLES = 6


def _with_spread(
    subject: Subject, branches: Sequence[Coordinate], neurons: Sequence[dict[str, Any]]
) -> None:
    """Add the 5-95 % range of the realised alignment to every rung of every committed branch."""
    by_name = {str(at.branch): at for at in branches}
    for entry in neurons:
        at = by_name.get(entry["neuron"] + entry["pole"])
        if at is None:
            continue
        for rung in entry.get("curve", []):
            low, high = realised_alignment(subject.model, subject.ground.stream, at, rung["gain"])
            rung["alignment_low"], rung["alignment_high"] = low, high


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
        r for r in records if r.stage == "confirmation" and r.branch == name and r.gain == gain
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
    subject: Subject, branches: Sequence[Coordinate], committed: Committed
) -> dict[str, Any]:
    """The content of audit.json but for its timing block."""
    plan = committed.content["plan"]
    figures = results(committed.content, committed.sha256, committed.records)
    _with_spread(subject, branches, figures["neurons"])
    head = {
        "schema_version": SCHEMA_VERSION,
        "model": model_entry(subject.model),
        "behavior": behavior_entry(subject.behavior, plan),
        "settings": plan["settings"],
        "provenance": provenance(plan),
    }
    samples = _samples(subject.behavior, figures["neurons"], committed.records)
    content: dict[str, Any] = plain({**head, **figures, "samples": samples})
    return content


def save(folder: RunFolder, content: Mapping[str, Any], records: Sequence[Record]) -> None:
    """Write texts, rollouts, report and audit.json (last, so that its presence means a finished
    run); drop the parts.
    """
    if parts := folder.text_parts():
        texts = ((row["text_hash"], row["text"]) for part in parts for row in read_rows(part))
        write_rows(folder.path / TEXTS, kept_rows(texts), TEXTS_SCHEMA, PRIVATE)
    write_rows(folder.path / ROLLOUTS, record_rows(records), SCHEMA)
    write_text(folder.path / REPORT, render_report(content))
    write_json(folder.path / AUDIT, content)
    folder.drop_parts()
