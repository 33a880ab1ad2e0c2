"""Deletion and insertion: take away the cells that a map holds for most important, and see what becomes of the word.

Petsiuk et al. 2018, "RISE" (arXiv:1806.07421). Deletion: the word's probability while cells are removed, the heaviest
first; a map that shows what matters makes it fall early, so a *small* area under the curve is good. Insertion: the same
while cells come back into a photo without any; a *large* area is good. An area alone says little, since some words need
nothing of the photo: so beside it stand the same areas for orders that know nothing of the map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attnviz.evidence.reading import probabilities
from attnviz.stats import area

if TYPE_CHECKING:
    from attnviz.evidence.reading import Reader
    from attnviz.evidence.removal import Removal
    from attnviz.photo.frame import Frame
    from attnviz.photo.image import Photo

STEPS = 10
DRAWS = 5

Floats = npt.NDArray[np.float64]
Order = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Curve:
    """A word's probability while cells go, or come back.

    Attributes:
        values: (S + 1,), at shares 0, 1/S, ..., 1 of the cells.
        area: under it, in [0, 1]: its mean height.
        random: the areas of orders drawn at random.
        centre: the area where the cells nearest to the photo's centre come first.
        uniform: the area where the whole photo fades alike.
        second: the area in the order of the network's second map; None where it has none.
    """

    values: Floats
    area: float
    random: tuple[float, ...]
    centre: float
    uniform: float
    second: float | None = None


@dataclass(frozen=True, eq=False)
class Curves:
    """What `curves` found: one Curve a word and direction, and the words' probabilities in the photo and without it."""

    deletion: tuple[Curve, ...]
    insertion: tuple[Curve, ...]
    whole: Floats  # (T,)
    nothing: Floats  # (T,)


def cell_list(frame: Frame) -> Order:
    """The numbers of the cells that show some of the photo, row by row; the others cannot be removed."""
    return np.flatnonzero(frame.coverage().ravel() > 0)


def passes(maps: int, steps: int = STEPS, draws: int = DRAWS) -> int:
    """How many photos `curves` reads for so many maps."""
    return 2 + (steps - 1) * (2 * maps + 2 * draws + 2 + 1)


def curves(
    reader: Reader,
    removal: Removal,
    frame: Frame,
    weights: npt.NDArray[np.floating],
    second: npt.NDArray[np.floating] | None = None,
    *,
    steps: int = STEPS,
    draws: int = DRAWS,
    seed: int = 0,
) -> Curves:
    """Deletion and insertion for every word of a sentence.

    Args:
        weights: (T, h, w), the maps.
        second: (T, h, w), other maps of the same words, to be compared with them.
        steps: S, into how many equal parts the cells are divided.
        draws: orders drawn at random, each also read backwards.
        seed: of these.
    """
    count, cells = len(weights), cell_list(frame)
    own = _heaviest_first(weights, cells)
    others = [] if second is None else _heaviest_first(second, cells)
    rng = np.random.default_rng(seed)
    random = [rng.permutation(len(cells)) for _ in range(draws)]
    centre = _from_the_centre(frame, cells)
    orders: list[Order] = [*own, *random, *others, centre]
    read = reader.logprobs(_photos(removal, frame, cells, orders, steps))
    p = probabilities(read)  # (photos, T)
    whole, nothing = p[0], p[1]
    inner = p[2:].reshape(-1, steps - 1, count)
    forward, backward, fading = inner[: len(orders)], inner[len(orders) : 2 * len(orders)], inner[-1]

    def curve(middle: Floats, word: int, insert: bool) -> Floats:
        """(S + 1,) of one word: `middle` (S - 1, T) as more and more cells are *removed*, turned for an insertion."""
        values = np.array([whole[word], *middle[:, word], nothing[word]])
        return values[::-1] if insert else values

    # An order deletes as its reverse inserts, so the areas of random orders and their reverses serve both directions.
    shuffled = [*forward[count : count + draws], *backward[count : count + draws]]

    def made(word: int, insert: bool) -> Curve:
        removing = backward if insert else forward
        values = curve(removing[word], word, insert)
        return Curve(
            values,
            area(values),
            tuple(area(curve(row, word, insert)) for row in shuffled),
            area(curve(removing[-1], word, insert)),
            area(curve(fading, word, insert)),
            area(curve(removing[count + draws + word], word, insert)) if others else None,
        )

    words = range(count)
    return Curves(
        tuple(made(word, insert=False) for word in words),
        tuple(made(word, insert=True) for word in words),
        whole,
        nothing,
    )


def _heaviest_first(weights: npt.NDArray[np.floating], cells: Order) -> list[Order]:
    """For each word, the places in `cells` by falling weight. Equal weights keep the grid's order, on every machine."""
    flat = weights.reshape(len(weights), -1)[:, cells].astype(np.float64)
    return [np.argsort(-row, kind="stable") for row in flat]


def _photos(removal: Removal, frame: Frame, cells: Order, orders: list[Order], steps: int) -> Iterator[Photo]:
    """The photo; the photo without any cell; for each order the first k parts removed, k from 1 to S - 1; for each
    order the *last* k parts removed; and the photo fading."""

    def without(gone: Order) -> Photo:
        removed = np.zeros(frame.grid, np.bool_)
        removed.ravel()[cells[gone]] = True
        return removal.without(removed)

    everything = np.arange(len(cells))
    yield without(everything[:0])
    yield without(everything)
    cuts = [round(len(cells) * k / steps) for k in range(1, steps)]
    for order in orders:
        yield from (without(order[:cut]) for cut in cuts)
    for order in orders:
        # With the last k parts removed, the first S - k are there: read backwards, this is the insertion.
        yield from (without(order[cuts[-k] :]) for k in range(1, steps))
    for k in range(1, steps):
        yield removal.faded(k / steps)


def _from_the_centre(frame: Frame, cells: Order) -> Order:
    """The cells in the order of their centres' distance from the photo's centre, in fractions of its sides."""
    places = (frame.centres() / np.asarray(frame.photo) - 0.5).reshape(-1, 2)[cells]
    return np.argsort(np.hypot(*places.T), kind="stable")
