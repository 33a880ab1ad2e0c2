"""Deletion and insertion: take away the cells that a map holds for most important, and see what becomes of the word.

Petsiuk et al. 2018, "RISE" (arXiv:1806.07421). Deletion: the word's probability while cells are removed, the heaviest
first; a map that shows what matters makes it fall early, so a *small* area under the curve is good. Insertion: the same
while cells come back into a photo without any; a *large* area is good. An area alone says little, since some words need
nothing of the photo: so beside it stand the same areas for orders that know nothing of the map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
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


@dataclass(frozen=True, eq=False)
class Chance:
    """The probabilities of a sentence's T words along orders that know nothing of any map, at S - 1 inner cuts.

    Attributes:
        whole, nothing: (T,), in the photo and without any cell of it.
        random: (2 R, S - 1, T), for R orders drawn at random and their reverses, as more and more cells go.
        centre: (2, S - 1, T), as the cells nearest to the photo's centre go first, and as they go last.
        fading: (S - 1, T), as the whole photo fades.
    """

    whole: Floats
    nothing: Floats
    random: Floats
    centre: Floats
    fading: Floats

    def curves(self, word: int, own: Floats, second: Floats | None = None) -> tuple[Curve, Curve]:
        """Deletion and insertion of one word.

        Args:
            own: (2, S - 1), its probability as the heaviest cells of its map go first, and as they go last.
            second: the same for its second map.
        """
        return self._curve(word, own, second, 0), self._curve(word, own, second, 1)

    def _curve(self, word: int, own: Floats, second: Floats | None, direction: int) -> Curve:
        def values(middle: Floats) -> Floats:
            """(S + 1,): `middle` (S - 1,) as more and more cells are *removed*, turned for an insertion."""
            all_of_it = np.array([self.whole[word], *middle, self.nothing[word]])
            return all_of_it[::-1] if direction else all_of_it

        return Curve(
            values(own[direction]),
            area(values(own[direction])),
            # An order deletes as its reverse inserts, so these areas serve both directions.
            tuple(area(values(row[:, word])) for row in self.random),
            area(values(self.centre[direction, :, word])),
            area(values(self.fading[:, word])),
            None if second is None else area(values(second[direction])),
        )


class Course:
    """Which photos have to be read for deletion and insertion, in which order, and what their probabilities are.

    Args:
        steps: S, into how many equal parts the cells are divided.
        draws: R, orders drawn at random, each also read backwards.
        seed: of these.
    """

    def __init__(self, removal: Removal, frame: Frame, steps: int = STEPS, draws: int = DRAWS, seed: int = 0) -> None:
        self._removal, self._frame, self.steps, self._draws, self._seed = removal, frame, steps, draws, seed
        self._cells = cell_list(frame)
        self._cuts = [round(len(self._cells) * k / steps) for k in range(1, steps)]

    def chance_photos(self) -> Iterator[Photo]:
        """The photo; the photo without any cell; for each random order, and for the centre's, `order_photos`; and the
        photo fading."""
        everything = np.arange(len(self._cells))
        yield self._without(everything[:0])
        yield self._without(everything)
        rng = np.random.default_rng(self._seed)
        for _ in range(self._draws):
            yield from self.order_photos(rng.permutation(len(self._cells)))
        yield from self.order_photos(_from_the_centre(self._frame, self._cells))
        for k in range(1, self.steps):
            yield self._removal.faded(k / self.steps)

    def chance(self, p: Floats) -> Chance:
        """From the probabilities (n, T) in `chance_photos`."""
        inner = p[2:].reshape(2 * self._draws + 2 + 1, self.steps - 1, -1)
        return Chance(p[0], p[1], inner[: 2 * self._draws], inner[-3:-1], inner[-1])

    def chance_count(self) -> int:
        """How many `chance_photos` are."""
        return passes(0, self.steps, self._draws)

    def orders(self, weights: npt.NDArray[np.floating]) -> list[Order]:
        """For each word of (T, h, w), the cells (their places in `cell_list`) by falling weight. Equal weights keep
        the grid's order, on every machine."""
        flat = weights.reshape(len(weights), -1)[:, self._cells].astype(np.float64)
        return [np.argsort(-row, kind="stable") for row in flat]

    def order_photos(self, order: Order) -> Iterator[Photo]:
        """The first k parts of an order removed, k from 1 to S - 1; then the *last* k parts removed."""
        yield from (self._without(order[:cut]) for cut in self._cuts)
        # With the last k parts removed, the first S - k are there: read backwards, this is the insertion.
        yield from (self._without(order[self._cuts[-k] :]) for k in range(1, self.steps))

    def along(self, p: Floats) -> Floats:
        """(orders, 2, S - 1, T) from the probabilities (n, T) in the `order_photos` of several orders."""
        return p.reshape(-1, 2, self.steps - 1, p.shape[-1])

    def _without(self, gone: Order) -> Photo:
        removed = np.zeros(self._frame.grid, np.bool_)
        removed.ravel()[self._cells[gone]] = True
        return self._removal.without(removed)


def curves(
    reader: Reader,
    course: Course,
    weights: npt.NDArray[np.floating],
    second: npt.NDArray[np.floating] | None = None,
) -> Curves:
    """Deletion and insertion for every word of a sentence.

    Args:
        weights: (T, h, w), the maps.
        second: (T, h, w), other maps of the same words, to be compared with them.
    """
    count = len(weights)
    orders = [*course.orders(weights), *([] if second is None else course.orders(second))]
    photos = chain(course.chance_photos(), *map(course.order_photos, orders))
    p = probabilities(reader.logprobs(photos))  # (photos, T)
    split = course.chance_count()
    chance, along = course.chance(p[:split]), course.along(p[split:])
    found = [
        chance.curves(word, along[word, ..., word], None if second is None else along[count + word, ..., word])
        for word in range(count)
    ]
    return Curves(tuple(one[0] for one in found), tuple(one[1] for one in found), chance.whole, chance.nothing)


def _from_the_centre(frame: Frame, cells: Order) -> Order:
    """The cells in the order of their centres' distance from the photo's centre, in fractions of its sides."""
    places = (frame.centres() / np.asarray(frame.photo) - 0.5).reshape(-1, 2)[cells]
    return np.argsort(np.hypot(*places.T), kind="stable")
