"""Judges asked about the same completions: who may see them, what each found and cost, how far they
agree.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

from fulcra.behaviors.splits import prompt_sets
from fulcra.errors import InputError
from fulcra.formulas.agreement import cohen_kappa, krippendorff_alpha
from fulcra.formulas.intervals import wilson
from fulcra.judges.cached import Cached
from fulcra.judges.judge import Item, Judge, Price, Usage
from fulcra.protocol.progress import Progress
from fulcra.protocol.records import Record
from fulcra.types import FLIPS, OUTCOMES, Behavior, Finding

#: The outcomes that a run gave by itself, as one more judge.
RUN = "run"
Labels = Mapping[str, Sequence[Any]]


class Cut(NamedTuple):
    """A rollout as it stood at one horizon; `item` is its completion among those judges are asked
    about, None without one.
    """

    record: Record
    horizon: int
    item: int | None

    @property
    def outcome(self) -> str:
        """The run's own outcome."""
        return self.record.at(self.horizon)


class Completions(NamedTuple):
    """Rollouts at their horizons, and the distinct completions among them.

    Judges are not asked about what is unscored or collapsed: degenerate text is collapse whatever
    it says.
    """

    behavior: Behavior
    cuts: tuple[Cut, ...]
    items: tuple[Item, ...]

    def at(self, horizon: int) -> dict[int, Cut]:
        """The completions of one horizon, each with the first rollout that said it."""
        found: dict[int, Cut] = {}
        for cut in self.cuts:
            if cut.horizon == horizon and cut.item is not None:
                found.setdefault(cut.item, cut)
        return dict(sorted(found.items()))


def completions_of(
    behavior: Behavior, records: Iterable[Record], horizons: Sequence[int], words: Mapping[str, str]
) -> Completions:
    """The completions of some records at each horizon; `words` has their texts by hash."""
    prompts = {prompt.id: prompt for some in prompt_sets(behavior).values() for prompt in some}
    cuts, items = [], dict[tuple[str, str, bool], int]()
    for record in records:
        for horizon in horizons:
            said = (
                (record.prompt, *record.cut_at(horizon, words[record.text_hash]))
                if record.coherent(horizon)
                else None
            )
            cuts.append(
                Cut(record, horizon, None if said is None else items.setdefault(said, len(items)))
            )
    return Completions(
        behavior,
        tuple(cuts),
        tuple(Item(prompts[name], text, ended) for name, text, ended in items),
    )


def seated(
    judges: Sequence[Judge], behavior: Behavior, salt: str, send_sensitive: bool = False
) -> list[Judge]:
    """The judges as they may be asked about a behavior: answers of models are kept on disk, of a
    sensitive one without words.

    InputError where two share a name, one cannot read the behavior, or words would leave this
    machine unasked.
    """
    if twice := [
        name for name, count in Counter(judge.name for judge in judges).items() if count > 1
    ]:
        raise InputError(
            f"--judge {twice[0]}: two judges have this name; ask one of them in a call of its own"
        )
    for judge in judges:
        judge.require(behavior)
        if behavior.sensitive and judge.remote and not send_sensitive:
            raise InputError(
                f"--judge {judge.name}: the words of {behavior.name} are sensitive and it is not on"
                " this machine; take a judge that is, or add --send-sensitive-text"
            )
    return [
        Cached(judge, salt if behavior.sensitive else None) if judge.cached else judge
        for judge in judges
    ]


class Opinion(NamedTuple):
    """What one judge found of every completion, in their order, and what asking it cost."""

    judge: Judge
    findings: tuple[Finding, ...]
    usage: Usage

    def outcome(self, cut: Cut) -> str:
        """The judge's outcome of a rollout: the run's own where it was not asked."""
        return cut.outcome if cut.item is None else str(self.findings[cut.item].value or "unscored")


def opinion(judge: Judge, found: Completions, bar: Progress) -> Opinion:
    """One finding a completion; of a sensitive behavior without its quote."""
    before, findings = judge.usage, [Finding(None, "not asked")] * len(found.items)
    for i, finding in judge(found.behavior, found.items):
        findings[i] = replace(finding, quote="") if found.behavior.sensitive else finding
        bar.advance(1)
    return Opinion(judge, tuple(findings), judge.usage.since(before))


def judge_entry(given: Opinion, price: Price | None) -> dict[str, Any]:
    """Who a judge is, what it left unscored and why, and what it cost: requests, tokens and, at a
    price, money.
    """
    judge, findings = given.judge, given.findings
    return {
        "name": judge.name,
        "identity": dict(judge.identity),
        "scored": sum(finding.value is not None for finding in findings),
        "unscored": dict(
            Counter(finding.evidence for finding in findings if finding.value is None).most_common()
        ),
        "usage": given.usage._asdict(),
        "from_disk": judge.hits if isinstance(judge, Cached) else 0,
        "price": None if price is None else price._asdict(),
        "cost": None if price is None else price.of(given.usage),
    }


def share(outcomes: Iterable[str]) -> dict[str, Any]:
    """How often each outcome was found, and the share of flips among the rollouts that were
    scored.
    """
    counts = Counter(outcomes)
    flips = wilson(sum(counts[outcome] for outcome in FLIPS), counts.total() - counts["unscored"])
    return {"counts": {outcome: counts[outcome] for outcome in OUTCOMES}, "flips": flips._asdict()}


def labels_at(found: Completions, opinions: Sequence[Opinion], horizon: int) -> Labels:
    """What the run and every judge call each completion of one horizon; None where it is
    unscored.
    """
    cuts = found.at(horizon)
    return {RUN: [cut.outcome for cut in cuts.values()]} | {
        one.judge.name: [one.findings[i].value for i in cuts] for one in opinions
    }


def agreement(labels: Labels) -> dict[str, Any]:
    """Kappa of every two judges on the completions that both scored and alpha of all, on outcomes
    and on flips alone.
    """
    pairs = []
    for one, other in combinations(labels, 2):
        both = [
            (a, b)
            for a, b in zip(labels[one], labels[other], strict=True)
            if a is not None and b is not None
        ]
        first, second = [a for a, _ in both], [b for _, b in both]
        flips = cohen_kappa([a in FLIPS for a in first], [b in FLIPS for b in second])
        same = sum(a == b for a, b in both)
        pairs.append(
            {
                "judges": [one, other],
                "n": len(both),
                "same": same,
                "kappa": cohen_kappa(first, second),
                "kappa_flip": flips,
            }
        )
    units = list(zip(*labels.values(), strict=True))
    flipped = [[None if label is None else label in FLIPS for label in unit] for unit in units]
    return {
        "pairs": pairs,
        "alpha": krippendorff_alpha(units),
        "alpha_flip": krippendorff_alpha(flipped),
    }


def disagreements(found: Completions, labels: Labels, horizon: int) -> list[dict[str, Any]]:
    """Every completion of one horizon on which two judges that scored it differ, by the first
    rollout that said it.
    """
    rows = []
    for place, cut in enumerate(found.at(horizon).values()):
        said = {name: given[place] for name, given in labels.items()}
        if len({label for label in said.values() if label is not None}) > 1:
            where = {
                name: getattr(cut.record, name)
                for name in ("stage", "branch", "op", "dose", "prompt", "text_hash")
            }
            rows.append({"horizon": horizon, **where, "outcomes": said})
    return rows
