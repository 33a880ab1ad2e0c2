"""One trace on one photo, at one size: its densities, painted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attnviz.render.contour import KEYS, Contours
from attnviz.render.outline import HALO, LINE, outline
from attnviz.render.overlay import Overlay, dimmed, table
from attnviz.trace.regions import regions_of

if TYPE_CHECKING:
    from attnviz.photo.frame import Frame
    from attnviz.render.heatmap import Scale
    from attnviz.render.options import DrawOptions
    from attnviz.render.overlay import Painted
    from attnviz.render.strip import Key
    from attnviz.trace import Trace

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Size = tuple[int, int]

KEPT = 2**24  # bytes of levels
STRONG = 4  # how often a strong pixel counts when colours are chosen


class Panel:
    """Paints the steps of a trace. Methods may be called from several threads.

    Args:
        trace: what to paint.
        frame: how its grid lies on the photo.
        pixels: (H, W, 3) uint8, the photo at the panel's size.
        steps: the drawn ones.
        scales: of each of them.
        options: how to draw.
    """

    def __init__(
        self,
        trace: Trace,
        frame: Frame,
        pixels: Bytes,
        steps: Sequence[int],
        scales: Sequence[Scale],
        options: DrawOptions,
    ) -> None:
        self.size: Size = (pixels.shape[0], pixels.shape[1])
        self._density, self._frame, self._steps, self._scales = trace.density, frame, steps, scales
        self._weights = trace.weights
        self._options = options
        seen = frame.seen(self.size)
        self._base = dimmed(pixels, seen)
        self._painter = self._paint_on(self._base, seen)
        self._kept: dict[int, Bytes] = {}
        self.blank = self._painter.blank  # the picture of no attention at all

    def density(self, index: int, share: float = 1.0) -> Floats:
        """(H, W) float32 on the picture's pixels, in times uniform, NaN where the model saw nothing.

        Args:
            index: which of the drawn steps.
            share: below 1, that much of it and the rest of the step drawn before.
        """
        grid = self._density[self._steps[index]]
        if share < 1:
            grid = np.float32(share) * grid + np.float32(1 - share) * self._density[self._steps[index - 1]]
        return self._frame.upsample(grid, self.size, self._options.cells)

    def scale(self, index: int, share: float = 1.0) -> Scale:
        """The scale of a step, or one between it and that of the step drawn before."""
        scale = self._scales[index]
        if share == 1 or scale.name != "step":
            return scale
        return replace(scale, top=share * scale.top + (1 - share) * self._scales[index - 1].top)

    def paint(self, index: int, share: float = 1.0) -> Painted:
        """The photo with a step's heatmap, and the densities on its lines."""
        if isinstance(self._painter, Contours):
            painted, lines = self._painter.paint(self.density(index, share), self.scale(index, share))
        else:
            painted, lines = self._painter.paint_levels(self._levels(index, share)), ()
        if self._options.regions:
            outline(painted, self._boxes(index))
        return painted, lines

    def _levels(self, index: int, share: float) -> Bytes:
        """(H, W) uint8; those of whole steps are kept, as far as there is room: most formats show them."""
        levels = self._kept.get(index) if share == 1 else None
        if levels is None:
            levels = self.scale(index, share).levels(self.density(index, share))
            if share == 1 and (len(self._kept) + 1) * levels.size <= KEPT:
                self._kept[index] = levels
        return levels

    def _boxes(self, index: int) -> list[tuple[float, ...]]:
        """The boxes of a step's regions, in pixels of the picture."""
        factors = [size / side for size, side in zip(self.size, self._frame.photo, strict=True)] * 2
        found = regions_of(self._weights[self._steps[index]], self._frame)
        return [tuple(edge * factor for edge, factor in zip(one.box, factors, strict=True)) for one in found]

    def samples(self, count: int) -> Bytes:
        """(n, 3) uint8, n a few times `count` at most: pixels of the photo, and the painted ones of all steps.

        Those of the strong half of the bar are repeated: they are few, and the colours that matter most.
        """
        stride = max(1, round((math.prod(self.size) * (len(self._steps) + 1) / count) ** 0.5))
        grid = slice(stride // 2 if min(self.size) > stride else 0, None, stride)
        base = self._base[grid, grid]
        size = (base.shape[0], base.shape[1])
        # What was seen at this size, as the densities have it: a part of the whole mask may be off by a pixel.
        painter = self._paint_on(base, self._frame.seen(size))
        densities = self._frame.upsample(self._density[list(self._steps)], size, self._options.cells)
        found = [painter.blank.reshape(-1, 3)]
        if self._options.regions:
            found.append(np.repeat(np.array([HALO, LINE], np.uint8), max(1, count // 200), axis=0))
        for density, scale in zip(densities, self._scales, strict=True):
            part = painter.paint(density, scale)[0]
            found.append(part[(part != painter.blank).any(axis=2)])
            found += [part[density >= scale.at(np.array(0.5))]] * (STRONG - 1)
        return np.concatenate(found)

    def _paint_on(self, base: Bytes, seen: npt.NDArray[np.bool_]) -> Overlay | Contours:
        """What paints densities of the base's size over it."""
        key = legend(self._options)
        if isinstance(key, np.ndarray):
            return Overlay(base, key)
        return Contours(base, seen, self._options.strength, self._options.cells)


def legend(options: DrawOptions) -> Bytes | Sequence[Key]:
    """What explains the colours: the overlay's table (see `overlay`), or the keys of contour lines."""
    return KEYS if options.style == "contour" else table(options.style, options.cmap, options.strength)
