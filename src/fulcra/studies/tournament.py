"""Every screen judged by what opens, on a census or a weighted sample (law.md section 7)."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa

from fulcra.behaviors import behavior_sha256
from fulcra.errors import BehaviorError, ModelError
from fulcra.models import Model
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Progress, cpu_seconds
from fulcra.protocol.provenance import code_version
from fulcra.protocol.records import Record
from fulcra.protocol.results.census import (
    Census,
    CensusResult,
    CensusSettings,
    MeasuredBranch,
    OpenCounts,
    read_census,
)
from fulcra.protocol.results.screen_scores import ContrastCheck, ScreenScore
from fulcra.protocol.results.screens import ScreensResult, TournamentSizes
from fulcra.protocol.runs import Manifest, Run, manifest_of, model_entry, named, provenance_of
from fulcra.protocol.subject import Subject, in_tokens_of
from fulcra.protocol.trials import pin_trials
from fulcra.screens.candidates import movable
from fulcra.screens.diagnostics import diagnose
from fulcra.screens.registry import ENTRANTS, Entrant
from fulcra.store import digest, read_rows, write_rows
from fulcra.studies.census import open_counts
from fulcra.studies.mechanism import layer_counts, mechanism
from fulcra.studies.screen_scoring import TOP, TOPS, Ranked, Relevance, pool_entry, score, stability
from fulcra.studies.staircase import DrawnBranch, climb_all
from fulcra.types import Behavior, Neuron, Ranking

#: The raw rankings whose first neurons are ordered again by a pin sweep (paper C's second step).
RERANKED = ("gradient", "gradient_paper")
#: Paper C sweeps 0 to 200 activation units; here multiples of the largest natural |activation|, on
#: both sides, and 0.
RERANK_MULTIPLES = (-8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
FIRST = 5
#: What a part of an unfinished tournament holds of one screen, a row a branch.
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("screen", "branch")),
        *((name, pa.float64()) for name in ("score", "seconds")),
    ]
)


@dataclass(frozen=True, slots=True)
class TournamentSettings:
    """The screens that enter, and how much is measured for them.

    `census`: the folder of a finished one; where there is none, `sample` random branches are
    measured beside each screen's top 32. `all_stability` runs sweeping screens on other prompts
    too. `swept`: how many neurons the sweeps of `entrants` look at, None where it is not bounded.
    """

    sample: int = 200
    seed: int = 0
    all_stability: bool = False
    entrants: tuple[Entrant, ...] = ENTRANTS
    swept: int | None = None
    census: Path | None = None

    @property
    def sizes(self) -> TournamentSizes:
        """The settings as a result holds them."""
        return TournamentSizes(
            sample=self.sample,
            seed=self.seed,
            all_stability=self.all_stability,
            swept=self.swept,
        )


class Truth(NamedTuple):
    """What opens: branch by branch, and in numbers."""

    kind: Literal["census", "sample"]
    counts: OpenCounts
    branches: list[MeasuredBranch]


def tournament(
    model: Model,
    behavior: Behavior,
    settings: TournamentSettings = TournamentSettings(),
    out: Path | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda warning: None,
) -> ScreensResult:
    """Each screen's scores, stability and cost, and the mechanism of what opens.

    With a census its truth, and its trigger ladder as `dosed_logit`; else the union of each
    screen's top 32 and a random sample is measured here. With `out`, screens.json and its page are
    written there, and an interrupted tournament goes on. `warn` hears what is wrong with the
    contrast set before a screen runs. Inconclusive where nothing opens.
    """
    behavior, folder = in_tokens_of(model, behavior), settings.census
    measured = None if folder is None else read_census(folder, model, behavior)
    run = Run.open(_manifest(model, behavior, settings, measured), out, progress)
    if run.folder is not None and (run.folder.path / ScreensResult.file).is_file():
        run.folder.drop_parts()
        return ScreensResult.load(run.folder.path)
    for warning in diagnose(model, behavior).warnings:
        warn(warning)
    result = _result(run, behavior, model, settings, measured)
    if run.folder is not None:
        result.save(run.folder.path)
        run.folder.drop_parts()
    return result


def _manifest(
    model: Model, behavior: Behavior, settings: TournamentSettings, census: Census | None
) -> Manifest:
    """Whose run it is: screens and sizes, and the census that they are judged by."""
    sizes = settings.sizes.plain()
    sizes |= {"screens": [f"{entrant.name} ({entrant.units})" for entrant in settings.entrants]}
    judged_by = {} if census is None else {"census": digest(census.result.plain())}
    return manifest_of("screens", model, behavior, sizes, **judged_by)


def _result(
    run: Run,
    behavior: Behavior,
    model: Model,
    settings: TournamentSettings,
    measured: Census | None,
) -> ScreensResult:
    contrast = diagnose(model, behavior)
    with run.clock.step("clean ground", 0):
        subject = Subject.of(model, behavior, settings.seed)
    ranked, skipped = _rankings(run, subject, settings.entrants, measured)
    with run.clock.step("rerank", 0):
        ranked += _reranked(subject, ranked)
    truth = _truth(run, subject, ranked, measured, settings.sample)
    judged = Relevance.of(truth.branches)
    scores = _scores(run, subject, ranked, judged, settings, truth.kind == "census")
    result = ScreensResult(
        schema_version=1,
        model=model_entry(model),
        behavior=named(behavior),
        code=code_version(),
        settings=settings.sizes,
        truth=truth.kind,
        tops=TOPS,
        truth_summary=truth.counts,
        screens=tuple(scores),
        skipped=skipped,
        opened=tuple(b for b in truth.branches if b.smallest_open_gain is not None),
        mechanism=mechanism(subject, judged),
        layers=tuple(layer_counts(model, judged)),
        diagnostics=ContrastCheck(**contrast._asdict()),
        discovery=pool_entry(behavior),
        provenance=provenance_of(
            model, reference=subject.ground.reference.name, seed=settings.seed
        ),
        timing=run.clock.timing(),
    )
    return ScreensResult.of(result.plain())


def _rankings(
    run: Run, subject: Subject, entrants: Sequence[Entrant], census: Census | None
) -> tuple[list[Ranked], dict[str, str]]:
    """The rankings of the screens that run here, and why the others do not."""
    ranked: list[Ranked] = []
    skipped: dict[str, str] = {}
    with run.clock.step("screens", len(entrants)) as bar:
        for entrant in entrants:
            try:
                ranked.append(_stored(run, subject, entrant, census))
            except (BehaviorError, ModelError) as error:
                if entrant.kind == "own":
                    raise
                skipped[f"{entrant.name} ({entrant.units})"] = str(error)
            bar.advance(1)
    return ranked, skipped


def _stored(run: Run, subject: Subject, entrant: Entrant, census: Census | None) -> Ranked:
    """The ranking of one screen, read back where an interrupted run stored it."""
    path = None if run.folder is None else run.folder.part(f"{entrant.name}-{entrant.units}")
    if path is not None and path.exists():
        rows = read_rows(path, SCHEMA)
        branches = tuple(Neuron.parse(row["branch"]) for row in rows)
        ranking = Ranking(rows[0]["screen"], branches, tuple(row["score"] for row in rows))
        return Ranked(entrant, ranking, rows[0]["seconds"])
    ranked = _ranked(subject, entrant, census)
    if path is not None and ranked.ranking.branches:
        write_rows(path, _rows(ranked), SCHEMA)
    return ranked


def _rows(ranked: Ranked) -> list[dict[str, str | float]]:
    """A ranking as an unfinished tournament stores it."""
    ranking, seconds = ranked.ranking, ranked.seconds
    return [
        {"screen": ranking.screen, "branch": str(branch), "score": score, "seconds": seconds}
        for branch, score in zip(ranking.branches, ranking.scores, strict=True)
    ]


def _ranked(subject: Subject, entrant: Entrant, census: Census | None) -> Ranked:
    """The ranking of one screen; a census lends its ladders to the screen that would run them."""
    if entrant.name == "dosed_logit" and census is not None:
        ranking = _by_census(census.branches)
        return Ranked(entrant, ranking, _ladder_seconds(subject.model, census.result))
    begun = cpu_seconds()
    ranking = entrant.run(subject.model, subject.behavior, subject.clean)
    return Ranked(entrant, ranking, cpu_seconds() - begun)


def _by_census(branches: Sequence[MeasuredBranch]) -> Ranking:
    """The trigger ladders of a census as the ranking they are."""
    reached = [(b.trigger, b.branch) for b in branches if b.trigger is not None]
    reached.sort(key=lambda pair: pair[0])
    neurons = tuple(Neuron.parse(name) for _, name in reached)
    return Ranking("dosed_logit", neurons, tuple(1 / gain for gain, _ in reached))


def _ladder_seconds(model: Model, census: CensusResult) -> float:
    """What the trigger ladder of every branch takes, from those of a census that may be a slice."""
    every = 2 * sum(map(model.width, range(model.n_layers)))
    return census.ladder_seconds.trigger * every / census.branches


def _reranked(subject: Subject, ranked: Sequence[Ranked]) -> list[Ranked]:
    """The reranked rankings, beside those they come from; their seconds hold the screen's own."""
    measure = Measurement(subject, salt=f"rerank-{behavior_sha256(subject.behavior)}")
    again = []
    for entrant, ranking, seconds in ranked:
        if entrant.name in RERANKED and entrant.units == "raw":
            begun, other = cpu_seconds(), reranked(measure, ranking)
            entered = entrant._replace(name=other.screen, kind="reranked")
            again.append(Ranked(entered, other, seconds + cpu_seconds() - begun))
    return again


