"""A finished run judged again: its stored completions at every horizon, other judges, and how far
they agree.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from fulcra.behaviors import behavior_sha256, built_in, load_behavior
from fulcra.errors import InputError, RunFolderError
from fulcra.judges.judge import Judge, Price
from fulcra.protocol import Record
from fulcra.protocol.measure import records_of
from fulcra.protocol.opinions import (
    RUN,
    Completions,
    Opinion,
    agreement,
    completions_of,
    disagreements,
    judge_entry,
    labels_at,
    opinion,
    seated,
    share,
)
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.store import (
    AUDIT,
    MANIFEST,
    ROLLOUTS,
    TEXTS,
    digest,
    plain,
    read_json,
    read_rows,
    write_json,
    write_rows,
)
from fulcra.types import OUTCOMES, Behavior, Finding

SCHEMA_VERSION = 2
JUDGEMENTS = "judgements.json"
#: The stages behind headline numbers; on generic prompts ("ceiling") there is no behavior to judge.
STAGES = ("baseline", "confirmation")
_COLUMNS = ("stage", "branch", "op", "prompt", "text_hash", "run", "outcome", "evidence", "quote")
SCHEMA = pa.schema(
    [*((name, pa.string()) for name in _COLUMNS), ("dose", pa.float64()), ("horizon", pa.int64())]
)


class Stored(NamedTuple):
    """The rollouts of a run that can be judged, at which horizons, and the salt of its hashes."""

    found: Completions
    stages: tuple[str, ...]
    horizons: tuple[int, ...]
    salt: str


def judge_run(
    folder: Path,
    behavior: Behavior,
    judges: Sequence[Judge],
    stages: Sequence[str] = STAGES,
    horizons: Sequence[int] | None = None,
    send_sensitive: bool = False,
    prices: Mapping[str, Price] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Judges the stored rollouts of a finished run; writes judgements.json and one table a judge
    beside the run's own files.

    `behavior` is the one audited (`audited_behaviors`); `horizons` are by default all at which the
    texts can be cut; `prices` go by judge. Answers of models are kept on disk, so that an
    interrupted call goes on. Cost: one question a judge and distinct completion that the run calls
    neither unscored nor collapsed.
    """
    clock = Clock(progress or Silent())
    stored = stored_rollouts(folder, behavior, stages, horizons)
    opinions = []
    for judge in seated(judges, behavior, stored.salt, send_sensitive):
        with clock.step(judge.name, len(stored.found.items)) as bar:
            opinions.append(opinion(judge, stored.found, bar))
    for given in opinions:
        write_rows(folder / _file_name(given.judge), _rows(stored.found, given), SCHEMA)
    made: dict[str, Any] = plain(_summary(stored, opinions, prices or {}))
    write_json(folder / JUDGEMENTS, made)
    return made


def _file_name(judge: Judge) -> str:
    """The judge's own table, other for the same name with another model, address or rules behind
    it.
    """
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", judge.name)
    return f"judgements-{name}-{digest(dict(judge.identity))[:8]}.parquet"


def stored_rollouts(
    folder: Path,
    behavior: Behavior,
    stages: Sequence[str] = STAGES,
    horizons: Sequence[int] | None = None,
) -> Stored:
    """What the folder of a finished run holds to be judged."""
    every = records_of(read_rows(folder / ROLLOUTS))
    if unknown := set(stages) - {record.stage for record in every} | {
        stage for stage in stages if stage == "ceiling"
    }:
        there = ", ".join(
            dict.fromkeys(record.stage for record in every if record.stage != "ceiling")
        )
        raise InputError(
            f"--stage {min(unknown)}: nothing of it to judge in {folder}; it has {there}"
        )
    records = [record for record in every if record.stage in stages]
    taken = _horizons(folder, records, horizons)
    found = completions_of(behavior, records, taken, _words(folder, behavior, records))
    return Stored(found, tuple(stages), taken, digest(read_json(folder / MANIFEST)))


def audited_behaviors(folders: Sequence[Path], named: Sequence[str] = ()) -> list[Behavior]:
    """The behavior that each run audited, in its own world: of these names or files the one with
    its hash, else the built-in.
    """
    found = [_audited(folder, named) for folder in folders]
    if unused := set(named) - {name for name, _ in found}:
        runs = ", ".join(map(str, folders))
        raise InputError(
            f"--behavior {min(unused)}: not what {runs} audited; give the audited file, unchanged"
            " since"
        )
    return [behavior for _, behavior in found]


