"""Ceilings of one model by layer: predicted and written down first, then measured and scored."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fulcra.backtest.ceiling_scores import kl_at_ceiling, median_nats, method_scores
from fulcra.backtest.ceilings import (
    METHODS,
    PART,
    RETEST,
    Forecasts,
    drawn_by_layer,
    measured_rows,
    predicted,
)
from fulcra.backtest.noise import noise_floor
from fulcra.backtest.split import LineageModel
from fulcra.errors import Inconclusive, InputError, RunFolderError
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders.kl_ladder import TEXTS, edit_quantiles
from fulcra.models import Model
from fulcra.protocol.collapse import HORIZON, Bench
from fulcra.protocol.progress import Clock, Progress
from fulcra.protocol.provenance import code_version
from fulcra.protocol.results.model_ceilings import CeilingPlan, ModelCeilings
from fulcra.protocol.results.split import Lineage
from fulcra.protocol.results.validation import CeilingRow
from fulcra.protocol.runs import Manifest, Run, model_entry, provenance_of
from fulcra.protocol.witness.entries import Outcome
from fulcra.store import RunFolder, digest, plain, read_json, write_json

SCHEMA_VERSION = 1
PREDICTIONS = "predictions.json"
#: Where another group calibrates residual steering: this quantile of KL over tokens at 1 nat.
QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class CeilingSettings:
    """Random neurons a layer (both poles each), tokens of a rollout, seed, and the methods.

    `design`: the hash of the registered study that they are part of.
    """

    neurons: int = 4
    horizon: int = HORIZON
    seed: int = 0
    methods: tuple[str, ...] = ("kl_ladder", "surprise_ladder", "family_constant")
    design: str | None = None

    @property
    def entry(self) -> dict[str, object]:
        """The settings as manifest and predictions hold them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def model_ceilings(
    model: Model,
    out: Path,
    settings: CeilingSettings = CeilingSettings(),
    progress: Progress | None = None,
    ledger: Path | None = None,
) -> ModelCeilings:
    """The ceilings of random branches of every layer, saved in `out`, where it goes on.

    All predictions are written there, with their hash, before the first dosed rollout; no row is
    measured under others. With `ledger`, the folder of one, the hash is entered there before, too.
    Inconclusive where the model collapses undosed. Cost: about 4 rungs of 16 rollouts a branch.
    """
    member = LineageModel(Lineage(name=model.name, recipe="", openings="plain"), model)
    run = Run.open(ceilings_manifest(member, settings), out, progress, ledger)
    return member_ceilings(member, run, out, settings)


def member_ceilings(
    member: LineageModel, run: Run, out: Path, settings: CeilingSettings
) -> ModelCeilings:
    """The ceilings of one model of a lineage, as `model_ceilings` makes them, in an open run."""
    folder, clock = RunFolder(out), run.clock
    with clock.step("clean ground", 0):
        ground = member.ground(settings.seed)
        bench = replace(member.bench(ground), horizon=settings.horizon)
        if bench.lost([()], settings.seed)[0] > 0.5:
            raise Inconclusive(
                f"{member.model.name}: half of its undosed rollouts are not coherent, so no ceiling"
                " can be measured; choose another model"
            )
    branches = drawn_by_layer(ground, settings.neurons, settings.seed)
    with clock.step("predictions", len(branches)) as bar:
        gains, sha256 = _predictions(folder, bench, branches, settings, bar)
    with clock.step("ceilings", len(branches)) as bar, run.entered(sha256):
        rows = _rows(folder, member, bench, Forecasts(branches, gains), settings.seed, bar)
    result = _result(bench, settings, sha256, rows, clock)
    if run.seat is not None:
        run.seat.end(sha256, Outcome(state="finished", counts={"ceilings": len(rows)}))
    # last: a result that stands there is never made again, so its end must stand in the ledger
    result.save(out)
    return result


def predictors(names: str) -> tuple[str, ...]:
    """The predictors that `names` lists with commas; InputError for one that there is not."""
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    if strangers := [name for name in chosen if name not in METHODS]:
        raise InputError(f"methods: no {strangers[0]!r}; there are {', '.join(METHODS)}")
    return chosen


