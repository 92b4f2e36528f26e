"""The planned interval of an AUROC, against draws and against the published example."""

import numpy as np
import pytest

from fulcra.errors import InputError
from fulcra.formulas.auroc_error import auroc_half_width
from fulcra.formulas.classification import auroc


def test_it_is_that_of_the_published_example() -> None:
    # Hanley and McNeil 1982: 51 abnormal and 58 normal cases, area .893, standard error .0326 by
    # the approximation
    assert auroc_half_width(0.893, 51, 58) / 1.95996 == pytest.approx(0.0326, abs=0.0005)


def test_it_is_the_spread_of_drawn_scores() -> None:
    rng = np.random.default_rng(0)
    marks = np.repeat([True, False], [40, 120])
    # exponential scores have the assumed variance exactly: their ratio of rates sets the area
    scores = rng.exponential(np.where(marks, 4.0, 1.0), (2000, 160))
    values = [auroc(row, marks) for row in scores]
    assert np.mean(values) == pytest.approx(0.8, abs=0.01)
    assert auroc_half_width(0.8, 40, 120) == pytest.approx(1.96 * np.std(values), rel=0.1)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(InputError, match="a case of either kind"):
        auroc_half_width(0.9, 0, 10)
