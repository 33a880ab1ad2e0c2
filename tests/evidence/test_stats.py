"""Ranks, correlations, areas and intervals, against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from attnviz.evidence.stats import area, bootstrap, pearson, ranks, spearman

NUMBERS = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=12)


@given(NUMBERS)
def test_ranks_count_the_smaller_ones_and_share_ties(values: list[float]) -> None:
    expected = [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]
    assert ranks(values).tolist() == expected


@given(NUMBERS, st.data())
def test_spearman_is_pearson_of_ranks(values: list[float], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(-5, 5).map(float), min_size=len(values), max_size=len(values)))
    found = spearman(values, other)
    if len(set(values)) == 1 or len(set(other)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(np.corrcoef(ranks(values), ranks(other))[0, 1])
        assert spearman(np.exp(values), other) == pytest.approx(found)  # ranks are all that counts


def test_pearson_of_what_is_constant_but_for_rounding_is_none() -> None:
    assert pearson(np.full(9, 0.1), range(9)) is None
    assert pearson([1.0], [2.0]) is None


def test_area_is_the_trapezoids_mean_height() -> None:
    assert area([1, 0]) == 0.5
    assert area([1, 0, 0]) == 0.25
    assert area([0.3] * 7) == pytest.approx(0.3)


def test_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = bootstrap(rng.normal(size=40), seed=trial, draws=400)
        hits += low <= 0 <= high
    assert 0.88 <= hits / 200 <= 0.98
    with pytest.raises(ValueError, match="nothing"):
        bootstrap([])