def ceilings_manifest(member: LineageModel, settings: CeilingSettings) -> Manifest:
    """Whose a folder of ceilings is, as its manifest holds it."""
    return {
        "command": "ceilings",
        "model": member.model.name,
        "model_sha256": member.model.sha256,
        "behavior_sha256": digest(list(member.openings)),
        "dtype": str(member.model.dtype).removeprefix("torch."),
        "settings": settings.entry,
        "code": code_version(),
    }


def _predictions(
    folder: RunFolder,
    bench: Bench,
    branches: Sequence[Coordinate],
    settings: CeilingSettings,
    progress: Progress,
) -> tuple[dict[str, list[float | None]], str]:
    """The ceilings by every method, and the hash of the file that holds them.

    RunFolderError where the file there holds others: predictions are never replaced.
    """
    gains: dict[str, list[float | None]] = {name: [] for name in settings.methods}
    for start in range(0, len(branches), PART):
        part = branches[start : start + PART]
        for name, column in predicted(bench.ground, part, settings.methods).items():
            gains[name] += column
        progress.advance(len(part))
    content = plain(
        {
            "model_sha256": bench.ground.model.sha256,
            "generic_sha256": bench.ground.text.sha256,
            "settings": settings.entry,
            "branches": [str(place.branch) for place in branches],
            "budgets": [place.budget for place in branches],
            "predicted": gains,
        }
    )
    path, sha256 = folder.path / PREDICTIONS, digest(content)
    if not path.exists():
        write_json(path, {"sha256": sha256, "content": content})
    elif read_json(path) != {"sha256": sha256, "content": content}:
        raise RunFolderError(
            f"{path}: holds other predictions than are made now; take a new folder"
        )
    return plain(gains), sha256


def _rows(
    folder: RunFolder,
    member: LineageModel,
    bench: Bench,
    forecasts: Forecasts,
    seed: int,
    progress: Progress,
) -> list[tuple[CeilingRow, float | None]]:
    """Every branch measured, with the quantile of its divergence at the ceiling; part by part."""
    rows: list[tuple[CeilingRow, float | None]] = []
    for number, start in enumerate(range(0, len(forecasts.branches), PART)):
        part = Forecasts(
            forecasts.branches[start : start + PART],
            {name: column[start : start + PART] for name, column in forecasts.gains.items()},
        )
        path = folder.path / "parts" / f"ceilings-{number}.json"
        if not path.exists():
            again = [i for i in range(len(part.branches)) if (start + i) % RETEST == 0]
            made = measured_rows(member, bench, part, again, seed)
            nats = _quantiles(bench, part.branches, made)
            entries = [
                {"row": row.plain(), "kl_95": value} for row, value in zip(made, nats, strict=True)
            ]
            write_json(path, entries)
        rows += [
            (CeilingRow.model_validate(entry["row"]), entry["kl_95"]) for entry in read_json(path)
        ]
        progress.advance(len(part.branches))
    return rows


def _quantiles(
    bench: Bench, branches: Sequence[Coordinate], rows: Sequence[CeilingRow]
) -> list[float | None]:
    """The quantile of KL over tokens at every measured ceiling; None beyond the ladder."""
    edges = zip(branches, rows, strict=True)
    doses = [place.dose(row.measured) for place, row in edges if row.measured is not None]
    text = bench.ground.text.first(TEXTS)
    nats = edit_quantiles(bench.ground.model, doses, text, QUANTILE).tolist() if doses else []
    values = iter(nats)
    return [None if row.measured is None else next(values) for row in rows]


def _result(
    bench: Bench,
    settings: CeilingSettings,
    sha256: str,
    measured: Sequence[tuple[CeilingRow, float | None]],
    clock: Clock,
) -> ModelCeilings:
    rows, model = [row for row, _ in measured], bench.ground.model
    return ModelCeilings(
        schema_version=SCHEMA_VERSION,
        provenance=provenance_of(
            model,
            seed=settings.seed,
            generic_sha256=bench.ground.text.sha256,
            reference=bench.ground.reference.name,
        ),
        model=model_entry(model),
        plan=CeilingPlan(
            neurons=settings.neurons,
            horizon=settings.horizon,
            openings=len(bench.prompts),
            seed=settings.seed,
        ),
        predictions_sha256=sha256,
        scores=method_scores(rows, settings.seed),
        noise_floor=noise_floor(rows),
        kl_at_ceiling=kl_at_ceiling(rows),
        kl_95=median_nats([nats for _, nats in measured]),
        rows=tuple(rows),
        timing=clock.timing(),
    )
