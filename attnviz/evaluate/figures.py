"""From values of phrases to figures: means with 95 % intervals, by category, beside chance.

Intervals: photos are drawn with replacement (`stats.resampled`, 2,000 samples), each with all its phrases, since those
of one photo are no independent observations. A figure is the mean over phrases, so a sample's is the sum of what its
photos' phrases reach over the number of these.

Corrected for chance: (observed - chance) / (1 - chance), as Cohen's kappa is (Cohen 1960), where chance is what the
same phrases reach by chance: 0 is no better than that, 1 is perfect, below 0 is worse. Chance is the uniform map (for
points: a random cell or pixel) for `corrected`, the centre of the photo for `beyond centre`. Both are means over
phrases before they are divided, and both are drawn together in an interval. A share of the peak at which maps are cut
off stays the one that was chosen on all photos.

Categories are those of Flickr30k Entities (Plummer et al. 2015), as the data name them. A phrase of two categories
counts in both; `all` counts every phrase once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attnviz.stats import interval, resampled

CATEGORIES = ("people", "clothing", "bodyparts", "animals", "vehicles", "instruments", "scene", "other")
"""Of Flickr30k Entities, in their order; others come after, by name."""

ALL = "all"

CORRECTED = {"corrected": "uniform", "beyond centre": "centre"}
"""Figures of the model that are corrected for chance, and whose figure is chance."""


@dataclass(frozen=True)
class Figure:
    """A figure, and the 95 % interval from `low` to `high`."""

    value: float
    low: float
    high: float


Rows = Mapping[str, Sequence[float]]
"""Who -> a value for each phrase."""


def categories(types: Iterable[Sequence[str]]) -> list[str]:
    """The categories that occur, in the order of Flickr30k Entities."""
    found = {kind for kinds in types for kind in kinds}
    return [*(kind for kind in CATEGORIES if kind in found), *sorted(found - set(CATEGORIES))]


def counts(types: Sequence[Sequence[str]]) -> dict[str, int]:
    """Category (`all` first) -> how many phrases it has."""
    return {ALL: len(types), **{kind: sum(kind in kinds for kinds in types) for kind in categories(types)}}


def by_category(
    values: Rows, photo: Sequence[int], types: Sequence[Sequence[str]], photos: int, seed: int = 0
) -> dict[str, dict[str, Figure]]:
    """Category (`all` first) -> who -> the mean over its phrases; with the corrected figures among who.

    Args:
        values: who -> one value a phrase, in [0, 1]; the `model` among them.
        photo: the number of each phrase's photo, below `photos`.
        types: the categories of each phrase.
        photos: how many there are, with those that have no phrase.
    """
    numbers, found = np.asarray(photo), {}
    for kind in (ALL, *categories(types)):
        chosen = np.array([kind == ALL or kind in kinds for kinds in types], bool)
        columns = {who: np.asarray(row, float)[chosen] for who, row in values.items()}
        found[kind] = _means(columns, numbers[chosen], photos, seed)
    return found


def _means(columns: Mapping[str, np.ndarray], photo: np.ndarray, photos: int, seed: int) -> dict[str, Figure]:
    count = np.bincount(photo, minlength=photos)
    sums = np.stack([count, *(np.bincount(photo, row, minlength=photos) for row in columns.values())], axis=1)
    drawn = resampled(sums, seed)
    drawn = drawn[drawn[:, 0] > 0]  # a sample of photos without such a phrase says nothing of it
    samples = dict(zip(columns, (drawn[:, 1:] / drawn[:, :1]).T, strict=True))
    means = {who: float(row.mean()) for who, row in columns.items()}
    for name, chance in CORRECTED.items():
        if chance in means and "model" in means and means[chance] < 1:
            means[name] = float(corrected(means["model"], means[chance]))
            samples[name] = corrected(samples["model"], samples[chance])
    return {who: Figure(value, *interval(samples[who])) for who, value in means.items()}


def corrected(observed: float | np.ndarray, chance: float | np.ndarray) -> np.ndarray:
    """(observed - chance) / (1 - chance); 0 where chance reaches all there is to reach."""
    room = 1 - np.asarray(chance, float)
    return np.where(room > 0, (observed - np.asarray(chance)) / np.where(room > 0, room, 1.0), 0.0)
