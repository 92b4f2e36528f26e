"""validation.json as a documentation page, its plots and a terminal table; computes nothing."""

import math
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fulcra.report.figures.scatter import Point, scatter
from fulcra.report.notation import UNKNOWN, number
from fulcra.report.validation_parts import detector_blocks, ladder_blocks, table

Validation = Mapping[str, Any]
_METHOD = (
    "method",
    "tier",
    "MAE",
    "95 %",
    "bulk",
    "log2",
    "bias",
    "r",
    "r in layer",
    "n",
    "censored",
)
_LEVEL = (
    "level",
    "AUROC",
    "decided",
    "accuracy",
    "95 %",
    "majority",
    "p",
    "balanced",
    "MCC",
    "Brier",
    "n",
    "open",
    "coverage",
    "undetermined wrong",
)
_TITLES = {"held_out": "held-out lineages", "development": "development lineages"}


def validation_table(found: Validation) -> Group:
    """Ceilings and verdicts of the held-out lineages, of the development ones where nothing is held
    out.
    """
    part = part_of(found)
    subject = f"split {found['split_sha256'][:16]} · {_TITLES[part]}" + (
        " · reduced: concludes nothing" if found["reduced"] else ""
    )
    tables = [_rich("ceilings", _METHOD, method_rows(found["ceilings"].get(part, {})))]
    tables.append(_rich("verdicts", _LEVEL, level_rows(found["verdicts"].get(part, {}))))
    return Group(Text(subject, "dim"), *tables)


def part_of(found: Validation) -> str:
    """The part that the page is about."""
    return "held_out" if "held_out" in found["ceilings"] else "development"


def method_rows(scores: Mapping[str, Any]) -> list[list[str]]:
    """One row a predictor of the ceiling."""
    return [
        [
            method,
            str(s["tier"]),
            number(s["mae"]),
            _range(s),
            number(s["mae_bulk"]),
            number(s["mae_log2"]),
            _signed(s["bias_log2"]),
            number(s["correlation"]),
            number(s["within_layer_correlation"]),
            str(s["n"]),
            str(s["censored"]),
        ]
        for method, s in scores.items()
    ]


def level_rows(scores: Mapping[str, Any]) -> list[list[str]]:
    """One row a level of the law's calls."""
    keys = (
        "auroc",
        "auroc_decided",
        "accuracy",
        "",
        "majority_baseline",
        "p_value",
        "balanced_accuracy",
        "mcc",
        "brier",
    )
    return [
        [
            level,
            *(number(s.get(key)) if key else _range(s) for key in keys),
            str(s["n"]),
            str(s["open"]),
            number(s["coverage"]),
            number(s.get("accuracy_undetermined_wrong")),
        ]
        for level, s in scores.items()
    ]


def _range(score: Mapping[str, Any]) -> str:
    low, high = score.get("low"), score.get("high")
    return UNKNOWN if low is None or high is None else f"{number(low)}\N{EN DASH}{number(high)}"


def _signed(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:+.2f}"