def _audited(folder: Path, named: Sequence[str]) -> tuple[str, Behavior]:
    _require_run(folder)
    sha256, audited = (
        read_json(folder / MANIFEST)["behavior_sha256"],
        read_json(folder / AUDIT)["behavior"],
    )
    own = audited["name"]
    for name in (*named, *([own] if built_in(own) else ())):
        behavior = load_behavior(name, own.partition("@")[2] or None)
        if behavior_sha256(behavior) == sha256:
            return name, replace(behavior, sensitive=behavior.sensitive or audited["sensitive"])
    raise InputError(
        f"{folder}: audited another version of {own} than is known here; give its file with"
        " --behavior, unchanged since"
    )


def _require_run(folder: Path) -> None:
    missing = [name for name in (AUDIT, ROLLOUTS, MANIFEST) if not (folder / name).is_file()]
    if missing:
        raise RunFolderError(
            f"{folder}: no {', '.join(missing)}; expected the folder of a finished `fulcra audit`"
        )


def _horizons(
    folder: Path, records: Iterable[Record], asked: Sequence[int] | None
) -> tuple[int, ...]:
    """The horizons to judge at: those asked for, or all at which the texts can be cut."""
    known = tuple(dict.fromkeys(horizon for record in records for horizon in record.horizons))
    there = known if all(record.cuts for record in records) else known[-1:]
    if unknown := set(asked or ()) - set(there):
        why = (
            ""
            if there == known
            else " (its texts were stored before they could be cut; audit again)"
        )
        raise InputError(
            f"--horizon {min(unknown)}: {folder} can be judged at {', '.join(map(str, there))}{why}"
        )
    return tuple(horizon for horizon in there if not asked or horizon in asked)


def _words(folder: Path, behavior: Behavior, records: Iterable[Record]) -> dict[str, str]:
    """The completions by their hash, from the table or, of a sensitive behavior, from the private
    file.
    """
    if not behavior.sensitive:
        return {record.text_hash: record.text for record in records}
    if not (folder / TEXTS).is_file():
        raise InputError(
            f"{folder}: {behavior.name} is sensitive and its texts were not kept; audit again with"
            " --keep-text"
        )
    return {row["text_hash"]: row["text"] for row in read_rows(folder / TEXTS)}


def _rows(found: Completions, given: Opinion) -> list[dict[str, Any]]:
    rows = []
    for cut in found.cuts:
        finding = (
            Finding(None, "not asked: the run's own outcome stands")
            if cut.item is None
            else given.findings[cut.item]
        )
        kept = {
            name: getattr(cut.record, name)
            for name in ("stage", "branch", "op", "dose", "prompt", "text_hash")
        }
        said = {
            "run": cut.outcome,
            "outcome": given.outcome(cut),
            "evidence": finding.evidence,
            "quote": finding.quote,
        }
        rows.append({**kept, "horizon": cut.horizon, **said})
    return rows


def _summary(
    stored: Stored, opinions: Sequence[Opinion], prices: Mapping[str, Price]
) -> dict[str, Any]:
    found = stored.found
    labels = {horizon: labels_at(found, opinions, horizon) for horizon in stored.horizons}
    return {
        "schema_version": SCHEMA_VERSION,
        "behavior": found.behavior.name,
        "labels": {outcome: found.behavior.label(outcome) for outcome in OUTCOMES},
        "stages": list(stored.stages),
        "horizons": list(stored.horizons),
        "rollouts": len(found.cuts) // len(stored.horizons),
        "completions": len(found.items),
        "judges": [
            {"name": RUN},
            *(judge_entry(given, prices.get(given.judge.name)) for given in opinions),
        ],
        "outcomes": [_outcomes(found, opinions, horizon) for horizon in stored.horizons],
        "agreement": [
            {"horizon": horizon, **agreement(given)} for horizon, given in labels.items()
        ],
        "disagreements": [
            row for horizon, given in labels.items() for row in disagreements(found, given, horizon)
        ],
    }


def _outcomes(found: Completions, opinions: Sequence[Opinion], horizon: int) -> dict[str, Any]:
    """What the run and every judge found at one horizon."""
    cuts = [cut for cut in found.cuts if cut.horizon == horizon]
    shares = {RUN: share(cut.outcome for cut in cuts)} | {
        one.judge.name: share(map(one.outcome, cuts)) for one in opinions
    }
    return {"horizon": horizon, "judges": shares}
