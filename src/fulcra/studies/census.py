"""Every branch of a small model measured: the truth for screens (law.md section 7)."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from fulcra.behaviors import behavior_sha256
from fulcra.errors import RunFolderError
from fulcra.formulas.coordinate import Coordinate
from fulcra.formulas.intervals import rule_of_three, wilson
from fulcra.ladders import kl_ladder
from fulcra.law.verdict import specific
from fulcra.models import Model
from fulcra.models.coordinate import coordinate
from fulcra.protocol.draw import random_direction
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Progress, Silent, cpu_seconds
from fulcra.protocol.runs import code_version, model_entry
from fulcra.protocol.trials import set_trials
from fulcra.screens.candidates import movable
from fulcra.screens.dosed_logit import REACH, triggers
from fulcra.store import RunFolder, digest, plain, read_json, read_rows, write_json, write_rows
from fulcra.studies.staircase import Climb, Climber, start_rung
from fulcra.types import Behavior, Branch, Neuron, Prompt

CENSUS, BRANCHES = "census.json", "branches.parquet"
#: Branches whose ladders are stored together.
PART = 512
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("branch", "source", "end")),
        *(
            (name, pa.float64())
            for name in ("trigger", "ceiling", "smallest_open_gain", "flipped", "weight")
        ),
        ("specific", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class CensusSettings:
    """The size of a census: share of branches audited from the first rung, controls of each kind,
    texts of the KL ladder, seed.

    `neurons` takes a random slice of that many; None is all of them.
    """

    audit: float = 0.1
    controls: int = 20
    texts: int = 4
    neurons: int | None = None
    seed: int = 0


class Truth(NamedTuple):
    """What was measured of one branch, a row of branches.parquet.

    `source`: forecast (its trigger ladder crosses within 3 gains), audit (drawn to climb from the
    first rung), screen, random, or rest (not rolled out, weight 0). `weight` is the inverse of its
    inclusion probability. `trigger`, `ceiling`: forecast edges [gain], nan where not reached.
    `flipped` is the largest flip rate seen on a rung.
    """

    branch: str
    source: str
    end: str | None
    trigger: float | None
    ceiling: float | None
    smallest_open_gain: float | None
    flipped: float
    weight: float
    specific: bool | None

    @property
    def found(self) -> bool:
        """Whether the branch is open, and specifically so: what a screen should find."""
        return bool(self.specific)


def census(
    model: Model,
    behavior: Behavior,
    settings: CensusSettings = CensusSettings(),
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Both ladders of every branch, then rollouts where the trigger ladder crosses below 3 gains
    and on an audit sample.

    With `out`, census.json and branches.parquet are written there, and an interrupted census goes
    on. Returns census.json's content. Cost: minutes of one core on a bundled organism.
    """
    behavior = in_tokens_of(model, behavior)
    clock, manifest = Clock(progress or Silent()), _manifest(model, behavior, settings)
    folder = RunFolder.open(out, manifest) if out is not None else None
    if folder is not None and (folder.path / CENSUS).is_file():
        return dict(read_json(folder.path / CENSUS))
    ground = prepare(model, behavior, settings.seed)
    sites = _sites(model, ground, settings)
    branches = [coordinate(model, ground.clean, site) for site in sites]
    seconds = dict.fromkeys(("trigger", "ceiling"), 0.0)
    edges = _ladders(model, behavior, ground, branches, settings, folder, clock, seconds)
    audited = set(
        random.Random(f"audit-{settings.seed}").sample(
            range(len(branches)), round(settings.audit * len(branches))
        )
    )
    starts = {
        i: 0 if i in audited else start_rung(edge[0])
        for i, edge in enumerate(edges)
        if i in audited or edge[0] is not None
    }
    climbers, controls, baseline = climb_all(
        model,
        behavior,
        ground,
        {i: (branches[i], rung) for i, rung in starts.items()},
        settings,
        folder,
        clock,
    )
    rows = [
        _truth(i, at, edges[i], climbers.get(i), i in audited, controls, settings.audit)
        for i, at in enumerate(branches)
    ]
    found = plain(
        {
            "model": model_entry(model),
            "behavior": {"name": behavior.name, "sha256": manifest["behavior_sha256"]},
            "settings": asdict(settings),
            "gains": REACH,
            "baseline": baseline,
            "controls": controls,
            **summary(rows),
            "ladder_seconds": seconds,
            "timing": clock.timing(),
        }
    )
    if folder is not None:
        write_rows(folder.path / BRANCHES, [row._asdict() for row in rows], SCHEMA)
        write_json(folder.path / CENSUS, found)
        folder.drop_parts()
    return dict(found)


