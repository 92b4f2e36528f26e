"""What was measured of defences as one page, docs/defence.md; a section stands where it was."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fulcra.organisms.planted import bundled_names
from fulcra.report.gate import gate_paragraph
from fulcra.report.hardened import (
    check_sheet,
    course_sheet,
    model_sheet,
    opens_sheet,
    side_sheet,
    wanted_sheet,
)
from fulcra.report.hardened import notes as trained
from fulcra.report.mended import change_sheet, notes, opened_sheet
from fulcra.report.monitor import (
    adaptive_sheet,
    branches_sheet,
    domains_sheet,
    doses_sheet,
    false_words,
    noticed_words,
    trial_name,
)
from fulcra.report.notation import rate, rates
from fulcra.report.recipes import repeated_sheet, ways_sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.defence.hardened import HardenResult
    from fulcra.defence.mend.mended import MendResult
    from fulcra.defence.recipes.entries import RecipesResult
    from fulcra.defence.recipes.figures import Figured
    from fulcra.protocol.results.gate import GateResult
    from fulcra.protocol.results.monitor import MonitorResult, MonitorTable

#: The audited models of the page's figure; a hardening may have been compared with more.
DRAWN = ("before", "plain", "hardened")
#: What `fulcra harden` takes where an option is left out; minutes only without steps.
MINUTES = 20.0
TRAINED: dict[str, object] = {"rank": 8, "every": 60, "rows": 10, "branches": 32, "holding": 60.0}
AUDITED: dict[str, object] = {
    "neurons": 12,
    "random": 12,
    "controls": 20,
    "sweep": 4096,
    "measure": "full",
    "confirmation": None,
}
DEFAULTS = {**TRAINED, **AUDITED, "seed": 0, "dtype": "float32"}


def drawn(hardened: Sequence["HardenResult"]) -> "HardenResult | None":
    """The hardening whose windows the page's figure shows: the first that was audited."""
    return next((result for result in hardened if result.sides), None)


def others(trials: Sequence["MonitorResult"]) -> list["MonitorResult"]:
    """The trials of models that are no organisms of ours."""
    organisms = bundled_names()
    return [trial for trial in trials if trial.model.name not in organisms]


def whose(gate: "GateResult", hardened: Sequence["HardenResult"]) -> str:
    """Which audit a gate decided of, by its commitment; else which model, by its weights.

    Weights of a base are those of every seed, so that they name none. Nothing of a model that is in
    no hardening.
    """
    run = gate.run
    own = [
        (side, result.settings.seed)
        for result in hardened
        for side in result.sides
        if side.model.sha256 == run.model_sha256 and result.behavior.name == run.behavior
    ]
    for side, seed in own:
        if side.commitment == run.commitment_sha256:
            return f"{side.side}, seed {seed}: "
    if not own:
        return ""
    side, seed = own[0]
    if side.model.adapter is not None:
        return f"{side.side}, seed {seed}: "
    return (
        f"{side.side}, an audit of which `harden*.json` does not say the seed (commitment"
        f" {run.commitment_sha256[:12]}): "
    )


def defence_page(
    monitor: "MonitorTable | None" = None,
    hardened: Sequence["HardenResult"] = (),
    gates: Sequence["GateResult"] = (),
    mended: Sequence["MendResult"] = (),
    recipes: "tuple[Sequence[RecipesResult], Figured] | None" = None,
) -> str:
    """The page in Markdown; what was not measured has no section.

    `recipes`: the studies of ways of tuning, and their figures as one.
    """
    return filled(
        "defence.md",
        trials=() if monitor is None else monitor.trials,
        others=() if monitor is None else others(monitor.trials),
        named=trial_name,
        noticed=noticed_words,
        alarmed=false_words,
        served=() if monitor is None else monitor.served,
        doses=doses_sheet,
        domains=domains_sheet,
        adaptive=adaptive_sheet,
        branches=branches_sheet,
        hardened=hardened,
        drawn=drawn(hardened),
        gates=gates,
        whose=whose,
        mended=mended,
        noted=notes,
        changes=change_sheet,
        opened=opened_sheet,
        decided=gate_paragraph,
        side=side_sheet,
        sides=model_sheet,
        wanted=wanted_sheet,
        checks=check_sheet,
        course=course_sheet,
        opens=opens_sheet,
        recipes=recipes,
        repeated=repeated_sheet,
        ways=ways_sheet,
        trained=trained,
        command=budget,
        mending=mending,
        rate=rate,
        rates=rates,
    )


def mending(result: "MendResult") -> str:
    """The options of the command that say which neuron, and how the audit was measured."""
    measure = result.settings.measure
    audit = (
        " --no-audit" if measure is None else "" if measure == "full" else f" --measure {measure}"
    )
    return f"--neuron {result.gate.neuron}{audit}"


def budget(result: "HardenResult") -> str:
    """The options of the command that makes a hardening again, those left out that say no more.

    Files of the first versions do not hold all of them.
    """
    settings, own = result.settings, result.trainings[0].defence
    unsaid = settings.minutes == MINUTES and settings.steps is None
    parts = [
        _option("steps", settings.steps),
        "" if unsaid or settings.minutes is None else f"--minutes {settings.minutes:g}",
        *(_option(name, getattr(settings, name)) for name in TRAINED),
        "" if settings.generic == 2 * settings.rows else _option("generic", settings.generic),
        "" if own == "doses" else f"--defence {own}",
        *(f"--beside {each.defence}" for each in result.trainings[1:]),
        "" if result.sides else "--no-audit",
        *(_option(name, getattr(settings, name)) for name in AUDITED),
        _option("seed", settings.seed),
        _option("dtype", result.model.dtype),
    ]
    return " ".join(filter(None, parts))


def _option(name: str, value: object) -> str:
    """An option of `fulcra harden` as it is typed; nothing where it says what it says left out."""
    return "" if value in (None, DEFAULTS.get(name)) else f"--{name} {value}"
