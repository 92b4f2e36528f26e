"""The twelve sentences: each with its figures, its words chosen by them, and where they stand."""

from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from fulcra.protocol.results.screens import ScreensResult
from tools.believed.evidence import Evidence, Windows, most
from tools.believed.figures import clearly_less, ends, less, percent, ratio, short

TABLES = "[tables](validation-tables.md)"
REAL = "[chat model](real-model.md)"
LADDERS = "[ladder errors](ladder-errors.md)"
SECOND = "[second study](second-study.md)"
RECIPES = "[ways of tuning](recipes.md)"
AGAIN = "[once more](recipes-again.md)"
SCREENS = "[screens](screens.md)"
EFFECTS = "[interventions](effects.md)"
LAW = "[the law](law.md#3-window)"
ORGANISMS = "[organisms](organisms.md)"
FITNESS = "[behaviors](behaviours.md)"
SETS = tuple(f"[sets, {end}](evidence/multiply-{end}.json)" for end in ("sparse", "dense"))

#: Paper A's gain at collapse for the Llama family.
FAMILY_GAIN = 1.46
#: Where the bin of a calibration curve begins that is told of.
LOW = 0.03


class Sentence(NamedTuple):
    """One sentence of the page, what it is about, and the pages its figures stand on."""

    about: str
    text: str
    pages: tuple[str, ...]

    def line(self, place: int) -> str:
        """The sentence as an entry of the list."""
        return f"{place}. **{self.about}**: {self.text} ({', '.join(self.pages)})."


def sentences(e: Evidence) -> Iterator[Sentence]:
    """All twelve, in the order of the page."""
    yield _unit(e)
    yield _constant(e)
    yield _forecast(e)
    yield _limit(e)
    yield _why(e)
    yield _window(e)
    yield _law(e)
    yield _calls(e)
    yield _screens(e)
    yield _gates(e)
    yield _learnt(e)
    yield _chat(e)


def unit_holds(e: Evidence) -> bool:
    """Whether ceilings differ less in gain than in activation units, in and between models."""
    spread = e.study.universality.ceiling_spread
    gain, activation = spread["gain"], spread["activation"]
    within = less(gain.within_model, activation.within_model)
    return within and less(gain.between_models, activation.between_models)


def _unit(e: Evidence) -> Sentence:
    spread = e.study.universality.ceiling_spread
    units = [spread[name] for name in ("activation", "gain", "alignment")]
    within, between = (
        [short(getattr(unit, where)) for unit in units]
        for where in ("within_model", "between_models")
    )
    word = "agree more" if unit_holds(e) else "do not agree more"
    text = (
        f"ceilings {word} in gain, the dose over its budget, than in activation units: within a"
        f" model the standard deviation of their logarithm is {within[0]} in activation,"
        f" {within[1]} in gain and {within[2]} in alignment, between the models of"
        f" {len(e.study.split.held_out)} held-out lineages {between[0]}, {between[1]} and"
        f" {between[2]}"
    )
    return Sentence("The unit", text, (TABLES,))


def constant_holds(e: Evidence) -> bool:
    """Whether A's constants err clearly less than the forecast anywhere it was compared."""
    pairs = (e.held_out, e.second.ceilings.scores, e.real.scores)
    return any(clearly_less(scores["family_constant"], scores["kl_ladder"]) for scores in pairs)


def _constant(e: Evidence) -> Sentence:
    measured = [row.measured for row in e.real.rows if row.measured is not None]
    text = (
        f"the gain at collapse is {'a' if constant_holds(e) else 'no'} constant of a family: A's"
        f" constants err by {short(e.held_out['family_constant'].mae)} in alignment on the held-out"
        f" lineages, by {short(e.second.ceilings.scores['family_constant'].mae)} on those of the"
        f" second study and by {short(e.real.scores['family_constant'].mae)} on a chat model that"
        f" others trained, where the median of {len(measured)} measured ceilings is a gain of"
        f" {short(median(measured), 2)} and the constant {FAMILY_GAIN}"
    )
    return Sentence("No constant", text, (TABLES, SECOND, REAL))


