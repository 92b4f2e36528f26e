"""Running trials and judging them at every horizon; an interrupted measurement goes on where its
last part stands.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import pyarrow as pa

from fulcra.engines.local import run_shards
from fulcra.judges.coherence import coherent
from fulcra.judges.outcome import judge_rollout
from fulcra.models import Model
from fulcra.models.chat import shared_start
from fulcra.protocol import Record, Trial, text_hash, told
from fulcra.protocol.redaction import TEXTS_SCHEMA, kept_rows
from fulcra.protocol.subject import Ground, opening_forgiven, surprises
from fulcra.store import PRIVATE, RunFolder, cache_folder, digest, read_rows, write_rows
from fulcra.types import Behavior, Judgement, Rollout

#: Trials judged and stored together.
PART = 3072
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("stage", "branch", "op")),
        ("dose", pa.float64()),
        ("prompt", pa.string()),
        ("horizons", pa.list_(pa.int64())),
        ("outcomes", pa.list_(pa.string())),
        ("tokens", pa.int64()),
        ("ended", pa.bool_()),
        ("distinct", pa.float64()),
        ("surprised", pa.float64()),
        ("grammatical", pa.bool_()),
        ("text", pa.string()),
        ("text_hash", pa.string()),
        ("cuts", pa.list_(pa.int64())),
    ]
)
Advance = Callable[[int], None]


def record_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Records as rows of the rollout table."""
    return [record._asdict() for record in records]


def records_of(rows: Sequence[dict[str, Any]]) -> list[Record]:
    """Records from rows of the rollout table."""
    return [
        Record(
            **row | {name: tuple(row.get(name) or ()) for name in ("horizons", "outcomes", "cuts")}
        )
        for row in rows
    ]