def _truth(
    run: Run, subject: Subject, ranked: Sequence[Ranked], census: Census | None, sample: int
) -> Truth:
    """The census where there is one; else a sample, measured here."""
    if census is not None:
        return Truth("census", census.result.counts, census.branches)
    members = _members(subject, ranked, sample)
    branches = climb_all(run, subject, members, CensusSettings().controls).branches
    return Truth("sample", open_counts(branches), branches)


def _members(subject: Subject, ranked: Sequence[Ranked], sample: int) -> list[DrawnBranch]:
    """Each screen's top 32, and random others that each stand for their share of the rest.

    All climb from the first rung.
    """
    everyone = movable(subject.model, subject.ground.stream)
    poles = [pole for neuron in everyone for pole in (neuron, neuron.opposite)]
    wanted = {branch for entry in ranked for branch in entry.ranking.top(TOP)}
    rest = [branch for branch in poles if branch not in wanted]
    drawn = random.Random(f"sample-{subject.seed}").sample(rest, min(sample, len(rest)))
    top = [branch for branch in poles if branch in wanted]
    return [
        *(DrawnBranch(subject.coordinate(branch), "screen", 1.0) for branch in top),
        *(
            DrawnBranch(subject.coordinate(branch), "random", len(rest) / len(drawn))
            for branch in drawn
        ),
    ]