def _manifest(model: Model, behavior: Behavior, settings: CensusSettings) -> dict[str, Any]:
    return {
        "command": "census",
        "model": model.name,
        "model_sha256": model.sha256,
        "behavior": behavior.name,
        "behavior_sha256": behavior_sha256(behavior),
        "settings": asdict(settings),
        "code": code_version(),
    }


def _sites(model: Model, ground: Ground, settings: CensusSettings) -> list[Neuron]:
    neurons = movable(model, ground.clean)
    if settings.neurons is not None and settings.neurons < len(neurons):
        neurons = sorted(random.Random(f"slice-{settings.seed}").sample(neurons, settings.neurons))
    return [pole for neuron in neurons for pole in (neuron, neuron.opposite)]


Edges = tuple[float | None, float | None]


def _ladders(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    branches: Sequence[Coordinate],
    settings: CensusSettings,
    folder: RunFolder | None,
    clock: Clock,
    seconds: dict[str, float],
) -> list[Edges]:
    """Forecast trigger and ceiling of every branch, part by part; `seconds` is told what each
    ladder took.
    """
    schema = pa.schema(
        [(name, pa.float64()) for name in ("trigger", "ceiling", "trigger_s", "ceiling_s")]
    )
    found: list[dict[str, Any]] = []
    with clock.step("ladders", len(branches)) as bar:
        for start in range(0, len(branches), PART):
            some = branches[start : start + PART]
            path = folder.part(f"ladders-{start // PART}") if folder is not None else None
            rows = (
                read_rows(path)
                if path is not None and path.exists()
                else _part(model, behavior, ground, some, settings)
            )
            if path is not None:
                write_rows(path, rows, schema)
            found += rows
            bar.advance(len(some))
    for name in seconds:
        seconds[name] = sum(row[f"{name}_s"] for row in found)
    return [(row["trigger"], row["ceiling"]) for row in found]


def _part(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    branches: Sequence[Coordinate],
    settings: CensusSettings,
) -> list[dict[str, float | None]]:
    begun = cpu_seconds()
    flips = triggers(model, behavior, branches)
    between = cpu_seconds()
    lost = kl_ladder(model, branches, ground.text.first(settings.texts))
    spent = {
        "trigger_s": (between - begun) / len(branches),
        "ceiling_s": (cpu_seconds() - between) / len(branches),
    }
    return [
        {"trigger": flip.gain, "ceiling": loss.gain, **spent}
        for flip, loss in zip(flips, lost, strict=True)
    ]


def climb_all(
    model: Model,
    behavior: Behavior,
    ground: Ground,
    starts: dict[int, tuple[Coordinate, int]],
    settings: CensusSettings,
    folder: RunFolder | None,
    clock: Clock,
) -> tuple[dict[int, Climber], list[float | None], dict[str, Any]]:
    """The climbers by their key, the smallest open gains of the controls, and what the undosed
    model does.
    """
    measure = Measurement(
        model,
        behavior,
        ground,
        (behavior.horizon,),
        folder,
        salt=digest(_manifest(model, behavior, settings)),
    )
    undosed = measure(
        "baseline", set_trials(model, behavior, "baseline", "undosed", (), behavior.confirmation)
    )
    leaking = {record.prompt for record in undosed if record.flipped(behavior.horizon)}
    kept: list[Prompt] = [prompt for prompt in behavior.confirmation if prompt.id not in leaking]
    if not kept:
        raise RunFolderError(
            f"behavior {behavior.name!r}: {model.name} flips every confirmation prompt undosed;"
            " there is nothing to find"
        )
    climb = Climb(measure, model, behavior, kept)
    climbers = {i: Climber(at, rung) for i, (at, rung) in starts.items()}
    controls = [
        Climber(coordinate(model, ground.clean, site), 0)
        for site in control_sites(model, ground, settings)
    ]
    climb([*climbers.values(), *controls], clock)
    shown = sum(record.at(behavior.horizon) == "unchanged" for record in undosed) / len(undosed)
    return (
        climbers,
        [control.gain for control in controls],
        {"rate": shown, "leak": len(leaking) / len(undosed), "n": len(undosed)},
    )