def reply_after(trial: Trial, rollout: Rollout) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(prompt, reply) of a trial, without and with what was prefilled."""
    return trial.request.prompt[: len(trial.request.prompt) - len(trial.prefilled)], rollout.tokens


@final
class Measurement:
    """Turns trials into records: rolls them out, reads every horizon, judges, stores.

    With `keep_text`, the words of a sensitive behavior go beside every part into a private one.
    """

    def __init__(
        self,
        model: Model,
        behavior: Behavior,
        ground: Ground,
        horizons: Sequence[int],
        folder: RunFolder | None,
        salt: str,
        keep_text: bool = False,
    ) -> None:
        self.model, self.behavior, self.ground, self.horizons = (
            model,
            behavior,
            ground,
            tuple(horizons),
        )
        self.folder, self.salt = folder, salt
        self.keep_text = keep_text and behavior.sensitive and folder is not None
        self._texts: dict[str, str] = {}
        self._surprise: dict[tuple[tuple[int, ...], tuple[int, ...]], list[float]] = {}

    def __call__(
        self, name: str, trials: Sequence[Trial], advance: Advance = lambda done: None
    ) -> list[Record]:
        """The records of `trials`, in their order, part by part; `advance` is told of finished
        rollouts.
        """
        records: list[Record] = []
        for number, start in enumerate(range(0, len(trials), PART)):
            some = trials[start : start + PART]
            path = self.folder.part(f"{name}-{number}") if self.folder is not None else None
            if path is not None and path.exists():
                records += records_of(read_rows(path))
                advance(len(some))
                continue
            part = list(self.judge(some, self.roll(some, advance)))
            if path is not None:
                self._keep_texts(path.stem)
                write_rows(path, record_rows(part), SCHEMA)
            records += part
        return records

    def _keep_texts(self, part: str) -> None:
        """Write the words of a part before its rows: a part that stands has its words."""
        if self.keep_text and self.folder is not None:
            write_rows(
                self.folder.text_part(part), kept_rows(self._texts.items()), TEXTS_SCHEMA, PRIVATE
            )
            self._texts.clear()

    def roll(self, trials: Sequence[Trial], advance: Advance = lambda done: None) -> list[Rollout]:
        """The whole reply of every trial, what was prefilled at its beginning; nothing is judged or
        stored.
        """
        rollouts: dict[int, Rollout] = {}
        for shard in run_shards(self.model, [trial.request for trial in trials]):
            rollouts.update(shard)
            advance(len(shard))
        return [
            Rollout(trial.prefilled + rollouts[i].tokens, rollouts[i].ended, rollouts[i].finite)
            for i, trial in enumerate(trials)
        ]

    def judge(self, trials: Sequence[Trial], said: Sequence[Rollout]) -> Iterator[Record]:
        """The record of every trial and its reply."""
        keys = [reply_after(trial, rollout) for trial, rollout in zip(trials, said, strict=True)]
        new = [key for key in dict.fromkeys(keys) if key not in self._surprise and key[1]]
        self._surprise.update(zip(new, surprises(self.ground.reference, new), strict=True))
        openings = {
            prompt: [self.model.reply_ids(words) for words in prompt.target_openings]
            for prompt in {trial.prompt for trial in trials}
        }
        for trial, rollout, key in zip(trials, said, keys, strict=True):
            yield self._record(
                trial,
                rollout,
                opening_forgiven(
                    self._surprise.get(key, []), rollout.tokens, openings[trial.prompt]
                ),
            )

    def _record(self, trial: Trial, rollout: Rollout, surprise: list[float]) -> Record:
        cuts = [rollout.cut(horizon) for horizon in self.horizons]
        texts = [self.model.words(cut.tokens) for cut in cuts]
        judged = [
            self._judge(trial, cut, text, surprise[: len(cut.tokens)])
            for cut, text in zip(cuts, texts, strict=True)
        ]
        last, kept = judged[-1], told(texts[-1], self.behavior.sensitive, self.salt)
        if self.keep_text:
            self._texts[kept.text_hash] = texts[-1]
        return Record(
            trial.stage,
            trial.branch,
            trial.op,
            trial.dose,
            trial.prompt.id,
            self.horizons,
            tuple(j.outcome for j in judged),
            len(rollout.tokens),
            rollout.ended,
            last.distinct,
            last.surprised,
            last.grammatical,
            kept.text,
            kept.text_hash,
            tuple(shared_start([text, texts[-1]]) for text in texts),
        )

    def _judge(self, trial: Trial, cut: Rollout, text: str, surprise: list[float]) -> Judgement:
        if trial.stage != "ceiling":
            return judge_rollout(
                self.behavior, trial.prompt, cut, text, surprise, self.ground.standard
            )
        sound, distinct, surprised = (
            coherent(cut.tokens, surprise, self.ground.standard, cut.ended)
            if cut.finite
            else (None, None, None)
        )
        return Judgement(
            "unscored" if sound is None else "off_topic" if sound else "collapse",
            distinct,
            surprised,
        )


#: What the records of controls depend on, out of a commitment's plan.
_PLAN = (
    "model_sha256",
    "dtype",
    "behavior_sha256",
    "code",
    "gains",
    "horizons",
    "coherence",
    "reference",
)


def measured_controls(
    measure: Measurement, content: Mapping[str, Any], trials: Sequence[Trial], advance: Advance
) -> list[Record]:
    """The records of the control trials, from the cache where they were measured before; a
    sensitive behavior is never cached.
    """
    if measure.behavior.sensitive:
        return measure("control", trials, advance)
    plan = content["plan"]
    depends = [*(plan[name] for name in _PLAN), plan["settings"]["seed"], content["controls"]]
    path = cache_folder() / "controls" / f"{digest(depends)}.parquet"
    if path.exists():
        advance(len(trials))
        return [
            record._replace(text_hash=text_hash(measure.salt, record.text))
            for record in records_of(read_rows(path))
        ]
    records = measure("control", trials, advance)
    write_rows(path, record_rows(records), SCHEMA)
    return records
