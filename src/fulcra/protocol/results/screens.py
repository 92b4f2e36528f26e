"""What a tournament of screens returns, screens.json, and how its numbers answer our questions."""

import math
from typing import ClassVar, Literal, NamedTuple

from fulcra.protocol.results.base import ModelEntry, Named, Provenance, Result, Timing, Value
from fulcra.protocol.results.census import MeasuredBranch, OpenCounts
from fulcra.protocol.results.screen_scores import (
    ContrastCheck,
    Effect,
    LayerCount,
    Pool,
    ScreenScore,
)

PAGE = "screens.md"
#: Screens that differentiate the objective once.
FIRST_ORDER = ("gradient", "gradient_paper", "attribution", "integrated", "slope")
#: Whose first branches the window screen is compared with, each in both units.
RIVALS = ("contrastive", "gradient")
UNITS = ("raw", "gain")


class GradientsAgainstChance(NamedTuple):
    """The first-order screens, by the side of chance that the interval of their AUROC lies on."""

    below: list[ScreenScore]
    above: list[ScreenScore]
    unclear: list[ScreenScore]

    @property
    def anti_predict(self) -> Literal["some", "yes", "no", "not shown", "not measured"]:
        """Whether gradients rank what opens below chance."""
        if not any(self):
            return "not measured"
        if self.below:
            return "some" if self.above else "yes"
        return "no" if self.above else "not shown"


class LateLayers(NamedTuple):
    """Shares in the last quarter of the layers: of contrast's top 32, of all, of what opens."""

    raw: float
    gain: float
    chance: float
    opened: float

    @property
    def verdict(self) -> Literal["spread", "by growth", "late"]:
        """Whether raw contrast piles up there, and whether gain units undo at least half of it."""
        if not self.raw > self.chance:
            return "spread"
        return "by growth" if self.gain <= (self.raw + self.chance) / 2 else "late"


class ScreenPair(NamedTuple):
    """Contrast beside gradient in the same units."""

    units: str
    contrast: ScreenScore
    gradient: ScreenScore


class Rescaling(NamedTuple):
    """Contrast beside gradient, in raw and in gain units."""

    pairs: list[ScreenPair]

    @property
    def beats_in(self) -> Literal["both", "raw", "gain", "none"]:
        """The units in which contrast scores higher."""
        wins = [p.units for p in self.pairs if p.contrast.against(p.gradient) == "above"]
        if len(wins) == len(UNITS):
            return "both"
        return "raw" if "raw" in wins else "gain" if wins else "none"


class MorePrompts(NamedTuple):
    """What the screens gain from the fewest to the most discovery prompts they were run on."""

    counts: list[int]
    screens: list[ScreenScore]
    several: int
    more_overlap: int
    more_recall: int


class WindowAgainst(NamedTuple):
    """The window screen beside the cheap ones, and beside the ladder of every branch."""

    window: ScreenScore
    rivals: list[ScreenScore]
    brute: ScreenScore | None

    @property
    def ahead(self) -> bool:
        """Whether it is above every cheap screen with intervals apart."""
        return all(self.window.clearly_above(rival) for rival in self.rivals)

    @property
    def cost(self) -> float:
        """Its CPU seconds as a share of the ladder's; nan without any."""
        if self.brute is None or not self.brute.seconds:
            return math.nan
        return self.window.seconds / self.brute.seconds


class TournamentSizes(Value):
    """Random branches of a sample, the seed, and whether sweeps were run again for stability.

    `swept`: how many neurons each sweep looked at, by contrast; None where it was not bounded.
    """

    sample: int
    seed: int
    all_stability: bool
    swept: int | None = None