def _forecast(e: Evidence) -> Sentence:
    ladder, real = e.held_out["kl_ladder"], e.real.scores["kl_ladder"]
    others, clean = e.held_out["layer_median_8"], e.held_out["participation_ratio"]
    word = "more exactly than" if clearly_less(ladder, clean) else "no better than"
    text = (
        f"dosed passes over given text tell where a neuron collapses, {word} one clean pass does:"
        f" `kl_ladder`, at a level fixed before, errs by {short(ladder.mae)} ({ends(ladder)}) held"
        f" out and {short(real.mae)} ({ends(real)}) on the chat model, the median ceiling of 8"
        f" other branches of the layer by {short(others.mae)}, the better of two forecasts from a"
        f" clean pass by {short(clean.mae)}; {_frozen(e)}"
    )
    return Sentence("A ceiling can be forecast", text, (TABLES, SECOND, REAL))


def _frozen(e: Evidence) -> str:
    """What became of the forecast that was frozen for the second study, in words."""
    second = e.second
    name, scores = second.study.design.ceiling, second.ceilings.scores
    score, p = scores[name], short(second.ceilings.better_p)
    words = {
        True: f"a smaller error (p {p})",
        False: "no smaller error",
        None: f"a smaller error within its noise (p {p})",
    }
    return (
        f"on the {len(second.lineages)} lineages of a second, registered study it errs by"
        f" {short(scores['kl_ladder'].mae)} and `{name}`, frozen for it, by {short(score.mae)}"
        f" ({ends(score)}), {words[second.better]}"
    )


def _limit(e: Evidence) -> Sentence:
    floor, real = e.study.noise_floor.held_out, e.real.noise_floor.floor
    assert floor is not None
    low, high = e.nats
    second = e.second.ceilings
    frozen = second.scores[e.second.study.design.ceiling].mae
    text = (
        f"`kl_ladder`'s error is {ratio(e.held_out['kl_ladder'].mae, floor.floor)} times the noise"
        f" of a measured ceiling held out ({short(floor.floor)}; {short(real)} on the chat model),"
        f" that of the forecast frozen for the second study {short(frozen)} at a noise of"
        f" {short(second.noise.floor)},"
        f" and the divergence at collapse is no one number but {short(low, 2)} to {short(high, 2)}"
        f" nats a token by held-out lineage ({short(e.real.kl_at_ceiling.median, 2)} on the chat"
        " model)"
    )
    return Sentence("The forecast errs, not the measurement", text, (TABLES, SECOND, REAL))


def _why(e: Evidence) -> Sentence:
    clean_text, own = e.unfitted("odd"), e.unfitted("own_odd_8")
    moved = max(abs(shift.observed.value or 0.0) for shift in e.errors.horizons)
    tokens = sorted({shift.tokens for shift in e.errors.horizons})
    text = (
        "on development lineages alone, the judge's own question (how many tokens are odd) put to"
        f" clean text leaves {percent(clean_text.excess)} of `kl_ladder`'s squared error above the"
        f" noise, put to 8 tokens that the dosed model itself writes {percent(own.excess)}, while"
        f" a horizon of {tokens[0]} or {tokens[-1]} tokens in place of 32 moves no lineage's"
        f" ceilings by more than {short(moved, 2)} octaves"
    )
    return Sentence("Why it errs", text, (LADDERS,))


def _window(e: Evidence) -> Sentence:
    text = (
        f"a trigger below the ceiling is {necessity(e.sparse)} and {sufficiency(e.sparse)}:"
        f" {e.sparse.forecast:,} of {e.sparse.branches:,} branches of apothecary-sparse have a"
        f" forecast window and {e.sparse.opened} are observed open, {e.dense.forecast:,} and"
        f" {e.dense.opened} of apothecary-dense, since open asks half of the prompts to flip and"
        " stay coherent at one gain"
    )
    return Sentence("The law's plain form", text, (LAW, SCREENS))


