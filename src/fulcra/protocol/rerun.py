"""A random sample of a finished run's rollouts, rolled again with its model and compared."""

import random
import re
from collections.abc import Sequence
from math import comb
from pathlib import Path
from typing import NamedTuple

from fulcra.errors import InputError
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.provenance import code_version
from fulcra.protocol.recheck.digests import SHORT
from fulcra.protocol.recheck.run_files import RunCheck, RunFiles, read_run
from fulcra.protocol.records import Record
from fulcra.protocol.redaction import salt_of
from fulcra.protocol.replay import Replay
from fulcra.protocol.source import Sources, reopened_behaviors, reopened_model
from fulcra.protocol.subject import Subject, reference_named
from fulcra.store import SALT

#: Shares of forged rollouts whose chance of being noticed is told.
FORGED = (0.001, 0.01, 0.05)
#: What two rollings may differ by in the share of surprising tokens: float noise at its threshold.
NEAR = 0.02
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")


class Difference(NamedTuple):
    """A rollout that came out otherwise: its place in the run, its name, and what differs."""

    row: int
    name: str
    fields: tuple[str, ...]


class Rerun(NamedTuple):
    """What came of rolling a sample again; `compared` says which fields, `model` whose weights.

    `sealed` is whether the sample was drawn by the root of a seal, `same_code` whether the code is
    the one that made the run.
    """

    rows: int
    sample: int
    differences: tuple[Difference, ...]
    compared: tuple[str, ...]
    model: str
    sealed: bool
    same_code: bool

    @property
    def passed(self) -> bool:
        """Whether every rollout came out as it is stored."""
        return not self.differences

    @property
    def checks(self) -> list[RunCheck]:
        """A check of each rollout that came out otherwise, and one of the sample."""
        faults = [
            RunCheck(f"rollout {each.row}", False, f"{each.name}: other {', '.join(each.fields)}")
            for each in self.differences
        ]
        drawn = "the root and --seed" if self.sealed else "the commitment and --seed (no seal)"
        code = "" if self.same_code else ", by other code than the run's"
        chances = ", ".join(f"{share:.1%}: {chance:.1%}" for share, chance in self.chances.items())
        detail = (
            f"{self.sample:,} of {self.rows:,} drawn by {drawn}, with the weights"
            f" {self.model[:SHORT]}{code}: {self.sample - len(faults):,} alike in"
            f" {', '.join(self.compared)}; chance that a share of forged rollouts has one in such a"
            f" sample, {chances}"
        )
        return [*faults, RunCheck("rollouts again", self.passed, detail)]

    @property
    def chances(self) -> dict[float, float]:
        """The chance that a share of forged rollouts has one in the sample, by share."""
        return {share: noticed(self.rows, self.sample, share) for share in FORGED}


def noticed(rows: int, sample: int, share: float) -> float:
    """The chance that `sample` of `rows` rows hold one of a forged share (of at least one row)."""
    forged = max(1, round(share * rows))
    return 1.0 - comb(rows - forged, sample) / comb(rows, sample)


def sample_size(text: str, rows: int) -> int:
    """How many of `rows` rollouts "1%" or "40" asks for, at least one; InputError if neither."""
    share = _SHARE.fullmatch(text)
    if share is not None and 0 < float(share[1]) <= 100:
        return max(1, round(rows * float(share[1]) / 100))
    if re.fullmatch(r"[1-9]\d{0,8}", text):
        return min(int(text), rows)
    raise InputError(f"--rerun {text[:40]}: expected a share such as 1% or a number such as 40")


def rerun(
    folder: Path,
    size: str = "1%",
    seed: int = 0,
    sources: Sources = Sources(),
    progress: Progress | None = None,
) -> Rerun:
    """A sample of the run's rollouts, drawn by its root and `seed`, rolled again and compared.

    `size` is a share or a number. InputError where the model or the behavior of the run is gone or
    has another hash. Cost: the clean ground, and the rollouts of the sample.
    """
    sample_size(size, 1)
    run = read_run(folder)
    count = sample_size(size, len(run.records))
    drawn = sorted(random.Random(f"{_root(run)} {seed}").sample(range(len(run.records)), count))
    again = _rolled(run, [run.records[i] for i in drawn], sources, Clock(progress or Silent()))
    fields = _compared(run)
    pairs = ((i, run.records[i], made) for i, made in zip(drawn, again, strict=True))
    differences = (_difference(i, stored, made, fields) for i, stored, made in pairs)
    return Rerun(
        rows=len(run.records),
        sample=count,
        differences=tuple(each for each in differences if each.fields),
        compared=fields,
        model=run.result.model.sha256,
        sealed=run.seal is not None,
        same_code=run.result.provenance.code == code_version(),
    )


def _root(run: RunFiles) -> str:
    """What the sample is drawn by: the root of the seal, else the hash of the commitment."""
    return str(run.stored["sha256"]) if run.seal is None else run.seal.made_root


def _compared(run: RunFiles) -> tuple[str, ...]:
    """The fields that are compared; hashes of words alone where their salt is at hand."""
    cut = all(record.cuts for record in run.records)
    salted = run.seal is not None and SALT in run.seal.files
    hashed = not salted or (run.folder / SALT).is_file()
    fields = ("tokens", "ended", "outcomes", "distinct", "surprised", "grammatical")
    return (*fields, *(("cuts",) if cut else ()), *(("text_hash",) if hashed else ()))


def _rolled(
    run: RunFiles, records: Sequence[Record], sources: Sources, clock: Clock
) -> list[Record | None]:
    """The records of the same trials, rolled and judged again; None where the plan has no trial."""
    plan = run.content.plan
    model = reopened_model(run.folder, sources)
    (behavior,) = reopened_behaviors([run.folder], sources.behaviors)
    with clock.step("clean ground", 0):
        judge = reference_named(model, behavior, plan.reference)
        subject = Subject.of(model, behavior, plan.settings["seed"], judge)
        replay = Replay(subject, run.content)
        trials = [replay.trial(record) for record in records]
    measure = Measurement(subject, plan.horizons, salt=salt_of(run.folder))
    planned = [trial for trial in trials if trial is not None]
    with clock.step("rollouts again", len(planned)) as bar:
        made = iter(measure("again", planned, bar.advance))
    return [None if trial is None else next(made) for trial in trials]


def _difference(row: int, stored: Record, made: Record | None, fields: Sequence[str]) -> Difference:
    """Which fields of a rollout differ; "trial" where the plan has none like it."""
    name = f"{stored.stage} {stored.branch} {stored.op} {stored.dose:g} {stored.prompt}"
    if made is None:
        return Difference(row, name, ("trial",))
    unlike = (field for field in fields if not _alike(getattr(stored, field), getattr(made, field)))
    return Difference(row, name, tuple(unlike))


def _alike(stored: object, made: object) -> bool:
    if isinstance(stored, float) and isinstance(made, float):
        return abs(stored - made) <= NEAR
    return stored == made