def _rich(title: str, head: tuple[str, ...], rows: list[list[str]]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        pad_edge=False,
        title=Text(title, "dim"),
        title_justify="left",
    )
    for place, label in enumerate(head):
        table.add_column(label, justify="right" if place else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def validation_plots(found: Validation) -> dict[str, str]:
    """SVG drawings by name: predicted against measured ceilings of the best-known methods."""
    held = {lineage["name"] for lineage in found["split"][part_of(found)]}
    rows = [
        row
        for row in found["rows"]["ceilings"]
        if row["lineage"] in held and row["measured"] is not None
    ]
    drawings = {}
    for method in ("kl_ladder", "surprise_ladder"):
        points = [
            Point(row["measured"], gain, row["lineage"])
            for row in rows
            if (gain := row["predicted"].get(method)) is not None
        ]
        drawings[f"validation-{method}"] = scatter(
            points, "measured ceiling [gain]", f"{method} [gain]"
        )
    return drawings


def validation_markdown(found: Validation) -> str:
    """The page docs/validation.md; every figure on it stands in validation.json."""
    part = part_of(found)
    blocks = [
        _head(found, part),
        *_targets(found),
        "## Ceilings",
        *_ceilings(found, part),
        "## Verdicts",
        *_verdicts(found, part),
        *_rest(found),
        "## The detector",
        *detector_blocks(found["detector"]),
        "## The organism ladder",
        *ladder_blocks(found["ladder"]),
    ]
    return "\n\n".join(blocks) + "\n"


def _head(found: Validation, part: str) -> str:
    held, missing = found["split"]["held_out"], found["missing"]
    warning = "\n\n**Reduced: sizes too small to conclude anything.**" if found["reduced"] else ""
    absent = f"\n\nMissing and not measured: {', '.join(missing)}." if missing else ""
    out = "".join(f"\n- left out: {name}: {why}" for name, why in found["left_out"].items())
    reproduced = (
        "in every model and behavior"
        if found["protocol_reproduced"]
        else "not everywhere: what failed is in no verdict score"
    )
    return (
        "# The law, tested\n\nWritten by `fulcra validate`; do not edit. How the quantities are"
        f" defined: [law.md](law.md).\n\nSplit `{found['split_sha256'][:16]}`, {len(held)} lineages"
        f" held out, code `{found['code']}`, seed {found['settings']['seed']}. Shown:"
        f" {_TITLES[part]}. Protocol reproduced: {reproduced}.{warning}{absent}{out}"
    )


def _targets(found: Validation) -> list[str]:
    """What was wanted before the study, beside what was found; nothing where nothing was held
    out.
    """
    answer = {True: "yes", False: "**no**", None: "not tested"}
    rows = [[one["claim"], one["found"], answer[one["met"]]] for one in found["targets"]]
    return (
        ["## What was wanted", table(("claim on the held-out lineages", "found", "met"), rows)]
        if rows
        else []
    )


def _ceilings(found: Validation, part: str) -> list[str]:
    floor = found["noise_floor"].get(part, {})
    spent = [
        [name, number(s["median"]), _range(s), str(s["n"])]
        for name, s in found["kl_at_ceiling"].items()
    ]
    blocks = [
        (
            "MAE in alignment with its 95 % interval (lineages, then neurons), in bulk layers, in"
            " octaves of gain; bias is positive where the prediction is late. A number behind a"
            " method's name is how many other branches of the model calibrated it."
        ),
        table(_METHOD, method_rows(found["ceilings"].get(part, {}))),
        (
            f"Noise floor, the MAE of a perfect prediction: {number(floor.get('floor'))} in"
            f" alignment, {number(floor.get('log2'))} octaves (from halves of the prompts, n ="
            f" {floor.get('n', 0)}); of new luck on the same prompts alone"
            f" {number(floor.get('same_prompts', {}).get('floor'))}."
        ),
        *(
            f"![{name}](images/{name}.svg)"
            for name in ("validation-kl_ladder", "validation-surprise_ladder")
        ),
        "### Divergence at the measured ceiling",
        table(("lineage", "median [nats]", "10-90 %", "n"), spent),
    ]
    for name, scores in found["ceilings"]["lineages"].items():
        blocks += [f"### {name}", table(_METHOD, method_rows(scores))]
    return blocks


def _verdicts(found: Validation, part: str) -> list[str]:
    scores, baselines = found["verdicts"].get(part, {}), found["baselines"].get(part, {})
    known = [f"{name} AUROC {number(s['auroc'])}" for name, s in baselines.items()]
    natural = [
        [level, *(number(s["natural"].get(key)) for key in _NATURAL)] for level, s in scores.items()
    ]
    blocks = [
        (
            "L1: both edges predicted; L2: predicted ceiling, measured trigger; L3: both measured;"
            " L1_surprise, L1_flip: L1 with the ceiling of `surprise_ladder` or `flip_ladder`;"
            " L1_scaled: with .6 of `kl_ladder`, frozen on development models. Branches are drawn"
            " by predicted margin. The first AUROC is of all of them, the second of decided ones,"
            " as accuracy and what follows; p is a cluster bootstrap against the majority of each"
            " model and behavior."
        ),
        table(_LEVEL, level_rows(scores)),
        "Weighted back to randomly drawn branches:",
        table(("level", *_NATURAL), natural),
        f"Classifiers that know no edge: {', '.join(known) or 'none'}.",
    ]
    for kind in ("behaviors", "lineages"):
        for name, one in found["verdicts"][kind].items():
            blocks += [f"### {name}", table(_LEVEL, level_rows(one))]
    return blocks


def _constancy(spread: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """Whether the gain at collapse is a constant, as the factors by which it typically differs;
    nothing where neither was measured.
    """
    gain, factors = spread.get("gain", {}), []
    for key, where in (
        ("within_layer", "in a layer"),
        ("within_model", "in a model"),
        ("between_models", "between the means of models"),
    ):
        if (sd := gain.get(key)) is not None:
            factors.append(f"{math.exp(sd):.2f} {where}")
    told = "m*, the gain at collapse, differs by a typical factor (one standard deviation) of "
    least = [
        f"{where} in {min(known, key=lambda unit: known[unit])}"
        for key, where in (("within_model", "within models"), ("between_models", "between them"))
        if (known := {unit: sd for unit, s in spread.items() if (sd := s.get(key)) is not None})
    ]
    if not factors:
        return []
    return [
        f"{told}{', '.join(factors)}. A constant would have a factor of 1. Least spread:"
        f" {', '.join(least)} (alignment cannot exceed 1)."
    ]


_NATURAL = ("prevalence", "auroc", "accuracy", "balanced_accuracy", "majority_baseline", "brier")


def _rest(found: Validation) -> list[str]:
    spread, shares = (
        found["universality"]["ceiling_spread"],
        found["universality"]["trigger_variance"],
    )
    units = [
        [unit, *(number(s[key]) for key in ("within_layer", "within_model", "between_models"))]
        for unit, s in spread.items()
    ]
    parts = [
        [model, *(number(s[key]) for key in ("behavior", "branch", "residual")), str(s["n"])]
        for model, s in shares.items()
    ]
    blocks = [
        "## Universality",
        "Standard deviation of the log ceiling in each unit:",
        table(("unit", "within layer", "within model", "between models"), units),
        *_constancy(spread),
        "Share of the variance of log forecast triggers, each factor beyond the other:",
        table(("model", "behavior", "branch", "residual", "n"), parts),
        "## Outside the stated scope",
    ]
    for kind, scores in found["generality"].items():
        blocks += [f"### {kind.replace('_', ' ')}", table(_METHOD, method_rows(scores))]
    return blocks if found["generality"] else [*blocks, "Not measured."]
