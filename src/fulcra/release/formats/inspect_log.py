"""Every rollout of a run with its judged outcome as Inspect `.eval` logs, one a stage."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fulcra.errors import InputError
from fulcra.protocol.recheck.blocks import known_behavior
from fulcra.protocol.records import Record
from fulcra.release.figures import figures
from fulcra.release.finished import FinishedRun
from fulcra.store import AUDIT, empty_folder

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalResults, EvalSample

SCORER = "fulcra"
#: The stages whose prompts are those of the behavior; all others continue generic text.
SPLITS = ("selection", "confirmation")


def write_inspect_logs(run: FinishedRun, folder: Path) -> None:
    """Write a log a stage into an empty folder; InputError where inspect_ai is not installed.

    Words of a sensitive behavior are in no rollout of a run; its prompts are left out as well. The
    time inspect_ai takes grows with the square of the samples of one log, so stages stand apart.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError:
        raise InputError(
            "--as inspect: needs inspect_ai, which is not installed; pip install 'fulcra[inspect]'"
        ) from None
    empty_folder(folder).mkdir(parents=True, exist_ok=True)
    for stage in dict.fromkeys(record.stage for record in run.files.records):
        write_eval_log(inspect_log(run, stage), str(folder / f"{stage}.eval"))


def inspect_log(run: FinishedRun, stage: str) -> "EvalLog":
    """The log of one stage: a sample a rollout, its outcome as score; the figures as metrics."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSpec, EvalStats

    result = run.result
    written = datetime.fromtimestamp((run.files.folder / AUDIT).stat().st_mtime, UTC).isoformat()
    identity = f"{result.summary.commitment_sha256[:12]}{stage}"
    samples = list(_samples(run, stage))
    spec = EvalSpec(
        created=written,
        eval_id=identity,
        run_id=identity,
        task=f"fulcra_{result.behavior.name}_{stage}",
        task_id=identity,
        task_version=result.behavior.version,
        dataset=EvalDataset(name=result.behavior.name, samples=len(samples)),
        model=f"fulcra/{Path(result.model.name).name}",
        config=EvalConfig(),
        packages={"fulcra": result.provenance.fulcra},
        metadata={
            "model_sha256": result.model.sha256,
            "behavior_sha256": result.behavior.sha256,
            "commitment_sha256": result.summary.commitment_sha256,
        },
    )
    return EvalLog(
        status="success",
        eval=spec,
        results=_results(run, samples),
        stats=EvalStats(started_at=written, completed_at=written),
        samples=samples,
    )


def _samples(run: FinishedRun, stage: str) -> Iterator["EvalSample"]:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Score

    texts, horizon = _prompts(run), run.evidence.verdict_horizon
    model = Path(run.result.model.name).name
    repeats: Counter[str] = Counter()
    for record in (record for record in run.files.records if record.stage == stage):
        name = f"{record.stage}/{record.branch}/{record.op}={record.dose:g}/{record.prompt}"
        repeats[name] += 1
        outcome = record.at(horizon)
        evidence = {
            "tokens": record.tokens,
            "ended": record.ended,
            "distinct": record.distinct,
            "surprised": record.surprised,
            "by_horizon": dict(zip(map(str, record.horizons), record.outcomes, strict=True)),
        }
        labels = {"outcome": outcome, "flipped": float(record.flipped(horizon))}
        yield EvalSample(
            id=name,
            epoch=repeats[name],
            input=texts.get(record.prompt, f"[prompt {record.prompt}]"),
            target="",
            output=ModelOutput.from_content(model, _words(record)),
            scores={SCORER: Score(value=labels, explanation=outcome, metadata=evidence)},
            metadata={
                "stage": record.stage,
                "branch": record.branch,
                "op": record.op,
                "dose": record.dose,
                "prompt": record.prompt,
                "text_hash": record.text_hash,
            },
        )


def _words(record: Record) -> str:
    """The completion, or in its place that it is sealed, with its length and salted hash."""
    return record.text or f"[sealed: {record.tokens} tokens, hash {record.text_hash}]"


def _prompts(run: FinishedRun) -> Mapping[str, str]:
    """The prompts by their ids, where the behavior is at hand and not sensitive."""
    if run.result.behavior.sensitive:
        return {}
    behavior = known_behavior(run.files)
    if behavior is None or behavior.sensitive:
        return {}
    return {prompt.id: prompt.text for name in SPLITS for prompt in getattr(behavior, name)}


def _results(run: FinishedRun, samples: list["EvalSample"]) -> "EvalResults":
    """The run's figures as metrics of its one scorer."""
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    metrics = {
        figure.name: EvalMetric(
            name=figure.name,
            value=figure.value,
            metadata={"low": figure.low, "high": figure.high, "n": figure.n},
        )
        for figure in figures(run)
        if figure.value is not None
    }
    score = EvalScore(name=SCORER, scorer=SCORER, metrics=metrics)
    count = len(samples)
    return EvalResults(total_samples=count, completed_samples=count, scores=[score])
