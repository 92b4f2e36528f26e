"""What the design of a registered study does not name, of the same branches, from its rows alone.

Ends in three classes, fixed rules, rivals turned into chances, and what the likeliest k hold.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fulcra.backtest.chance_scores import (
    Cases,
    end_calls,
    end_score,
    guards,
    rival_chances,
    top_shares,
)
from fulcra.backtest.drawn_rows import Drawn, bounded
from fulcra.backtest.registered_scores import grouped_rows, of_verdicts, ranked, sound_cases
from fulcra.formulas.calibration import log_loss
from fulcra.formulas.classification import brier
from fulcra.protocol.results.bounded import Bounded
from fulcra.protocol.results.chances import ModelChances
from fulcra.protocol.results.design import Design
from fulcra.protocol.results.study import Beside, LearnedChance, StudyCases
from fulcra.protocol.results.validation import ProtocolRow, VerdictRow

Floats = NDArray[np.float64]

#: What the chances of the study are called among their rivals.
OWN = "chances"


def grouped_beside(
    design: Design,
    rows: StudyCases,
    protocol: Sequence[ProtocolRow],
    unfinished: Sequence[str],
) -> dict[str, Beside]:
    """The figures of every group of which branches were drawn; no target rests on them."""
    sound, parts = sound_cases(protocol), grouped_rows(design, rows, unfinished)
    drawn = {
        name: [row for row in part.verdicts if row.name in sound] for name, part in parts.items()
    }
    learned = _learned([row for row in rows.verdicts if row.name in sound], rows.chances)
    return {
        name: _beside(verdicts, rows.chances, learned, design.size.seed)
        for name, verdicts in drawn.items()
        if verdicts
    }


def _learned(
    rows: Sequence[VerdictRow], models: Sequence[ModelChances]
) -> dict[tuple[str, str], dict[str, float]]:
    """The chance to open by each rival, learned on the other lineages, of every branch of a case.

    Nothing where there is no other lineage.
    """
    names = dict.fromkeys(row.lineage for row in rows)
    parts = {name: [row for row in rows if row.lineage == name] for name in names}
    cases = {name: of_verdicts(part, models) for name, part in parts.items()}
    chances: dict[tuple[str, str], dict[str, float]] = {}
    for name, part in parts.items():
        others = [other for key, other in cases.items() if key != name]
        rates = rival_chances(cases[name], others) if others else {}
        for i, row in enumerate(part):
            chances[row.name, row.branch] = {key: float(rates[key][i]) for key in rates}
    return chances


def _beside(
    rows: Sequence[VerdictRow],
    models: Sequence[ModelChances],
    learned: dict[tuple[str, str], dict[str, float]],
    seed: int,
) -> Beside:
    drawn, cases = Drawn.of(rows, seed), of_verdicts(rows, models)
    mine = [learned[row.name, row.branch] for row in rows]
    rivals = {name: np.array([each[name] for each in mine]) for name in mine[0]}
    return Beside(
        ends={name: _ends(cases, called, drawn) for name, called in end_calls(cases).items()},
        learned={
            name: _chance(cases, chances, drawn)
            for name, chances in {OWN: cases.chances[1], **rivals}.items()
        },
        guards=guards(cases),
        tops=tuple(top_shares(cases, _tokens(rows, models))),
    )


def _ends(cases: Cases, called: NDArray[np.int64], drawn: Drawn) -> Bounded:
    """The macro-F1 of ends that are called, with its interval."""
    again = [end_score(cases, called, cases.weight * draw) for draw in drawn.draws]
    return bounded(end_score(cases, called, cases.weight), np.array(again))


def _chance(cases: Cases, chances: Floats, drawn: Drawn) -> LearnedChance:
    """How good one chance to open is, [branch]."""
    return LearnedChance(
        brier=brier(chances, cases.open, cases.weight),
        log_loss=log_loss(chances, cases.open, cases.weight),
        **ranked(chances, drawn).plain(),
    )


def _tokens(rows: Sequence[VerdictRow], models: Sequence[ModelChances]) -> float:
    """The tokens that measuring one branch of the pools decodes at most, in the mean."""
    each = {
        (model.model.name, model.behavior.name): len(model.gains) * model.prompts * model.horizon
        for model in models
    }
    tokens = [each[row.model, row.behavior] for row in rows]
    return float(np.average(tokens, weights=[row.weight for row in rows]))