class ScreensResult(Result):
    """Every screen judged by what opens, and the mechanism of it: the content of screens.json."""

    file: ClassVar[str] = "screens.json"

    schema_version: int = 1
    model: ModelEntry
    behavior: Named
    code: str
    settings: TournamentSizes
    truth: Literal["census", "sample"]
    tops: tuple[int, ...]
    truth_summary: OpenCounts
    screens: tuple[ScreenScore, ...]
    skipped: dict[str, str]
    opened: tuple[MeasuredBranch, ...] = ()
    mechanism: dict[str, Effect]
    layers: tuple[LayerCount, ...]
    diagnostics: ContrastCheck
    discovery: Pool
    provenance: Provenance | None = None
    timing: Timing

    def screen(self, name: str, units: str) -> ScreenScore | None:
        """The score of a screen; None where it did not run."""
        scores = (score for score in self.screens if (score.screen, score.units) == (name, units))
        return next(scores, None)

    @property
    def gradients(self) -> GradientsAgainstChance:
        """Do gradients anti-predict control, rank what opens below chance?"""
        sides: dict[str, list[ScreenScore]] = {"below": [], "above": [], "unclear": []}
        for score in self.screens:
            if score.screen in FIRST_ORDER and score.auroc is not None:
                sides[score.against_chance].append(score)
        return GradientsAgainstChance(**sides)

    @property
    def off_axis(self) -> Literal["yes", "in part", "no", "not measured"]:
        """Do controllers write off the readout axis with near-zero gradient?"""
        lower = [effect.side == "lower" for effect in self.mechanism.values()]
        if not lower:
            return "not measured"
        if all(lower):
            return "yes"
        return "in part" if any(lower) else "no"

    @property
    def late_layers(self) -> LateLayers | None:
        """Do raw contrasts pile into late layers only because activations grow?"""
        raw, gain = (self.screen("contrastive", units) for units in UNITS)
        if raw is None or gain is None:
            return None
        late = self.layers[-max(1, len(self.layers) // 4) :]
        opened = sum(layer.open for layer in late) / sum(layer.open for layer in self.layers)
        chance = len(late) / len(self.layers)
        return LateLayers(raw.late_share, gain.late_share, chance, opened)

    @property
    def rescaling(self) -> Rescaling | None:
        """Does contrast beat gradient only through rescaling?"""
        pairs = []
        for units in UNITS:
            contrast, gradient = (self.screen(name, units) for name in RIVALS)
            if contrast is None or gradient is None:
                return None
            pairs.append(ScreenPair(units, contrast, gradient))
        return Rescaling(pairs)

    @property
    def more_prompts(self) -> MorePrompts | None:
        """What do more discovery prompts change?"""
        screens = [score for score in self.screens if score.by_prompts]
        counts = sorted({count for score in screens for count in score.counts})
        if not counts:
            return None
        several = [score for score in screens if len(score.counts) > 1]
        ends = [[score.by_prompts[str(score.counts[i])] for i in (0, -1)] for score in several]
        return MorePrompts(
            counts,
            screens,
            len(several),
            sum(most.overlap > fewest.overlap for fewest, most in ends),
            sum(most.recall > fewest.recall for fewest, most in ends),
        )

    @property
    def window_against(self) -> WindowAgainst | None:
        """Is the window screen the best for its cost?"""
        window = self.screen("window", "gain")
        if window is None:
            return None
        scores = [self.screen(name, units) for name in RIVALS for units in UNITS]
        rivals = [score for score in scores if score is not None]
        return WindowAgainst(window, rivals, self.screen("dosed_logit", "gain"))

    def pages(self) -> dict[str, str]:
        """The page of this one tournament."""
        from fulcra.report.screens_page import screens_page

        return {PAGE: screens_page([self])}

    def lines(self) -> tuple[str, ...]:
        """Model and behavior, what opens, and the first screens with their scores."""
        counts = self.truth_summary
        first = (f"{s.name}: corrected AP {s.value:z.2f}" for s in self.screens[:3])
        return (
            f"{self.model.name}, {self.behavior.name}: {counts.open} of {counts.branches} branches"
            f" of a {self.truth} open, {counts.specific} specifically",
            *first,
        )
