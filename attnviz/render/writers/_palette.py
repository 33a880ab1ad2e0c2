"""Pictures in 255 colours: which ones, and which of them each pixel gets.

A pixel's colour is moved by a fixed pattern (ordered dithering, Bayer 1973) on its way to a grid of 52 steps a channel,
GRID apart, and gets the palette's colour that is nearest to that point, of all. The pattern's shifts spread evenly over
two steps of the grid, next to its ends over one, so that on average a colour stays what it is. Where a picture is flat,
nothing is moved: each pixel gets the colour nearest to its own.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint32]  # colours as red | green << 8 | blue << 16

CLEAR = 255  # the palette's last entry: "as in the frame before"
GRID = 5  # of 255, which it divides: black and white are on the grid
STEPS = 255 // GRID + 1
SPREAD = 2 * GRID  # how far shifts reach from the lowest to the highest
FLAT = 8  # pixels: the pattern's own period, so that what it makes uneven would be seen
REFINED = 2  # times that colours are moved to the middle of what they stand for; more gains nothing
COMMON = 0.005  # of a picture: a colour that fills so much is in the palette as it is
MOST_COMMON = 48
_COLUMNS = 1024  # whose pattern is kept for all widths up to it
_BLOCK = 2**12  # colours that are compared at a time
ROWS = 64  # that are worked on at a time, so that they stay in the processor's cache; whole periods of the pattern


def bayer(order: int) -> npt.NDArray[np.float64]:
    """(2^order, 2^order): the threshold matrix of ordered dithering, evenly spread within 0 to 1."""
    matrix = np.zeros((1, 1))
    for _ in range(order):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix + 0.5) / matrix.size


PATTERN = bayer(3)


def grid_steps() -> npt.NDArray[np.int32]:
    """(64, 256): the grid's step that a value becomes, at each place of the pattern, row by row."""
    values = np.arange(256)
    spread = np.where(np.minimum(values, 255 - values) < GRID, GRID, SPREAD)
    return np.floor((values + (PATTERN.reshape(-1, 1) - 0.5) * spread) / GRID + 0.5).astype(np.int32)


_BY_CHANNEL = tuple((grid_steps() * STEPS**power).reshape(-1) for power in range(3))


@lru_cache(maxsize=4)
def _places(width: int) -> npt.NDArray[np.uint16]:
    """(ROWS, width): 256 times a pixel's place in the pattern, to which its value is added."""
    rows, columns = np.arange(ROWS)[:, None] % 8, np.arange(width) % 8
    return np.asarray(256 * (8 * rows + columns), np.uint16)


