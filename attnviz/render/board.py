"""Panels side by side above a strip: the frames of animations, and pictures with labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnviz.render.colorbar import PARTS
from attnviz.render.strip import BACKGROUND, BRIGHT, LEAST_SIZE, MIN_WIDTH
from attnviz.render.text import fitted, line_height

if TYPE_CHECKING:
    from attnviz.render.panel import Panel
    from attnviz.render.strip import Strip

Bytes = npt.NDArray[np.uint8]
Size = tuple[int, int]
Place = tuple[slice, slice]

SHAPE = 1.6  # width to height that a sheet of panels comes close to: that of screens
STRIP = 0.11  # of its width: about how high the strip below is
BLANK = 1.5  # what the share of the whole that is blank counts, beside the logarithm of the ratio of shapes
GAP = 6  # pixels between panels
LETTERS = 20  # pixels of a panel's name where it is wide enough


class Board:
    """Draws the same step of one or several panels of one size.

    Args:
        panels: of one photo.
        names: what the panels are called, written above them; none for a single one.
        strip: makes the strip for a width in pixels.
        step: of each drawn step, its index among the words.
    """

    def __init__(
        self, panels: Sequence[Panel], names: Sequence[str], strip: Callable[[int], Strip], steps: Sequence[int]
    ) -> None:
        self._panels, self._names, self._steps = panels, names, steps
        height, width = panels[0].size
        self._letters = max(LEAST_SIZE, min(LETTERS, width // 12))
        above = line_height(self._letters) if names else 0
        columns = columns_for(len(panels), (height + above, width))
        rows = -(-len(panels) // columns)
        across = columns * width + (columns - 1) * GAP
        self._strip = strip(max(across, MIN_WIDTH))
        left = (self._strip.width - across) // 2
        self._tops = [(number // columns) * (height + above + GAP) for number in range(len(panels))]
        lefts = [left + (number % columns) * (width + GAP) for number in range(len(panels))]
        self.places: list[Place] = [
            (slice(top + above, top + above + height), slice(x, x + width))
            for top, x in zip(self._tops, lefts, strict=True)
        ]
        """Rows and columns of the panels."""
        self._below = rows * (height + above) + (rows - 1) * GAP
        self.margins = [part for part in self._margins() if self._area(part)]
        """Rows and columns of what is no panel, in rectangles."""
        self.empty = np.empty((self._below + self._strip.height, self._strip.width, 3), np.uint8)
        """(H, W, 3) uint8: no attention and no words in it."""
        self.empty[:] = BACKGROUND
        for panel, place in zip(panels, self.places, strict=True):
            self.empty[place] = panel.blank
        for number, name in enumerate(names):
            self._write(self.empty, number, name)

    def _margins(self) -> Iterator[Place]:
        above = 0
        for start, stop in sorted({(rows.start, rows.stop) for rows, _ in self.places}):
            yield slice(above, start), slice(0, self._strip.width)
            left = 0
            for columns in (columns for rows, columns in self.places if rows.start == start):
                yield slice(start, stop), slice(left, columns.start)
                left = columns.stop
            yield slice(start, stop), slice(left, self._strip.width)
            above = stop
        yield slice(above, self._below + self._strip.height), slice(0, self._strip.width)

    @staticmethod
    def _area(part: Place) -> int:
        rows, columns = part
        return int((rows.stop - rows.start) * (columns.stop - columns.start))

    def draw(self, index: int, share: float = 1.0) -> Bytes:
        """(H, W, 3) uint8: a drawn step, or a part of it and the rest of the step drawn before."""
        canvas = self.empty.copy()
        own = self._panels[0].scale(index, share).name == "step" and bool(self._names)
        lines: Sequence[float] | None = None
        for number, (panel, place) in enumerate(zip(self._panels, self.places, strict=True)):
            canvas[place], lines = panel.paint(index, share)
            if own:
                self._write(canvas, number, f"{self._names[number]}  ≤{panel.scale(index, share).top:.3g}")
        scale = PARTS if own else self._panels[0].scale(index, share)
        canvas[self._below :] = self._strip.draw(self._steps[index], scale, None if self._names else lines)
        return canvas

    def _write(self, canvas: Bytes, number: int, name: str) -> None:
        """A panel's name above it."""
        top, columns = self._tops[number], self.places[number][1]
        word = fitted(name, self._letters, columns.stop - columns.start, LEAST_SIZE)
        line = Image.new("RGB", (columns.stop - columns.start, line_height(self._letters)), BACKGROUND)
        word.paste(line, (0, 0), BRIGHT)
        canvas[top : top + line.height, columns] = np.asarray(line)


def columns_for(count: int, panel: Size, most: int | None = None) -> int:
    """How many panels of (height, width) stand side by side: near a screen's shape, with little left blank."""
    height, width = panel

    def off(columns: int) -> float:
        rows, across = -(-count // columns), columns * width
        blank = 1 - count / (columns * rows)
        return abs(math.log(across / (rows * height + STRIP * across) / SHAPE)) + BLANK * blank

    return min(range(1, min(count, most or count) + 1), key=off)
