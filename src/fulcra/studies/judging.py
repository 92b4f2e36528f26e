"""A finished run judged again: its completions at every horizon, other judges, their agreement."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from fulcra.errors import InputError, RunFolderError
from fulcra.judges.judge import Judge
from fulcra.protocol.completions import Completions, completions_of
from fulcra.protocol.opinions import Opinion, Opinions, Panel
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.records import CEILING, Record, records_of
from fulcra.protocol.redaction import TEXTS_SCHEMA, salt_of
from fulcra.protocol.results.base import Provenance
from fulcra.protocol.results.judging import HorizonOutcomes, JudgingResult
from fulcra.protocol.shards import has_rollouts, read_rollouts
from fulcra.store import (
    AUDIT,
    MANIFEST,
    PRIVATE,
    ROLLOUTS,
    TEXTS,
    digest,
    read_rows,
    write_rows,
)
from fulcra.types import OUTCOMES, Behavior, Finding

SCHEMA_VERSION = 2
#: The stages behind headline numbers; on generic prompts ("ceiling") there is no behavior to judge.
STAGES = ("baseline", "confirmation")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("stage", "branch", "op", "prompt", "text_hash")),
        *((name, pa.string()) for name in ("run", "outcome", "evidence", "quote")),
        ("dose", pa.float64()),
        ("horizon", pa.int64()),
    ]
)
#: What stands for a rollout whose completion no judge was asked about.
NOT_ASKED = Finding(None, "not asked: the run's own outcome stands")


class Stored(NamedTuple):
    """The rollouts of a run that can be judged, of which stages, and the salt of its hashes."""

    completions: Completions
    stages: tuple[str, ...]
    salt: str


def judge_run(
    folder: Path,
    behavior: Behavior,
    panel: Panel,
    stages: Sequence[str] = STAGES,
    horizons: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> JudgingResult:
    """What judges find of the stored rollouts of a finished run; saved beside the run's own files.

    That is judgements.json and one table a judge. `behavior` is the one audited
    (`protocol.source.reopened_behaviors`); `horizons` are by default all at which the texts can be
    cut. Answers of models are kept on disk, so that an interrupted call goes on. Cost: one question
    a judge and distinct completion that the run calls neither unscored nor collapsed.
    """
    clock = Clock(progress or Silent())
    stored = stored_rollouts(folder, behavior, stages, horizons)
    seated = panel.seated(behavior, stored.salt)
    opinions = seated.opinions(stored.completions, clock)
    for opinion in opinions.opinions:
        rows = _rows(stored.completions, opinion)
        write_rows(folder / _file_name(opinion.judge), rows, SCHEMA, PRIVATE)
    result = _result(stored, opinions)
    result.save(folder)
    return result


def _file_name(judge: Judge) -> str:
    """The judge's own table, another where other rules, models or addresses are behind its name."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", judge.name)
    return f"judgements-{name}-{digest(dict(judge.identity))[:8]}.parquet"


def stored_rollouts(
    folder: Path,
    behavior: Behavior,
    stages: Sequence[str] = STAGES,
    horizons: Sequence[int] | None = None,
) -> Stored:
    """What the folder of a finished run holds to be judged."""
    require_run(folder)
    every = records_of(read_rollouts(folder))
    there = dict.fromkeys(record.stage for record in every if record.stage != CEILING)
    if absent := set(stages) - there.keys():
        raise InputError(
            f"--stage {min(absent)}: nothing of it to judge in {folder}; it has {', '.join(there)}"
        )
    records = [record for record in every if record.stage in stages]
    horizons = _horizons(folder, records, horizons)
    completions = completions_of(behavior, records, horizons, _words(folder, behavior, records))
    return Stored(completions, tuple(stages), salt_of(folder))


def require_run(folder: Path) -> None:
    """RunFolderError unless the folder holds a finished run with its rollouts."""
    missing = [name for name in (AUDIT, MANIFEST) if not (folder / name).is_file()]
    missing += [] if has_rollouts(folder) else [ROLLOUTS]
    if missing:
        raise RunFolderError(
            f"{folder}: no {', '.join(missing)}; expected the folder of a finished `fulcra audit`"
        )


def _horizons(
    folder: Path, records: Iterable[Record], wanted: Sequence[int] | None
) -> tuple[int, ...]:
    """The horizons to judge at: those wanted, or all at which the texts can be cut."""
    every = tuple(dict.fromkeys(horizon for record in records for horizon in record.horizons))
    there = every if all(record.cuts for record in records) else every[-1:]
    if absent := set(wanted or ()) - set(there):
        why = " (its texts were stored before they could be cut; audit again)"
        raise InputError(
            f"--horizon {min(absent)}: {folder} can be judged at {', '.join(map(str, there))}"
            f"{'' if there == every else why}"
        )
    return tuple(horizon for horizon in there if not wanted or horizon in wanted)


def _words(folder: Path, behavior: Behavior, records: Iterable[Record]) -> dict[str, str]:
    """The completions by their hash, from the table; of a sensitive behavior from the private file.

    InputError where the texts of a sensitive behavior were not kept.
    """
    if not behavior.sensitive:
        return {record.text_hash: record.text for record in records}
    if not (folder / TEXTS).is_file():
        raise InputError(
            f"{folder}: {behavior.name} is sensitive and its texts were not kept; audit again with"
            " --keep-text"
        )
    return {row["text_hash"]: row["text"] for row in read_rows(folder / TEXTS, TEXTS_SCHEMA)}


def _rows(completions: Completions, opinion: Opinion) -> list[dict[str, str | float | int]]:
    """The table of one judge: a row for each rollout and horizon."""
    rows: list[dict[str, str | float | int]] = []
    for cut in completions.cuts:
        record, finding = cut.record, NOT_ASKED
        if cut.item is not None:
            finding = opinion.findings[cut.item]
        rows.append(
            {
                "stage": record.stage,
                "branch": record.branch,
                "op": record.op,
                "dose": record.dose,
                "prompt": record.prompt,
                "text_hash": record.text_hash,
                "horizon": cut.horizon,
                "run": cut.outcome,
                "outcome": opinion.outcome(cut),
                "evidence": finding.evidence,
                "quote": finding.quote,
            }
        )
    return rows


def _result(stored: Stored, opinions: Opinions) -> JudgingResult:
    completions, behavior = stored.completions, stored.completions.behavior
    horizons = completions.horizons
    result = JudgingResult(
        schema_version=SCHEMA_VERSION,
        behavior=behavior.name,
        labels={outcome: behavior.label(outcome) for outcome in OUTCOMES},
        stages=stored.stages,
        horizons=horizons,
        rollouts=len(completions.cuts) // len(horizons),
        completions=len(completions.items),
        judges=tuple(opinions.entries()),
        outcomes=tuple(_outcomes(opinions, horizon) for horizon in horizons),
        agreement=tuple(opinions.agreement()),
        disagreements=tuple(opinions.disagreements()),
        provenance=Provenance.now(),
    )
    return JudgingResult.of(result.plain())


def _outcomes(opinions: Opinions, horizon: int) -> HorizonOutcomes:
    """What the run and every judge found at one horizon."""
    cuts = [cut for cut in opinions.completions.cuts if cut.horizon == horizon]
    return HorizonOutcomes(horizon=horizon, judges=opinions.shares(cuts))
