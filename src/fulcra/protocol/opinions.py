"""Judges asked about the same completions: who may see them, what each finds, who agrees."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import NamedTuple

from fulcra.errors import InputError
from fulcra.formulas.agreement import cohen_kappa, krippendorff_alpha
from fulcra.formulas.intervals import wilson
from fulcra.judges.cached import Cached
from fulcra.judges.judge import Judge, Price, Usage
from fulcra.protocol.completions import Completions, Cut
from fulcra.protocol.progress import Clock, Progress
from fulcra.protocol.results.judging import (
    RUN,
    Disagreement,
    JudgeAgreement,
    JudgeEntry,
    PairAgreement,
    PriceEntry,
    Rate,
    Share,
    UsageEntry,
)
from fulcra.types import FLIPS, OUTCOMES, Behavior, Finding

#: What every judge calls each of some completions; None where it is unscored.
Labels = Mapping[str, Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Panel:
    """The judges to ask, what they cost by name, and whether sensitive words may leave here."""

    judges: tuple[Judge, ...] = ()
    send_sensitive: bool = False
    prices: Mapping[str, Price] = field(default_factory=dict)

    def seated(self, behavior: Behavior, salt: str) -> "Panel":
        """The panel as it may be asked about a behavior, answers of models kept on disk.

        Of a sensitive behavior they are kept without words. InputError where two judges share a
        name, one cannot read the behavior, or words would leave this machine without leave.
        """
        names = Counter(judge.name for judge in self.judges)
        for judge in self.judges:
            if names[judge.name] > 1:
                raise InputError(
                    f"--judge {judge.name}: two judges have this name; ask one of them in a call of"
                    " its own"
                )
        for judge in self.judges:
            judge.require(behavior)
            if behavior.sensitive and judge.remote and not self.send_sensitive:
                raise InputError(
                    f"--judge {judge.name}: the words of {behavior.name} are sensitive and it is"
                    " not on this machine; take a judge that is, or add --send-sensitive-text"
                )
        own_salt = salt if behavior.sensitive else None
        seats = (Cached(judge, own_salt) if judge.cached else judge for judge in self.judges)
        return replace(self, judges=tuple(seats))

    def opinions(self, completions: Completions, clock: Clock) -> "Opinions":
        """What every judge finds of the completions, asked one judge after the other."""
        opinions = []
        for judge in self.judges:
            with clock.step(judge.name, len(completions.items)) as bar:
                opinions.append(opinion_of(judge, completions, bar))
        return Opinions(completions, tuple(opinions), self.prices)


class Opinion(NamedTuple):
    """What one judge found of every completion, in their order, and what asking it cost."""

    judge: Judge
    findings: tuple[Finding, ...]
    usage: Usage

    def outcome(self, cut: Cut) -> str:
        """The judge's outcome of a rollout: the run's own where the judge was not asked."""
        return cut.outcome if cut.item is None else self.label(cut.item) or "unscored"

    def label(self, item: int) -> str | None:
        """What the judge calls one completion; None where it is unscored."""
        value = self.findings[item].value
        return None if value is None else str(value)


def opinion_of(judge: Judge, completions: Completions, bar: Progress) -> Opinion:
    """One finding a completion; of a sensitive behavior without its quote."""
    behavior, items = completions.behavior, completions.items
    before, findings = judge.usage, [Finding(None, "not asked")] * len(items)
    for i, finding in judge(behavior, items):
        findings[i] = replace(finding, quote="") if behavior.sensitive else finding
        bar.advance(1)
    return Opinion(judge, tuple(findings), judge.usage.since(before))


class Opinions(NamedTuple):
    """What the run and all judges say of the same completions; never averaged."""

    completions: Completions
    opinions: tuple[Opinion, ...]
    prices: Mapping[str, Price]

    @property
    def outcomes(self) -> dict[str, Callable[[Cut], str]]:
        """The outcome of a rollout by the run and by every judge."""
        return {RUN: _own, **{each.judge.name: each.outcome for each in self.opinions}}

    def shares(self, cuts: Sequence[Cut]) -> dict[str, Share]:
        """How often each outcome was given to some rollouts, by the run and by every judge."""
        return {name: share(map(outcome, cuts)) for name, outcome in self.outcomes.items()}

    def labels(self, horizon: int) -> dict[str, list[str | None]]:
        """What the run and every judge call each completion of one horizon."""
        cuts = self.completions.at(horizon)
        labels: dict[str, list[str | None]] = {RUN: [cut.outcome for cut in cuts.values()]}
        for each in self.opinions:
            labels[each.judge.name] = [each.label(item) for item in cuts]
        return labels

    def entries(self) -> list[JudgeEntry]:
        """Who the judges are, what they scored and what they cost, the run first."""
        prices = self.prices
        judges = (judge_entry(each, prices.get(each.judge.name)) for each in self.opinions)
        return [JudgeEntry(name=RUN), *judges]

    def agreement(self) -> list[JudgeAgreement]:
        """How far the run and the judges agree, at every horizon."""
        horizons = self.completions.horizons
        return [agreement(self.labels(horizon), horizon) for horizon in horizons]

    def disagreements(self) -> list[Disagreement]:
        """Every completion on which two judges that scored it differ, horizon by horizon."""
        rows = []
        for horizon in self.completions.horizons:
            labels = self.labels(horizon)
            for place, cut in enumerate(self.completions.at(horizon).values()):
                outcomes = {name: column[place] for name, column in labels.items()}
                if len({label for label in outcomes.values() if label is not None}) > 1:
                    rows.append(_disagreement(cut, outcomes))
        return rows


def _own(cut: Cut) -> str:
    return cut.outcome


def _disagreement(cut: Cut, outcomes: dict[str, str | None]) -> Disagreement:
    record = cut.record
    return Disagreement(
        horizon=cut.horizon,
        stage=record.stage,
        branch=record.branch,
        op=record.op,
        dose=record.dose,
        prompt=record.prompt,
        text_hash=record.text_hash,
        outcomes=outcomes,
    )


def judge_entry(opinion: Opinion, price: Price | None) -> JudgeEntry:
    """Who a judge is, what it left unscored and why, and what it cost; money where it has a price.

    Answers from disk cost nothing.
    """
    judge, findings = opinion.judge, opinion.findings
    reasons = Counter(finding.evidence for finding in findings if finding.value is None)
    return JudgeEntry(
        name=judge.name,
        identity=dict(judge.identity),
        scored=sum(finding.value is not None for finding in findings),
        unscored=dict(reasons.most_common()),
        usage=UsageEntry(**opinion.usage._asdict()),
        from_disk=judge.hits if isinstance(judge, Cached) else 0,
        price=None if price is None else PriceEntry(**price._asdict()),
        cost=None if price is None else price.of(opinion.usage),
    )


def share(outcomes: Iterable[str]) -> Share:
    """How often each outcome was given, and the rate of flips among the rollouts scored."""
    counts = Counter(outcomes)
    flipped = sum(counts[outcome] for outcome in FLIPS)
    flips = wilson(flipped, counts.total() - counts["unscored"])
    by_outcome: dict[str, int] = {outcome: counts[outcome] for outcome in OUTCOMES}
    return Share(counts=by_outcome, flips=Rate(**flips._asdict()))


def agreement(labels: Labels, horizon: int) -> JudgeAgreement:
    """Kappa of every two judges on what both scored and alpha of all, on outcomes and on flips."""
    units = list(zip(*labels.values(), strict=True))
    flips = [[None if label is None else label in FLIPS for label in unit] for unit in units]
    return JudgeAgreement(
        horizon=horizon,
        pairs=tuple(_pair(labels, *names) for names in combinations(labels, 2)),
        alpha=krippendorff_alpha(units),
        alpha_flip=krippendorff_alpha(flips),
    )


def _pair(labels: Labels, first: str, second: str) -> PairAgreement:
    both = [
        (a, b)
        for a, b in zip(labels[first], labels[second], strict=True)
        if a is not None and b is not None
    ]
    ours, theirs = [a for a, _ in both], [b for _, b in both]
    return PairAgreement(
        judges=(first, second),
        n=len(both),
        same=sum(a == b for a, b in both),
        kappa=cohen_kappa(ours, theirs),
        kappa_flip=cohen_kappa([a in FLIPS for a in ours], [b in FLIPS for b in theirs]),
    )