class Palette:
    """Colours, and the nearest of them to any other. Its methods may be called from several threads.

    Args:
        colours: (n, 3) uint8, n up to 255.
    """

    def __init__(self, colours: Bytes) -> None:
        # Of equal colours the first is taken, so what fills the palette up is never met, nor is the clear entry.
        filled = np.concatenate([colours, np.repeat(colours[:1], CLEAR + 1 - len(colours), axis=0)])
        self.colours: Bytes = filled
        self._grid = np.full(STEPS**3, CLEAR, np.uint8)  # CLEAR: not looked for yet
        self._exact: Bytes | None = None

    @classmethod
    def of(cls, samples: Bytes, fixed: Bytes) -> Palette:
        """Colours for pictures of which (n, 3) samples are given; `fixed` ones, (m, 3), are in it at any rate.

        Pillow's octree chooses; then each colour is moved to the mean of the samples that are nearest to it, which is
        what makes a picture as bright as it was, and what fills a good part of the picture is put in as it is.
        """
        free = CLEAR - len(fixed)
        chosen = Image.fromarray(samples[None]).quantize(free, Image.Quantize.FASTOCTREE)
        colours = np.frombuffer(bytes(chosen.getpalette() or ()), np.uint8).reshape(-1, 3)[:free]
        colours = np.concatenate([fixed, colours])
        for _ in range(REFINED):
            nearest = nearest_of(samples, colours)
            count = np.bincount(nearest, minlength=len(colours))
            sums = np.stack([np.bincount(nearest, samples[:, i], len(colours)) for i in range(3)], axis=-1)
            moved = np.rint(sums / np.maximum(count, 1)[:, None]).astype(np.uint8)
            used = (count > 0) & (np.arange(len(colours)) >= len(fixed))
            colours = np.where(used[:, None], moved, colours)
        return cls(_with_common(colours, samples, len(fixed)))

    def dithered(self, pixels: Bytes) -> Bytes:
        """(H, W) indices of (H, W, 3) pixels, by way of the pattern."""
        height, width = pixels.shape[:2]
        places = _places(-(-width // _COLUMNS) * _COLUMNS)[:, :width]
        indices = np.empty((height, width), np.uint8)
        for top in range(0, height, ROWS):
            part = pixels[top : top + ROWS]
            cells = np.zeros(part.shape[:2], np.int32)
            for channel, table in enumerate(_BY_CHANNEL):
                cells += np.take(table, places[: len(part)] | part[..., channel])
            found = np.take(self._grid, cells)
            if (found == CLEAR).any():
                self._look_up(cells[found == CLEAR])
                found = np.take(self._grid, cells)
            indices[top : top + ROWS] = found
        return indices

    def _look_up(self, cells: npt.NDArray[np.int32]) -> None:
        """Finds the nearest colours to some points of the grid, once for all."""
        wanted = np.zeros(len(self._grid), np.bool_)
        wanted[cells] = True
        found = np.flatnonzero(wanted)
        points = np.stack([found // STEPS**power % STEPS for power in range(3)], axis=-1) * GRID
        self._grid[found] = nearest_of(points, self.colours[:CLEAR])

    def exact(self, keys: Keys) -> Bytes:
        """Indices of the colours nearest to those given, of whatever shape."""
        if self._exact is None:
            self._exact = np.full(2**24, CLEAR, np.uint8)
        indices = np.take(self._exact, keys)
        missing = keys[indices == CLEAR]
        if missing.size:
            found = distinct(missing)[0]
            self._exact[found] = nearest_of(colours_of(found), self.colours[:CLEAR])
            indices = np.take(self._exact, keys)
        return indices


def nearest_of(points: npt.NDArray[np.generic], colours: Bytes) -> Bytes:
    """(n,): for each of (n, 3) points the first of (m, 3) colours that is nearest in RGB."""
    # |p - c|^2 = |p|^2 + |c|^2 - 2 p.c, of which |p|^2 is the same for all c. In whole numbers up to 2^18, exact here.
    table = colours.astype(np.float32)
    squares = (table * table).sum(axis=1)
    found = np.empty(len(points), np.uint8)
    for start in range(0, len(points), _BLOCK):
        distances = points[start : start + _BLOCK].astype(np.float32) @ (-2 * table.T)
        distances += squares
        found[start : start + _BLOCK] = distances.argmin(axis=1)
    return found


def keys_of(pixels: Bytes) -> Keys:
    """(H, W) keys of (H, W, 3) pixels."""
    packed = np.frombuffer(Image.fromarray(pixels).tobytes("raw", "RGBX"), "<u4").reshape(pixels.shape[:2])
    return packed & np.uint32(0xFFFFFF)


def colours_of(keys: Keys) -> Bytes:
    """(n, 3) colours of (n,) keys."""
    return np.stack([keys & 255, keys >> 8 & 255, keys >> 16], axis=-1).astype(np.uint8)


def distinct(keys: Keys) -> tuple[Keys, npt.NDArray[np.intp]]:
    """The different ones of some keys, in order, and how many there are of each."""
    ordered = np.sort(keys, axis=None)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[first], np.diff(first, append=ordered.size)


def flat(keys: Keys) -> Bools:
    """(H, W): where the pixel FLAT to the left or right, and the one FLAT above or below, have the same colour."""
    sides = []
    for turned in (keys, keys.T):
        same = turned[:, FLAT:] == turned[:, :-FLAT]
        either = np.zeros(turned.shape, np.bool_)
        either[:, FLAT:] |= same
        either[:, : max(0, turned.shape[1] - FLAT)] |= same
        sides.append(either)
    found: Bools = sides[0] & sides[1].T
    return found


def flat_part(keys: Keys, part: tuple[slice, slice]) -> Bools:
    """What `flat` says of a part of the keys, without looking at more than stands within FLAT of it."""
    reach = tuple(slice(max(0, side.start - FLAT), side.stop + FLAT) for side in part)
    rows, columns = (
        slice(side.start - far.start, side.stop - far.start) for side, far in zip(part, reach, strict=True)
    )
    return flat(keys[reach])[rows, columns]


def _with_common(colours: Bytes, samples: Bytes, fixed: int) -> Bytes:
    """The colours, the nearest of which make room for those that fill a good part of the samples."""
    values, counts = distinct(keys_of(samples[None]))
    common = np.argsort(-counts, kind="stable")[:MOST_COMMON]
    wanted = colours_of(values[common[counts[common] >= COMMON * len(samples)]])
    colours, taken = colours.copy(), np.arange(len(colours)) < fixed
    for colour in wanted:
        if (colours == colour).all(axis=1).any():
            taken |= (colours == colour).all(axis=1)
            continue
        distances = ((colours.astype(int) - colour) ** 2).sum(axis=1)
        place = int(np.where(taken, distances.max() + 1, distances).argmin())
        colours[place], taken[place] = colour, True
    return colours
