"""Rows whose truth was planted, for the figures that are made of them."""

import numpy as np

from fulcra.protocol.results.validation import CeilingRow, Repeats, VerdictRow


def ceilings(seed: int = 0, factor: float = 2.0, n: int = 80) -> list[CeilingRow]:
    """Two models whose kl_ladder is off by one factor and whose constant is 1."""
    rng = np.random.default_rng(seed)
    rows: list[CeilingRow] = []
    for i in range(n):
        gain = float(np.exp(rng.normal(scale=0.3)))
        repeats = Repeats(retest=gain * 1.1, halves=(gain * 1.2, gain)) if i % 4 == 0 else None
        row = CeilingRow(
            lineage=f"l{i % 2}",
            recipe="r",
            model=f"m{i % 2}",
            branch=f"n{i // 4}+",
            neuron=f"n{i // 4}",
            layer=i % 5,
            layers=5,
            last=5.0,
            budget=3.0,
            residual=6.0,
            alignment0=0.0,
            measured=gain,
            kl_at_ceiling=0.5 + i / 100,
            repeats=repeats,
            predicted={"kl_ladder": gain / factor, "family_constant": 1.0},
        )
        rows.append(row)
    return rows


def verdicts(seed: int, informed: bool) -> list[VerdictRow]:
    """Branches whose openness a margin tells, or does not."""
    rng = np.random.default_rng(seed)
    rows: list[VerdictRow] = []
    for i in range(160):
        opened = bool(rng.random() < 0.4)
        margin = (2.0 if opened else -2.0) + rng.normal() if informed else float(rng.normal())
        row = VerdictRow.model_construct(
            lineage=f"l{i % 4}",
            model=f"m{i % 4}",
            behavior="b",
            neuron=f"n{i // 2}",
            layer=i % 8,
            layers=8,
            weight=1.0 + i % 3,
            observed_open=opened,
            log_odds_margin=7.0,
            verdict="undetermined" if i % 10 == 0 else "open" if opened else "closed",
            margins={"L3": margin},
        )
        rows.append(row)
    return rows
