"""From image tokens to cells: in which picture, row and column each token lies, and one grid for all pictures.

A model that sees a photo several times (an overview, and tiles that enlarge it) has a grid for each. Each token's
weight is spread over the part of the photo that it stands for, by area, so that all become one map on the finest grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attnviz.errors import ModelError, counted
from attnviz.photo.frame import Frame

if TYPE_CHECKING:
    from attnviz.network import View as Which

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class View:
    """One time that the model sees the photo, whole or in part.

    Attributes:
        frame: how the photo lies on this picture and its cells.
        tokens: (h, w) the image token of each cell, counted from the first that is a cell.
        overview: whether this is the photo at a glance, beside tiles that enlarge it.
    """

    frame: Frame
    tokens: Ints
    overview: bool = False


@dataclass(frozen=True, eq=False)
class Layout:
    """All times that a model sees a photo.

    Attributes:
        views: at least one.
        count: the image tokens in all, from the first that is a cell: cells, and what stands between and behind them.
        leads: how many other tokens may stand in front, such as a class token.
    """

    views: tuple[View, ...]
    count: int
    leads: tuple[int, ...] = (0,)

    def lead(self, tokens: int) -> int:
        """How many tokens stand in front of the first cell, of so many image tokens. Raises ModelError."""
        if tokens - self.count not in self.leads:
            grids = ", ".join("x".join(map(str, view.frame.grid)) for view in self.views)
            raise ModelError(
                f"the model has {counted(tokens, 'image token')} where its preprocessing makes {self.count} "
                f"({grids} cells), so "
                "where they lie on the photo is not known; use the processor that came with the model"
            )
        return tokens - self.count

    def chosen(self, which: Which) -> Spread:
        """The views that are meant, as one map: all of them, the overview, or the tiles.

        A photo so small that the model sees it but once has one view, whatever is meant.
        """
        views = [view for view in self.views if which == "all" or view.overview == (which == "overview")] or self.views
        return Spread(tuple(views))


@dataclass(frozen=True, eq=False)
class Spread:
    """One map of several views.

    Attributes:
        views: whose weights are added up.
    """

    views: tuple[View, ...]

    @cached_property
    def frame(self) -> Frame:
        """The finest grid, over all that the tiles show."""
        tiles = [view.frame for view in self.views if not view.overview] or [self.views[0].frame]
        return tiles[0] if len(tiles) == 1 else union(tiles)

    def __call__(self, weights: Floats) -> npt.NDArray[np.float64]:
        """(T, N) weights of the image tokens, from the first that is a cell -> (T, h, w) on `frame`'s grid."""
        grid = np.zeros((len(weights), *self.frame.grid))
        for view in self.views:
            cells = weights[:, view.tokens].astype(np.float64)
            if view.frame == self.frame:
                grid += cells
            else:
                rows, columns = (_overlaps(view.frame, self.frame, axis) for axis in (0, 1))
                grid += rows @ cells @ columns.T
        return grid


def _edges(frame: Frame, axis: int) -> npt.NDArray[np.float64]:
    """The edges of a frame's cells along an axis, in pixels of the photo."""
    ticks = np.arange(frame.grid[axis] + 1) * frame.input[axis] / frame.grid[axis]
    edges: npt.NDArray[np.float64] = (ticks - frame.offset[axis]) * frame.photo[axis] / frame.resized[axis]
    return edges


def _overlaps(source: Frame, target: Frame, axis: int) -> npt.NDArray[np.float64]:
    """(target cells, source cells): the share of each source cell that lies in each target cell."""
    cells, into = _edges(source, axis), _edges(target, axis)
    shared = np.minimum(into[1:, None], cells[1:]) - np.maximum(into[:-1, None], cells[:-1])
    shares: npt.NDArray[np.float64] = np.clip(shared, 0, None) / np.diff(cells)
    shares[shares < 1e-9] = 0  # edges that meet, to rounding
    return shares


def union(tiles: Sequence[Frame]) -> Frame:
    """One frame over tiles of one scale, with as many cells as they have.

    Where a tile's cells do not reach its end (27 cells of 14 pixels in a tile of 384), the cells here are a little
    larger.
    """
    spans: list[tuple[float, float, int]] = []
    for axis in (0, 1):
        cells = {-tile.offset[axis]: tile.grid[axis] for tile in tiles}  # by their start on the resized photo
        stop = max(tile.input[axis] - tile.offset[axis] for tile in tiles)
        spans.append((min(cells), stop - min(cells), sum(cells.values())))
    (top, height, rows), (left, width, columns) = spans
    size = (round(height), round(width))
    return Frame(tiles[0].photo, size, (rows, columns), tiles[0].resized, (-top, -left))
