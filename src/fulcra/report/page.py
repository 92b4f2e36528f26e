"""The page of an audit: one HTML file that needs nothing from outside, every value escaped."""

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from fulcra.report import figures, notation
from fulcra.report.answers import answers, decision_line, opened, range_of
from fulcra.report.backtest import BACKTEST
from fulcra.report.beside import NOTHING, Beside, asides, missing, require_same
from fulcra.report.branch_notes import branch_note
from fulcra.report.changed_words import changed_words
from fulcra.report.deciding import deciding_line, undecided
from fulcra.report.headline import headline
from fulcra.report.key_numbers import cards
from fulcra.report.pin_table import pin_numbers
from fulcra.report.reading import best_first, measured, selected, text_allowed, withheld
from fulcra.report.reproduce import VERIFIED, commands
from fulcra.report.rows import row
from fulcra.report.sample_sizes import confirmed, sizes
from fulcra.report.scorecard import scorecard
from fulcra.report.scripts import scripts
from fulcra.report.template import filled

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import AuditResult, Branch, Pin

_PINNED = 6  # neurons with a pin figure
_TEXTS = 8  # sample texts
_HEADINGS = {"screen": "screened", "random": "random"}

Pins = dict[str, list["Pin"]]


def render_report(audit: "AuditResult", beside: Beside = NOTHING) -> str:
    """The HTML page of an audit, self-contained: plotly.js stands in it once.

    `beside` is what other commands measured on the same model; a run's own page has none of it.
    InputError where it was measured on another one.
    """
    require_same(audit, beside)
    audit = withheld(audit)
    pinned = _pinned(audit)
    curved = {entry.name: entry for entry in measured(audit) if entry.curve}
    return filled(
        "report.html",
        None,
        audit=audit,
        **_words(audit),
        rows=[row(audit, entry) for entry in measured(audit)],
        controls=[row(audit, entry) for entry in measured(audit, "control")],
        notes=[branch_note(audit, entry) for entry in curved.values()],
        choices=_choices(audit),
        places={name: place for place, name in enumerate(curved)},
        keys=_legends(audit),
        pinned=list(pinned),
        pin_numbers=pin_numbers(pinned, confirmed(audit)),
        n=confirmed(audit) if audit.settings.measure == "full" else None,
        samples=audit.samples[:_TEXTS] if text_allowed(audit) else [],
        changed_words=changed_words,
        text_allowed=text_allowed(audit),
        asides=asides(beside),
        missing=missing(beside),
        notation=notation,
        outcome_label=lambda outcome: audit.behavior.label(outcome),
        figures={
            "page": _page_figures(audit, pinned),
            "branches": [_branch_figures(audit, entry) for entry in curved.values()],
        },
        scripts=scripts(),
    )


def _words(audit: "AuditResult") -> dict[str, object]:
    """What the page says in sentences and scores."""
    return {
        "headline": headline(audit),
        "answers": answers(audit),
        "decision": decision_line(audit),
        "cards": cards(audit),
        "met": audit.met,
        "undecided": undecided(audit),
        "deciding": deciding_line(audit),
        "scorecard": scorecard(audit),
        "backtest": BACKTEST,
        "commands": commands(audit),
        "verified": VERIFIED,
        "provenance": _provenance(audit),
        "chosen": selected(audit),
        "numbered": _numbered(audit),
    }


def _numbered(audit: "AuditResult") -> bool:
    """Whether every rung of the first picture says how many rollouts it rests on."""
    entry = selected(audit)
    return entry is not None and all(sizes(audit, rung).confirmation for rung in entry.curve)


def _legends(audit: "AuditResult") -> dict[str, tuple[figures.Key, ...]]:
    outcomes = figures.outcome_keys(audit)
    return {
        "pushed": figures.PUSHED_KEYS,
        "window": figures.window_keys(audit),
        "dose": figures.DOSE_KEYS,
        "outcomes": outcomes,
        "rates": figures.RATE_KEYS,
        "best": figures.best_rate_keys(audit),
        "curve": figures.CURVE_KEYS,
        "committed": figures.COMMITTED_KEYS,
    }


def _choices(audit: "AuditResult") -> dict[str, list[str]]:
    """The branches with a curve, under the heading of their source; the best one comes first."""
    choices: dict[str, list[str]] = {}
    for entry in best_first(audit):
        if entry.curve:
            choices.setdefault(_HEADINGS[entry.source], []).append(entry.name)
    return choices


def _pinned(audit: "AuditResult") -> Pins:
    """The pins of the neurons that any pin flips, both poles together, the highest flip rate
    first.
    """
    entries = sorted((entry for entry in measured(audit) if entry.pins), key=_site)
    pins = {site: _distinct(group) for site, group in groupby(entries, key=_site)}
    best = {site: max(pin.flip_rate or 0.0 for pin in values) for site, values in pins.items()}
    return {
        site: pins[site]
        for site in sorted(pins, key=lambda site: -best[site])[:_PINNED]
        if best[site] > 0
    }


def _distinct(entries: Iterable["Branch"]) -> list["Pin"]:
    return list({(pin.op, pin.value): pin for entry in entries for pin in entry.pins}.values())


def _site(entry: "Branch") -> str:
    return str(entry.neuron)


def _provenance(audit: "AuditResult") -> dict[str, dict[str, str]]:
    seconds = None if audit.timing is None else audit.timing.cpu_seconds
    blocks: dict[str, dict[str, object]] = {
        "provenance": {
            **audit.provenance.plain(),
            "schema version": audit.schema_version,
            "commitment sha256": audit.summary.commitment_sha256,
            "CPU seconds": notation.number(seconds),
        },
        "model": audit.model.plain(),
        "behavior": audit.behavior.plain(),
        "settings": audit.settings.plain(),
    }
    return {
        title: {key.replace("_", " "): _plain(value) for key, value in block.items()}
        for title, block in blocks.items()
    }


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(part) for part in value)
    return notation.yes_no(value) if value is None or isinstance(value, bool) else str(value)


def _page_figures(audit: "AuditResult", pinned: Pins) -> dict[str, object]:
    """The figures of the whole page, as plotly's JSON; no key of one is a name of the audit."""
    n = confirmed(audit)
    drawn = {
        "window": figures.window_chart(audit),
        "best": figures.best_rates(audit),
        "curve": figures.universal_curve(audit),
        "committed": figures.committed(audit),
        "context": figures.attack_cost(audit),
    }
    drawn |= {f"pins {i}": figures.pin_response(pins, n) for i, pins in enumerate(pinned.values())}
    return _contents(_first(audit) | drawn)


def _first(audit: "AuditResult") -> dict[str, go.Figure]:
    """The picture of the first screen: the selected branch, its window shaded where it is open."""
    entry = selected(audit)
    if entry is None or not entry.curve:
        return {}
    window = [] if opened(audit) is None else [rung.gain for rung in range_of(entry)]
    return {"pushed": figures.pushed(audit, entry, window)}


def _branch_figures(audit: "AuditResult", entry: "Branch") -> dict[str, object]:
    outcomes = {
        f"outcomes {horizon}": figures.typed_outcomes(audit, entry, horizon)
        for horizon in audit.behavior.horizons
    }
    return _contents({"dose": figures.dose_response(audit, entry)} | outcomes)


def _contents(drawn: Mapping[str, go.Figure]) -> dict[str, object]:
    """The figures in plotly's own JSON, where a number that is not finite is null."""
    return {key: json.loads(figure.to_json()) for key, figure in drawn.items()}
