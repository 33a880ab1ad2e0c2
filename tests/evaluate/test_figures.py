"""Means with intervals, by category and corrected for chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from attnviz.evaluate.figures import Figure, by_category, categories, corrected, counts


def test_categories_come_in_the_order_of_flickr30k_entities() -> None:
    types = [("zebras",), ("scene", "people"), (), ("people",), ("clothing",)]
    assert categories(types) == ["people", "clothing", "scene", "zebras"]
    assert counts(types) == {"all": 5, "people": 2, "clothing": 1, "scene": 1, "zebras": 1}
    assert categories([(), ()]) == []


def test_figures_are_the_loop_over_samples_of_photos() -> None:
    rng = np.random.default_rng(3)
    photo = [0, 0, 1, 3, 3, 3]  # photo 2 has no phrase
    types = [("people",), ("scene",), ("people", "scene"), ("people",), (), ("scene",)]
    values = {who: rng.random(6).tolist() for who in ("model", "uniform", "centre")}
    found = by_category(values, photo, types, 4, seed=5)
    assert list(found) == ["all", "people", "scene"]
    for kind, figures in found.items():
        chosen = [i for i in range(6) if kind == "all" or kind in types[i]]
        draw = np.random.default_rng(5)
        samples: dict[str, list[float]] = {name: [] for name in figures}
        for _ in range(2000):
            drawn = draw.integers(0, 4, 4).tolist()
            again = [i for number in drawn for i in chosen if photo[i] == number]
            if not again:
                continue
            means = {who: sum(values[who][i] for i in again) / len(again) for who in values}
            means["corrected"] = (means["model"] - means["uniform"]) / (1 - means["uniform"])
            means["beyond centre"] = (means["model"] - means["centre"]) / (1 - means["centre"])
            for name, value in means.items():
                samples[name].append(value)
        for who in values:
            assert figures[who].value == pytest.approx(np.mean([values[who][i] for i in chosen]))
        for name, figure in figures.items():
            assert (figure.low, figure.high) == pytest.approx(np.quantile(samples[name], [0.025, 0.975]))


PHRASES = st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1), st.floats(0, 0.9)), min_size=1, max_size=20)


@settings(max_examples=30, deadline=None)
@given(PHRASES)
def test_laws_of_figures(phrases: list[tuple[int, float, float]]) -> None:
    """Once corrected, a perfect map is 1 and an even one 0; an interval holds its mean, and lies within what can be."""
    photo, own, chance = zip(*phrases, strict=True)
    types = [()] * len(photo)

    def of(model: tuple[float, ...]) -> dict[str, Figure]:
        return by_category({"model": model, "uniform": chance, "centre": chance}, photo, types, 6)["all"]

    for figure, value in ((of((1.0,) * len(photo)), 1.0), (of(chance), 0.0)):
        for name in ("corrected", "beyond centre"):
            got = figure[name]
            assert (got.value, got.low, got.high) == pytest.approx((value, value, value), abs=1e-9)
    model = of(own)["model"]
    assert min(own) - 1e-9 <= model.low <= model.value + 1e-9
    assert model.value - 1e-9 <= model.high <= max(own) + 1e-9


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.99))
def test_correction_keeps_the_order_and_cannot_exceed_1(one: float, other: float, chance: float) -> None:
    low, high = sorted((one, other))
    assert corrected(low, chance) <= corrected(high, chance) <= 1
    assert (corrected(one, chance) > 0) == (one > chance)


def test_where_chance_is_perfect_there_is_nothing_to_correct() -> None:
    assert corrected(1.0, 1.0) == 0
    found = by_category({"model": [1.0], "uniform": [1.0]}, [0], [()], 1)["all"]
    assert set(found) == {"model", "uniform"}