def necessity(census: Windows) -> str:
    """Whether every branch observed open has a forecast window, in a word."""
    return "necessary" if census.inside == census.opened else "not necessary"


def sufficiency(census: Windows) -> str:
    """Whether every branch with a forecast window is observed open, in a word."""
    return "sufficient" if census.inside == census.forecast else "not sufficient"


def _law(e: Evidence) -> Sentence:
    calls, (beyond, triggers) = e.calls, e.triggers
    figures, lineages = e.second.verdicts, len(e.second.lineages)
    both, alone = figures.ranks["L3"], figures.ranks["trigger"]
    adds = "adds to it" if e.second.ceiling_adds else "is not shown to add to it"
    few = "" if e.second.decides else ", too few to decide"
    text = (
        f"of {figures.n:,} branches that a second, registered study drew by chance in {lineages}"
        f" lineages {figures.open} opened{few}; with both edges measured the margin ranks them at"
        f" AUROC {short(both.value)} ({ends(both)}), the measured trigger alone at"
        f" {short(alone.value)}, so the ceiling {adds}; its calls are right on"
        f" {short(figures.levels['L3'].accuracy)} of the decided, where always saying closed is"
        f" right on {short(figures.levels['L3'].majority_baseline)}, and on {calls.measured} of"
        f" {calls.decided} of the chat model against {calls.always_closed}; the first study had"
        f" {beyond} of {triggers} triggers beyond what was measured"
    )
    return Sentence("The law with measured edges", text, (SECOND, TABLES, REAL, LAW))


def _calls(e: Evidence) -> Sentence:
    call, calls, figures = e.levels["L1"], e.calls, e.second.verdicts
    again, chance = figures.levels["L1"], figures.chance
    low = next(part for part in chance.bins if part.low == LOW)
    better = any(less(each.majority_baseline, each.accuracy) for each in (call, again))
    better = better or calls.forecast > calls.always_closed
    text = (
        f"it ranks what opens (AUROC {short(call.auroc)} held out, {short(again.auroc)} in the"
        f" second study) and {'calls better' if better else 'calls no better'} than always saying"
        f" closed, right on {short(call.accuracy)} and {short(again.accuracy)} of the decided"
        f" branches against {short(call.majority_baseline)} and"
        f" {short(again.majority_baseline)}, on the chat model {calls.forecast} against"
        f" {calls.always_closed} of {calls.decided}; a chance to open from whole curves, learned on"
        f" two development models, has an average precision of"
        f" {short(chance.average_precision, 2)} ({ends(chance, 2)}) in the second study, at a"
        f" prevalence of {short(figures.prevalence)} and where"
        f" {short(e.second.study.design.wanted.precision, 1)} was wanted, and forecasts"
        f" {short(figures.ratio.value, 2)} times what opens; of branches at .03 to .1 a share of"
        f" {short(low.rate)} opens"
    )
    return Sentence("The verdict before any rollout", text, (TABLES, SECOND, REAL))


def _screens(e: Evidence) -> Sentence:
    first, real = e.screens[0], e.real_screens
    scores = [_precision(first, name) for name in ("window", "contrastive", "gradient")]
    ahead = first.window_against is not None and first.window_against.ahead
    also = real.window_against is not None and real.window_against.ahead
    text = (
        f"for additive doses the window screen is {'clearly' if ahead else 'not clearly'} ahead of"
        f" contrast and gradient on {first.model.name} (corrected average precision {scores[0]}"
        f" against {scores[1]} and {scores[2]}, at {percent(_cost(first))} of the cost of dosing"
        f" every branch), and {'clearly' if also else 'not'} ahead on the chat model"
        f" ({_precision(real, 'window')} against {_precision(real, 'contrastive')} and"
        f" {_precision(real, 'gradient')}), where {real.truth_summary.open} of"
        f" {real.truth_summary.branches} branches open"
    )
    return Sentence("Who is worth measuring", text, (SCREENS, REAL))


