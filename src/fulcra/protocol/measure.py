"""Trials rolled out, judged at every horizon and stored; an interrupted measurement goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Literal, final

from fulcra.engines.decoding import not_finite
from fulcra.engines.engine import run_shards, token_identity
from fulcra.engines.incidents import tell
from fulcra.judges.coherence import coherent
from fulcra.judges.outcome import judge_rollout
from fulcra.models.chat import shared_start
from fulcra.protocol.curtail import Key
from fulcra.protocol.records import CEILING, SCHEMA, Record, record_rows, records_of
from fulcra.protocol.redaction import TEXTS_SCHEMA, kept_rows, private_salt, text_hash, told
from fulcra.protocol.results.commitment import Commitment
from fulcra.protocol.results.rollouts import Shard
from fulcra.protocol.schedule import happened, schedule
from fulcra.protocol.shards import store_shard, stored_shard
from fulcra.protocol.subject import PromptAndReply, Subject, opening_forgiven, surprises
from fulcra.protocol.trials import Trial
from fulcra.store import PRIVATE, RunFolder, cache_folder, digest, read_rows, write_rows
from fulcra.types import CeilingOutcome, Judgement, Prompt, Rollout

#: Trials judged and stored together.
PART = 3072
#: What becomes of the words of a sensitive behavior.
Texts = Literal["redacted", "private", "memory"]
Advance = Callable[[int], None]


def reply_after(trial: Trial, rollout: Rollout) -> PromptAndReply:
    """(prompt, reply) of a trial, without and with what was prefilled."""
    prompt = trial.request.prompt
    return prompt[: len(prompt) - len(trial.prefilled)], rollout.tokens


@final
class Measurement:
    """Turns trials into records: rolls them out, reads every horizon, judges, stores.

    `texts` says what becomes of the words of a sensitive behavior: "redacted" leaves their hash,
    with the folder's own salt in place of `salt`; "private" keeps them beside it in a file of the
    run that only its owner reads; "memory" leaves them in the records, which are then never stored
    (protocol/redaction.py). `shards` lists what stands in the folder, in the order of measurement.
    """

    def __init__(
        self,
        subject: Subject,
        horizons: Sequence[int] | None = None,
        folder: RunFolder | None = None,
        salt: str = "",
        texts: Texts = "redacted",
    ) -> None:
        if texts == "memory" and folder is not None:
            raise ValueError("texts stay in memory, so nothing may be stored: give no folder")
        self.subject, self.folder = subject, folder
        self.horizons = (subject.behavior.horizon,) if horizons is None else tuple(horizons)
        self.redacted = subject.behavior.sensitive and texts != "memory"
        self.salt = private_salt(folder.path) if folder and self.redacted else salt
        self.keep_text = subject.behavior.sensitive and texts == "private" and folder is not None
        self.shards: list[Shard] = []
        self._texts: dict[str, str] = {}
        self._surprise: dict[PromptAndReply, list[float]] = {}

    def __call__(
        self,
        name: str,
        trials: Sequence[Trial],
        advance: Advance = lambda done: None,
        passing: bool = False,
    ) -> list[Record]:
        """The records of `trials`, in order, part by part; `advance` hears of finished rollouts.

        Parts that are `passing` are there to be taken up after an interruption, and not listed.
        """
        records: list[Record] = []
        for number, start in enumerate(range(0, len(trials), PART)):
            part = trials[start : start + PART]
            stored = self._stored(name, number, passing)
            if stored is None:
                rollouts = self.roll(part, advance)
                self._tell_broken(f"{name}-{number}", part, rollouts)
                stored = list(self.judge(part, rollouts))
                self._store(name, number, stored, passing)
            else:
                advance(len(part))
            records += stored
        return records

    def keep(self, name: str, records: Sequence[Record]) -> list[Record]:
        """Records that stand elsewhere, in another order or cached, now a step of this run, too."""
        for number, start in enumerate(range(0, len(records), PART)):
            if self._stored(name, number) is None:
                self._store(name, number, records[start : start + PART])
        return list(records)

    def _stored(self, name: str, number: int, passing: bool = False) -> list[Record] | None:
        """The records of a part that stands; None where it is still to be measured."""
        stored = None
        if self.folder is not None:
            stored = stored_shard(self.folder.parts if passing else self.folder.path, name, number)
        if stored is None:
            return None
        self.shards += [] if passing else [stored.shard]
        return records_of(stored.rows)

    def _store(
        self, name: str, number: int, records: Sequence[Record], passing: bool = False
    ) -> None:
        """Write the words of a part, then its rows: a part that stands has its words."""
        if self.folder is None:
            return
        if self.keep_text:
            rows = kept_rows(self._texts.items())
            write_rows(self.folder.text_part(f"{name}-{number}"), rows, TEXTS_SCHEMA, PRIVATE)
            self._texts.clear()
        place = self.folder.parts if passing else self.folder.path
        shard = store_shard(place, name, number, records)
        self.shards += [] if passing else [shard]

    def roll(self, trials: Sequence[Trial], advance: Advance = lambda done: None) -> list[Rollout]:
        """The whole reply of every trial, prefilled tokens first; nothing is judged or stored."""
        rollouts: dict[int, Rollout] = {}
        for shard in run_shards(self.subject.model, [trial.request for trial in trials]):
            rollouts.update(shard)
            advance(len(shard))
        return [
            replace(rollouts[i], tokens=trial.prefilled + rollouts[i].tokens)
            for i, trial in enumerate(trials)
        ]

    def _tell_broken(self, part: str, trials: Sequence[Trial], rollouts: Sequence[Rollout]) -> None:
        """Tell of rollouts that met numbers that are not finite, before the part is stored."""
        requests = [trial.request for trial in trials]
        replies = [
            replace(rollout, tokens=rollout.tokens[len(trial.prefilled) :])
            for trial, rollout in zip(trials, rollouts, strict=True)
        ]
        if (met := not_finite(self.subject.model, requests, replies)) is not None:
            tell(met._replace(part=part))

    def judge(self, trials: Sequence[Trial], rollouts: Sequence[Rollout]) -> Iterator[Record]:
        """The record of every trial and its reply."""
        pairs = [reply_after(trial, reply) for trial, reply in zip(trials, rollouts, strict=True)]
        self._learn_surprise(pairs)
        openings = self._openings(trials)
        for trial, rollout, pair in zip(trials, rollouts, pairs, strict=True):
            surprise = self._surprise.get(pair, [])
            nats = opening_forgiven(surprise, rollout.tokens, openings[trial.prompt])
            yield self._record(trial, rollout, nats)

    def _learn_surprise(self, pairs: Sequence[PromptAndReply]) -> None:
        """Score the replies that were never scored before; an empty one has no surprise."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._surprise and pair[1]]
        scores = surprises(self.subject.ground.reference, new)
        self._surprise.update(zip(new, scores, strict=True))

    def _openings(self, trials: Sequence[Trial]) -> dict[Prompt, list[tuple[int, ...]]]:
        """The target openings of every prompt, in tokens."""
        model = self.subject.model
        return {
            prompt: [model.reply_ids(words) for words in prompt.target_openings]
            for prompt in {trial.prompt for trial in trials}
        }

    def _record(self, trial: Trial, rollout: Rollout, surprise: list[float]) -> Record:
        cuts = [rollout.cut(horizon) for horizon in self.horizons]
        texts = [self.subject.model.words(cut.tokens) for cut in cuts]
        judged = [
            self._judge(trial, cut, text, surprise[: len(cut.tokens)])
            for cut, text in zip(cuts, texts, strict=True)
        ]
        last, words = judged[-1], told(texts[-1], self.redacted, self.salt)
        if self.keep_text:
            self._texts[words.text_hash] = texts[-1]
        return Record(
            trial.stage,
            trial.branch,
            trial.op,
            trial.dose,
            trial.prompt.id,
            self.horizons,
            tuple(judgement.outcome for judgement in judged),
            len(rollout.tokens),
            rollout.ended,
            last.distinct,
            last.surprised,
            last.grammatical,
            words.text,
            words.text_hash,
            tuple(shared_start([text, texts[-1]]) for text in texts),
        )

    def _judge(self, trial: Trial, cut: Rollout, text: str, surprise: list[float]) -> Judgement:
        standard = self.subject.ground.standard
        if trial.stage != CEILING:
            behavior = self.subject.behavior
            return judge_rollout(behavior, trial.prompt, cut, text, surprise, standard)
        if not cut.finite:
            return Judgement("unscored")
        sound, distinct, surprised = coherent(cut.tokens, surprise, standard, cut.ended)
        outcome: CeilingOutcome = (
            "coherent" if sound else "unscored" if sound is None else "collapse"
        )
        return Judgement(outcome, distinct, surprised)


