"""Ranks, correlations, areas and intervals, against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from attnviz.stats import BLOCK, area, bootstrap, interval, pearson, ranks, resampled, spearman

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


def test_bootstrap_is_the_loop_over_samples() -> None:
    values = np.random.default_rng(1).normal(size=7)
    rng = np.random.default_rng(5)
    means = [np.mean([values[i] for i in rng.integers(0, 7, 7)]) for _ in range(50)]
    assert bootstrap(values, seed=5, draws=50) == pytest.approx(np.quantile(means, [0.025, 0.975]))


@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 5)), min_size=1, max_size=9), st.integers(0, 99))
def test_what_belongs_to_a_row_is_drawn_with_it(rows: list[tuple[float, int]], seed: int) -> None:
    array = np.array(rows)
    sums = resampled(np.column_stack([array, array.sum(axis=1), np.ones(len(array))]), seed, draws=40)
    np.testing.assert_allclose(sums[:, 2], sums[:, 0] + sums[:, 1], atol=1e-9)
    assert (sums[:, 3] == len(array)).all()
    np.testing.assert_array_equal(resampled(array, seed, draws=40), sums[:, :2])
    low, high = interval(sums[:, 0])
    assert array[:, 0].min() * len(array) - 1e-9 <= low <= high <= array[:, 0].max() * len(array) + 1e-9


def test_a_large_sample_is_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 2))
    whole = resampled(rows, 3, draws=50)
    monkeypatch.setattr("attnviz.stats.BLOCK", 70)
    np.testing.assert_allclose(resampled(rows, 3, draws=50), whole)
    assert BLOCK > 70
    with pytest.raises(ValueError, match="nothing"):
        resampled(np.zeros((0, 2)))