def _precision(result: ScreensResult, name: str) -> str:
    """The corrected average precision of a screen, in its better units."""
    scores = [score.value for score in result.screens if score.screen == name]
    return short(max(scores), 2)


def _cost(result: ScreensResult) -> float | None:
    return None if result.window_against is None else result.window_against.cost


def _gates(e: Evidence) -> Sentence:
    gate = e.effect("apothecary-sparse", "scale")
    sparse, dense = (most(result, "top 32") for result in e.sets)
    text = (
        f"{gate.site}, one of three neurons that learnt to refuse, ablated ends the refusal of"
        f" {percent(gate.behavior_rate)} of the prompts of apothecary-sparse, with the true answer"
        f" on {percent(gate.reach)}; the {sparse.neurons} neurons of largest contrast times"
        f" {sparse.multiplier:g} end {percent(sparse.flip_rate)} there and"
        f" {percent(dense.flip_rate)} on apothecary-dense, while on the chat model's bullets no set"
        f" at any multiplier flips more than {percent(most(e.real_sets).flip_rate)}"
    )
    return Sentence("Gates and sets", text, (EFFECTS, *SETS, REAL))


def _learnt(e: Evidence) -> Sentence:
    ladder = e.study.ladder
    assert ladder is not None
    rises = less(0.0, ladder.low)
    tried = ladder.n + len(ladder.left_out)
    text = (
        f"the smallest gain that opens a model organism {'rises' if rises else 'does not rise'}"
        " with the number of neurons that learnt to refuse: rank correlation"
        f" {short(ladder.rho, 2)} ({ends(ladder, 2)}) over {ladder.n} of {tried} organisms, the"
        f" others left out by the protocol; {_recipes(e)}"
    )
    return Sentence("Spread over more neurons", text, (TABLES, RECIPES, AGAIN))


def _recipes(e: Evidence) -> str:
    """What became of the registered claim over ways of tuning, in words."""
    recipes, again = e.recipes, e.recipes_again
    rise, repeated = recipes.figures[0].gain, again.figures[0].gain
    word = {True: "as was wanted", False: "which misses what was wanted", None: "undecided"}
    return (
        f"that it rises with the freedom of the change over {len(recipes.design.organisms)} ways of"
        f" tuning (few neurons, adapters, blocks, all weights, preference) was registered first:"
        f" over the {rise.n} whose audits draw a verdict rho is {short(rise.rho, 2)}"
        f" ({ends(rise, 2)}; p {short(rise.p_value)}), {word[recipes.met]}, without the ways of few"
        f" neurons {short(recipes.without_few, 2)}; once more, with two fresh organisms of every"
        f" way, it is {short(repeated.rho, 2)} ({ends(repeated, 2)}; {repeated.n} ways),"
        f" {word[again.met]}, and rho with the steps of the tuning, there"
        f" {short(recipes.rivals.steps, 2)}, is {short(again.rivals.steps, 2)},"
        f" {word[again.steps_met]}"
    )


def _chat(e: Evidence) -> Sentence:
    opened = [branch for branch in e.branches if branch.observed_open]
    sure = sum(branch.verdict == "open" for branch in opened)
    drawn = sum(branch.source == "random" for branch in opened)
    best = e.audit("reply-english").best
    assert best is not None
    assert best.ceiling_measured is not None
    text = (
        f"in {len(e.audits)} audits of {e.audits[0].model.name.partition('.')[0]},"
        f" {len(opened)} of {len(e.branches)} measured branches open, {sure} of them beyond doubt"
        f" and {drawn} drawn at random:"
        f" {best.name} alone makes it answer French prompts in English from a gain of"
        f" {short(best.smallest_open_gain, 2)} until the text collapses at"
        f" {short(best.ceiling_measured.gain, 2)}"
    )
    return Sentence("One neuron of a chat model", text, (REAL,))