def runs_again(entrant: Entrant, settings: TournamentSettings, censused: bool) -> bool:
    """Whether a screen is run anew on other prompts.

    Not where it reads none, nor where its rollouts or the ladder that a census lends are fixed.
    """
    if entrant.name == "random" or entrant.kind == "reranked":
        return False
    if censused and entrant.name == "dosed_logit":
        return False
    return settings.all_stability or not entrant.sweeps


def _scores(
    run: Run,
    subject: Subject,
    ranked: Sequence[Ranked],
    truth: Relevance,
    settings: TournamentSettings,
    censused: bool,
) -> list[ScreenScore]:
    """How well each screen finds what opens, the best first."""
    scores = []
    with run.clock.step("scores", len(ranked)) as bar:
        for entry in ranked:
            again = runs_again(entry.entrant, settings, censused)
            agreements = stability(subject, entry.entrant, truth) if again else {}
            scores.append(score(subject, entry, truth, agreements))
            bar.advance(1)
    return sorted(scores, key=lambda each: -each.value)


def rerank(measure: Measurement, ranking: Ranking, count: int = FIRST) -> Ranking:
    """The ranking's first `count` branches by descending flip rate under their best pin.

    Flips are coherent ones, on selection prompts, greedy; ties keep the ranking's order. Tier 4 for
    these neurons: they have been rolled out. Cost: count x 11 x selection rollouts.
    """
    subject, first = measure.subject, ranking.top(count)
    sizes = [float(subject.extent[n.layer, subject.model.slot(n)]) for n in first]
    pins = [
        (branch, multiple * size)
        for branch, size in zip(first, sizes, strict=True)
        for multiple in RERANK_MULTIPLES
    ]
    pinned: dict[str, dict[float, list[Record]]] = {branch.site: {} for branch in first}
    trials = pin_trials(subject, "rerank", pins, subject.behavior.selection)
    for record in measure("rerank", trials):
        pinned[record.branch].setdefault(record.value, []).append(record)
    horizon = subject.behavior.horizon
    rates = {
        site: max(_flip_rate(records, horizon) for records in by_value.values())
        for site, by_value in pinned.items()
    }
    order = sorted(first, key=lambda branch: -rates[branch.site])
    scores = tuple(rates[branch.site] for branch in order)
    return Ranking(f"{ranking.screen}, reranked", tuple(order), scores)


def reranked(measure: Measurement, ranking: Ranking, count: int = FIRST) -> Ranking:
    """The whole ranking, its first `count` branches in the order of `rerank`.

    Their scores are flip rates, the others' their own.
    """
    first = rerank(measure, ranking, count)
    return Ranking(
        first.screen,
        (*first.branches, *ranking.branches[count:]),
        (*first.scores, *ranking.scores[count:]),
    )


def _flip_rate(records: Sequence[Record], horizon: int) -> float:
    return sum(record.flipped(horizon) for record in records) / len(records)
