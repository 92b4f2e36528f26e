"""Spreads and shares of variance against statsmodels and planted components."""

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from fulcra.formulas.variance import spreads, variance_shares


def test_shares_are_the_type_two_analysis_of_variance_of_statsmodels() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(4, size=60), rng.integers(9, size=60)
    values = rng.normal(size=4)[first] + 0.5 * rng.normal(size=9)[second] + rng.normal(size=60)
    shares = variance_shares(values, first.tolist(), second.tolist())
    table = anova_lm(
        ols("y ~ C(a) + C(b)", pd.DataFrame({"y": values, "a": first, "b": second})).fit(), typ=2
    )["sum_sq"]
    total = ((values - values.mean()) ** 2).sum()
    assert shares[:3] == pytest.approx(tuple(table / total))
    assert shares.n == 60


def test_one_factor_alone_explains_everything_it_planted() -> None:
    shares = variance_shares([1.0, 2.0, 1.0, 2.0, 1.0, 2.0], list("ababab"), list("xxyyzz"))
    assert shares[:3] == pytest.approx((1, 0, 0), abs=1e-12)
    assert math.isnan(variance_shares([1.0, 1.0], list("ab"), list("xy")).first)


def test_planted_spreads_are_found() -> None:
    rng = np.random.default_rng(0)
    models, layers = np.arange(4000) // 100, np.arange(4000) // 10
    values = (
        3 * rng.normal(size=40)[models] + rng.normal(size=400)[layers] + 0.5 * rng.normal(size=4000)
    )
    shares = spreads(values, models.tolist(), (layers % 10).tolist())
    assert shares.within_layer == pytest.approx(0.5, rel=0.05)
    assert shares.within_model == pytest.approx(math.hypot(1, 0.5), rel=0.08)
    assert shares.between_models == pytest.approx(3, rel=0.25)
    assert math.isnan(spreads([1.0, 2.0], ["a", "a"], [0, 0]).between_models)