def measure_curtailed(
    measure: Measurement,
    trials: Sequence[Trial],
    content: Commitment,
    before: Sequence[Record],
    advance: Advance,
) -> list[Record]:
    """The records of those trials of one stage that decide it, in the order of `trials`.

    `before` are the records of the stages it depends on.
    """
    stage, ladders = trials[0].stage, dict[str, list[float]]()
    by_key = {Key(trial.branch, trial.dose, trial.prompt.id): trial for trial in trials}
    for branch, dose in dict.fromkeys((key.branch, key.dose) for key in by_key):
        ladders.setdefault(branch, []).append(dose)
    records: dict[Key, Record] = {}
    waves = count()

    def answers(keys: Sequence[Key]) -> list[bool]:
        wave = [by_key[key] for key in keys]
        rolled = measure(f"{stage}.{next(waves)}", wave, advance, passing=True)
        records.update(zip(keys, rolled, strict=True))
        return [happened(stage, record) for record in rolled]

    schedule(stage, ladders, content, before).keys(answers)
    return measure.keep(stage, [records[key] for key in by_key if key in records])


def cached_controls(
    measure: Measurement, depends: Sequence[object], roll: Callable[[], list[Record]]
) -> list[Record]:
    """The records of the control trials, from the cache where they were measured before.

    `depends` is all that they depend on, `roll` measures them; a sensitive behavior is never
    cached.
    """
    if measure.subject.behavior.sensitive:
        return roll()
    engine = token_identity(measure.subject.model)
    depends = [*depends, engine] if engine else list(depends)
    path = cache_folder() / "controls" / f"{digest(depends)}.parquet"
    if not path.exists():
        records = roll()
        # a run that read them back could not say where their numbers broke
        if not any(record.broken for record in records):
            write_rows(path, record_rows(records), SCHEMA)
        return records
    cached = records_of(read_rows(path, SCHEMA))
    salted = [r._replace(text_hash=text_hash(measure.salt, r.text)) for r in cached]
    return measure.keep("control", salted)
