"""The study of every model of the split, and its validation.json (law.md sections 3 to 5)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fulcra.backtest import ceilings
from fulcra.backtest import windows as verdicts
from fulcra.backtest.constancy import universality
from fulcra.backtest.detector import CoherenceStudySettings, validated_detector
from fulcra.backtest.organism_ladder import measured_ladder
from fulcra.backtest.outside_scope import generality_rows
from fulcra.backtest.scoring import (
    TIERS,
    Rows,
    baseline_scores,
    ceiling_score,
    ceiling_scores,
    grouped,
    kl_at_ceiling,
    noise_floor,
    verdict_scores,
)
from fulcra.backtest.split import Cabinet, Lineage, Split
from fulcra.backtest.targets import targets
from fulcra.errors import Inconclusive
from fulcra.ladders.trigger_ladder import GAINS
from fulcra.models import Model
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.runs import code_version
from fulcra.screens.candidates import SWEPT
from fulcra.store import RunFolder, plain, write_json

VALIDATION = "validation.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: neurons a layer for ceilings, windows forecast and measured a model and
    behavior, generality.

    For the organism ladder `searched` neurons are forecast, the best `rungs` branches measured;
    `detector` branches a layer.
    """

    neurons: int = 6
    pool: int = 160
    branches: int = 12
    generality: int = 2
    searched: int = SWEPT
    rungs: int = 24
    detector: int = 6
    seed: int = 0
    gains: tuple[float, ...] = GAINS


FULL = Size()
#: Every part of the study on what is bundled, in seconds; concludes nothing.
REDUCED = Size(
    neurons=1,
    pool=4,
    branches=3,
    generality=0,
    searched=8,
    rungs=1,
    detector=1,
    gains=(0.3, 0.65, 1.2),
)


@dataclass(slots=True)
class _Found:
    """The rows of all models so far."""

    ceilings: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    pool: list[dict[str, Any]]
    protocol: list[dict[str, Any]]
    generality: list[dict[str, Any]]
    left_out: dict[str, str]