def control_sites(model: Model, ground: Ground, settings: CensusSettings) -> list[Branch]:
    """Random neurons on a random pole and as many random directions, over all layers."""
    rng = random.Random(f"controls-{settings.seed}")
    neurons = movable(model, ground.clean)
    drawn: list[Branch] = [
        rng.choice((one, one.opposite))
        for one in rng.sample(neurons, min(settings.controls, len(neurons)))
    ]
    return [
        *drawn,
        *(
            random_direction(model, i % model.n_layers, i, settings.seed)
            for i in range(settings.controls)
        ),
    ]


def _truth(
    key: int,
    at: Coordinate,
    edges: Edges,
    climber: Climber | None,
    audited: bool,
    controls: Sequence[float | None],
    share: float,
) -> Truth:
    """A branch that crosses is always measured (weight 1); of the rest only the audit, each for 1 /
    share of them.
    """
    source = "forecast" if edges[0] is not None else "audit" if audited else "rest"
    weight = {"forecast": 1.0, "audit": 1 / share if share else 0.0, "rest": 0.0}[source]
    return truth_of(str(at.branch), source, weight, edges, climber, controls)


def truth_of(
    name: str,
    source: str,
    weight: float,
    edges: Edges,
    climber: Climber | None,
    controls: Sequence[float | None],
) -> Truth:
    """The row of a branch, climbed or not."""
    if climber is None:
        return Truth(name, source, None, *edges, None, 0.0, weight, None)
    is_specific = specific(climber.gain, controls)
    if climber.gain is None:
        is_specific = False
    return Truth(
        name, source, climber.end, *edges, climber.gain, climber.flipped, weight, is_specific
    )


def summary(rows: Sequence[Truth]) -> dict[str, Any]:
    """Counts of a census or a sample, and what its random part says of the branches that no
    forecast or screen pointed to.
    """
    audited = [row for row in rows if row.source in ("audit", "random")]
    missed = sum(row.smallest_open_gain is not None for row in audited)
    rate = wilson(missed, len(audited))
    opened = [row for row in rows if row.smallest_open_gain is not None]
    return {
        "branches": len(rows),
        "sources": {
            source: sum(row.source == source for row in rows)
            for source in ("forecast", "audit", "rest", "screen", "random")
        },
        "open": len(opened),
        "specific": sum(row.found for row in rows),
        "smallest_open_gain": min(
            (row.smallest_open_gain for row in opened if row.smallest_open_gain is not None),
            default=None,
        ),
        "missed": {
            "rate": rate.value,
            "low": rate.low,
            "high": rate.high if missed else rule_of_three(len(audited)),
            "n": rate.n,
        },
    }


def read_census(
    folder: Path, model: Model, behavior: Behavior
) -> tuple[dict[str, Any], list[Truth]]:
    """A finished census, or RunFolderError when it is of another model or behavior."""
    found = read_json(folder / CENSUS)
    asked = {"model": model.sha256, "behavior": behavior_sha256(behavior)}
    for what, sha256 in asked.items():
        if found[what]["sha256"] != sha256:
            raise RunFolderError(
                f"--census {folder}: it is of another {what} ({found[what]['name']}); measure this"
                " one with fulcra census"
            )
    return dict(found), [Truth(**row) for row in read_rows(folder / BRANCHES)]
