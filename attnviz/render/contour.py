"""Contours: lines that enclose the smallest region holding a given share of a step's weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attnviz.render.overlay import Painted, box
from attnviz.render.strip import Key

if TYPE_CHECKING:
    from attnviz.render.heatmap import Scale

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

BINS = 4096  # of the histogram that finds a level: enclosed shares are right to about 1 / BINS of the peak
EVEN = 0.1  # times uniform; a map that varies by less has no lines, which would trace noise
HALO = (16, 16, 20)  # a dark edge, so that lines are seen on any photo


class Line:
    """One contour.

    Args:
        share: of the weight, that it encloses.
        colour: RGB.
        width: in pixels, on a picture of 1000 pixels.
    """

    def __init__(self, share: float, colour: tuple[int, int, int], width: float) -> None:
        self.share, self.colour, self.width = share, colour, width


LINES = (Line(0.9, (111, 205, 255), 2.2), Line(0.5, (255, 204, 77), 3.2))  # in the order of drawing
KEYS = (Key(LINES[0].colour, "90 %", "90 %"), Key(LINES[1].colour, "50 % of the weight", "50 %"))


class Contours:
    """Draws contour lines over one photo.

    Args:
        base: (H, W, 3) uint8.
        seen: (H, W) bool, the rectangle that the model saw; lines stay within it.
        opacity: of the lines.
        cells: densities are constant within cells, so lines run along their edges.
    """

    def __init__(self, base: Bytes, seen: npt.NDArray[np.bool_], opacity: float, cells: bool) -> None:
        self.blank = base
        self._part = box(seen)
        self._opacity = opacity
        self._cells = cells
        self._unit = min(max(max(base.shape[:2]) / 1000, 0.75), 3.0)

    def paint(self, density: Floats, scale: Scale) -> Painted:
        """The photo with the lines of one step's (H, W) density, and the densities on them, in the order of LINES.

        A map that varies by less than EVEN gets no lines. They do not depend on the scale: that is the bar's alone.
        """
        out = self.blank.copy()
        values = density[self._part]
        if values.size == 0 or float(np.ptp(values)) < EVEN:
            return out, ()
        slope = None if self._cells else steepness(values)
        levels = tuple(enclosing(values, line.share) for line in LINES)
        for line, level in zip(LINES, levels, strict=True):
            width = max(1.8, line.width * self._unit)
            distance = edge_distance(values >= level, width + 2) if slope is None else _distance(values, level, slope)
            for colour, reach in ((HALO, width / 2 + self._unit), (line.colour, width / 2)):
                _lay(out[self._part], colour, np.clip(reach + 0.5 - distance, 0, 1) * self._opacity)
        return out, levels


def enclosing(values: npt.NDArray[np.floating], share: float) -> float:
    """The density d for which the pixels with at least d hold `share` of the sum."""
    peak = float(values.max())
    bins = np.minimum((values.ravel() * (BINS / peak)).astype(np.int64), BINS - 1)
    mass = np.bincount(bins, values.ravel(), BINS)[::-1].cumsum()
    return float((BINS - 1 - int(np.searchsorted(mass, share * mass[-1]))) / BINS * peak)


def steepness(values: Floats) -> Floats:
    """(H, W): the length of the gradient, density a pixel."""
    down = np.gradient(values, axis=0) if values.shape[0] > 1 else np.zeros_like(values)
    across = np.gradient(values, axis=1) if values.shape[1] > 1 else np.zeros_like(values)
    return np.hypot(down, across)


def _distance(values: Floats, level: float, slope: Floats) -> Floats:
    """(H, W): pixels from the line where the density is `level`, to first order; far off on plateaus."""
    flat = slope < 1e-6 * max(float(slope.max()), 1e-30)
    return np.where(flat, np.float32(1e9), np.abs(values - np.float32(level)) / np.where(flat, 1, slope))


def edge_distance(inside: npt.NDArray[np.bool_], reach: float) -> Floats:
    """(H, W): pixels from the nearest edge between inside and outside, up to `reach`; 0.5 beside an edge."""
    distance = np.full(inside.shape, np.float32(1e9))
    for axis in (0, 1):
        other = np.moveaxis(inside, axis, 0)
        target = np.moveaxis(distance, axis, 0)
        edges = other[1:] != other[:-1]
        for step in range(int(reach) + 1):
            far = np.float32(step + 0.5)
            if edges.shape[0] <= step:
                break
            kept = edges[step:] if step else edges
            np.minimum(target[: kept.shape[0]], np.where(kept, far, 1e9), out=target[: kept.shape[0]])
            kept = edges[: edges.shape[0] - step] if step else edges
            np.minimum(target[step + 1 :], np.where(kept, far, 1e9), out=target[step + 1 :])
    return distance


def _lay(out: Bytes, colour: tuple[int, int, int], strength: Floats) -> None:
    """Lays `colour` over `out` at `strength` (H, W), where there is any."""
    where = strength > 0
    alpha = strength[where][:, None]
    out[where] = np.rint(out[where] * (1 - alpha) + np.asarray(colour, np.float32) * alpha).astype(np.uint8)