def validate(
    split: Split,
    out: Path,
    cabinet: Cabinet,
    size: Size = FULL,
    reduced: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The content of validation.json, written to `out`, where an interrupted study goes on.

    Inconclusive where models of the split are missing, unless `reduced`. Cost at full size: about
    six minutes of one core a lineage, one for an organism of the ladder.
    """
    missing = cabinet.missing(split)
    if missing and not reduced:
        said = (
            f"{len(missing)} models of the split are neither bundled nor in"
            f" {cabinet.organisms or 'any folder'}: {', '.join(missing)}"
        )
        raise Inconclusive(
            f"validate: {said}; train them (`python organisms/train.py NAME`), or ask for --reduced"
        )
    clock, found = Clock(progress or Silent()), _Found([], [], [], [], [], {})
    detector = validated_detector(
        split,
        cabinet,
        CoherenceStudySettings(size.detector, seed=size.seed),
        out / "detector",
        clock.progress,
    )
    for lineage in split.lineages:
        _measure(lineage, out, cabinet, size, clock, found)
    ladder = measured_ladder(
        split,
        cabinet,
        verdicts.Plan(size.searched, size.rungs, size.seed, size.gains),
        out / "ladder",
        clock,
    )
    parts = {"detector": detector, "ladder": ladder, "timing": clock.timing()}
    document = dict(plain({**_document(split, size, reduced, missing, found), **parts}))
    document["targets"] = [target._asdict() for target in targets(document)]
    write_json(out / VALIDATION, document)
    return document


def _measure(
    lineage: Lineage, out: Path, cabinet: Cabinet, size: Size, clock: Clock, found: _Found
) -> None:
    present = [name for name in lineage.models if cabinet.has(name)]
    reference = (
        cabinet.load(lineage.reference)
        if present and lineage.reference and cabinet.has(lineage.reference)
        else None
    )
    for name in present:
        model = cabinet.load(name)
        if name in lineage.ceilings:
            _ceilings(model, reference, lineage, out / name / "ceilings", size, clock, found)
        for behavior in lineage.verdicts.get(name, ()):
            plan = verdicts.Plan(size.pool, size.branches, size.seed, size.gains)
            try:
                parts = verdicts.verdict_rows(
                    model, reference, behavior, lineage, plan, out / name / behavior, clock
                )
            except Inconclusive as refusal:
                found.left_out[f"{name} {behavior}"] = str(refusal)
                continue
            found.verdicts += parts["rows"]
            found.pool += parts["pool"]
            found.protocol.append(parts["protocol"])


def _ceilings(
    model: Model,
    reference: Model | None,
    lineage: Lineage,
    path: Path,
    size: Size,
    clock: Clock,
    found: _Found,
) -> None:
    plan = ceilings.Plan(size.neurons, seed=size.seed)
    manifest = {
        "command": "validate ceilings",
        "model": model.name,
        "model_sha256": model.sha256,
        "plan": asdict(plan),
        "code": code_version(),
    }
    rows = ceilings.ceiling_rows(
        model, reference, lineage, plan, RunFolder.open(path, manifest), clock.progress
    )
    if not rows:
        found.left_out[model.name] = (
            "it collapses undosed: half of its clean rollouts are not coherent, so no ceiling can"
            " be measured"
        )
        return
    found.ceilings += rows
    if size.generality and model.name == lineage.ceilings[0]:
        generality = ceilings.Plan(size.generality, seed=size.seed)
        found.generality += generality_rows(
            model,
            reference,
            lineage,
            generality,
            path / "parts" / "generality.json",
            clock.progress,
        )


def _document(
    split: Split, size: Size, reduced: bool, missing: Sequence[str], found: _Found
) -> dict[str, Any]:
    held = {lineage.name for lineage in split.held_out}
    reproduced = {(one["model"], one["behavior"]) for one in found.protocol if one["reproduced"]}
    measured = [row for row in found.verdicts if (row["model"], row["behavior"]) in reproduced]
    parts = {
        "held_out": (
            [r for r in found.ceilings if r["lineage"] in held],
            [r for r in measured if r["lineage"] in held],
        ),
        "development": (
            [r for r in found.ceilings if r["lineage"] not in held],
            [r for r in measured if r["lineage"] not in held],
        ),
    }
    main = parts["held_out"] if parts["held_out"][0] or not reduced else parts["development"]
    return {
        "schema_version": SCHEMA_VERSION,
        "split": split.model_dump(),
        "split_sha256": split.sha256,
        "settings": asdict(size),
        "code": code_version(),
        "reduced": reduced,
        "missing": list(missing),
        "left_out": found.left_out,
        "protocol_reproduced": (
            bool(found.protocol) and all(one["reproduced"] for one in found.protocol)
        ),
        "protocol": found.protocol,
        "ceilings": {
            **{part: ceiling_scores(rows, size.seed) for part, (rows, _) in parts.items() if rows},
            "lineages": {
                name: ceiling_scores(rows, size.seed)
                for name, rows in grouped(found.ceilings, "lineage").items()
            },
        },
        "noise_floor": {
            **{part: noise_floor(rows) for part, (rows, _) in parts.items() if rows},
            "lineages": {
                name: noise_floor(rows) for name, rows in grouped(found.ceilings, "lineage").items()
            },
        },
        "verdicts": {
            **{part: verdict_scores(rows, size.seed) for part, (_, rows) in parts.items() if rows},
            "behaviors": {
                name: verdict_scores(rows, size.seed)
                for name, rows in grouped(main[1], "behavior").items()
            },
            "lineages": {
                name: verdict_scores(rows, size.seed)
                for name, rows in grouped(measured, "lineage").items()
            },
        },
        "baselines": {part: baseline_scores(rows) for part, (_, rows) in parts.items() if rows},
        "kl_at_ceiling": {
            name: kl_at_ceiling(rows) for name, rows in grouped(found.ceilings, "lineage").items()
        },
        "universality": universality(
            main[0], [row for row in found.pool if (row["model"], row["behavior"]) in reproduced]
        ),
        "generality": _generality(found.generality, size.seed),
        "rows": {"ceilings": found.ceilings, "verdicts": found.verdicts},
    }


def _generality(rows: Rows, seed: int) -> dict[str, Any]:
    return {
        kind: {
            name: ceiling_score(some, [row["predicted"][name] for row in some], TIERS[name], seed)
            for name in some[0]["predicted"]
        }
        for kind, some in grouped(rows, "kind").items()
    }
