"""The overview: every word's picture in one sheet, the word above it, the sentence and the colour bar below.

Compared traces have a row each, and words that do not fit side by side go on below. A sheet is as wide as screens and
pages show it without making its letters too small to read, and comes close to their shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnviz.errors import counted
from attnviz.render.board import GAP, columns_for
from attnviz.render.colorbar import PARTS
from attnviz.render.strip import BACKGROUND, BRIGHT, FAINT, LEAST_SIZE, MIN_WIDTH, Strip, marked
from attnviz.render.text import Word, fitted, line_height, word

if TYPE_CHECKING:
    from attnviz.render.heatmap import Scale
    from attnviz.render.pictures import Pictures

Bytes = npt.NDArray[np.uint8]

WIDTH = 1600  # pixels of the sheet, at most
LEAST_SLOT = 150  # pixels of a column, at least: room for a word
MOST_PICTURES = 300  # what is beyond is counted, not drawn
PAD = 14
ROOM = 10  # between rows of words
SMALLEST, LARGEST = 18, 30  # letters of the words


@dataclass(frozen=True)
class Grid:
    """How a sheet is laid out: words side by side, their pictures' size, the width of their column, the letters."""

    columns: int
    tile: tuple[int, int]
    slot: int
    letters: int


class Overview:
    """Draws the sheet of a set of pictures.

    Args:
        pictures: what there is to draw.
    """

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._rows = len(pictures.traces)
        self._count = min(len(pictures), max(1, MOST_PICTURES // self._rows))  # of the words
        self._words = marked(pictures.trace.tokens, pictures.trace.logprobs)
        self._side = line_height(LARGEST) if self._rows > 1 else 0  # room for the rows' names
        self._grid = self._lay_out()
        self._header = line_height(self._grid.letters) + 2

    @staticmethod
    def _letters_of(slot: int) -> int:
        return max(SMALLEST, min(LARGEST, slot // 9))

    def _lay_out(self) -> Grid:
        height, width = self._pictures.size
        room = WIDTH - 2 * PAD - self._side
        count = self._count + 1  # the photo itself is the first
        above = SMALLEST * 1.6
        most = max(1, (room + GAP) // (LEAST_SLOT + GAP))
        columns = columns_for(count, (round(self._rows * height + above * width / LEAST_SLOT / 2), width), most)
        slot = (room - (columns - 1) * GAP) // columns
        shown = min(1.0, slot / width, 1.25 * slot / height)  # a tall photo does not fill its column
        tile = max(1, round(height * shown)), max(1, round(width * shown))
        slot = min(slot, max(tile[1], LEAST_SLOT))
        return Grid(columns, tile, slot, self._letters_of(slot))

    @cached_property
    def _strip(self) -> Strip:
        trace = self._pictures.trace
        return Strip(trace.tokens, trace.logprobs, self.size_across, self._pictures.legend)

    @property
    def size_across(self) -> int:
        """The sheet's width in pixels."""
        grid = self._grid
        return max(MIN_WIDTH, 2 * PAD + self._side + grid.columns * (grid.slot + GAP) - GAP)

    def draw(self) -> Bytes:
        """(H, W, 3) uint8."""
        grid, pictures = self._grid, self._pictures
        block = self._header + self._rows * (grid.tile[0] + GAP) + ROOM
        blocks = -(-(self._count + 1) // grid.columns)
        left_out = len(pictures) - self._count
        below = PAD + blocks * block + (self._header if left_out else 0)
        sheet = Image.new("RGB", (self.size_across, below + self._strip.height), BACKGROUND)
        longest = max(grid.tile)
        own = pictures.options.scale == "step"
        panels = [pictures.panel(number, longest) for number in range(self._rows)]
        for place in range(self._count + 1):
            top, x = PAD + place // grid.columns * block, PAD + self._side + place % grid.columns * (grid.slot + GAP)
            for row, panel in enumerate(panels if place else panels[:1]):
                pixels = panel.paint(place - 1)[0] if place else pictures.small(longest)
                at = x + (grid.slot - pixels.shape[1]) // 2, top + self._header + row * (grid.tile[0] + GAP)
                sheet.paste(Image.fromarray(pixels), at)
                if own and place:
                    self._corner(sheet, panel.scale(place - 1), (at[0] + pixels.shape[1], at[1] + pixels.shape[0]))
            if place:
                self._word(place - 1).paste(sheet, (x + (grid.slot - self._word(place - 1).width) // 2, top), BRIGHT)
        if self._side:
            self._name_rows(sheet, blocks, block)
        if left_out:
            told = f"and {counted(left_out, 'more word')}"
            more = fitted(told, grid.letters, self.size_across - 2 * PAD, LEAST_SIZE)
            more.paste(sheet, (PAD, below - self._header), FAINT)
        sheet.paste(Image.fromarray(self._strip.draw(None, PARTS if own else pictures.scales[0], None)), (0, below))
        return np.asarray(sheet)

    def _word(self, index: int) -> Word:
        """What stands above a step's pictures."""
        return fitted(self._words[self._pictures.steps[index]], self._grid.letters, self._grid.slot, LEAST_SIZE)

    def _corner(self, sheet: Image.Image, scale: Scale, corner: tuple[int, int]) -> None:
        """A scale of its own, told within the picture."""
        drawn = word(f"≤{scale.top:.3g}", LEAST_SIZE)
        at = corner[0] - drawn.width - 6, corner[1] - drawn.mask.height - 4
        sheet.paste(BACKGROUND, (at[0] - 3, at[1] - 1, at[0] + drawn.width + 3, at[1] + drawn.mask.height + 1))
        drawn.paste(sheet, at, BRIGHT)

    def _name_rows(self, sheet: Image.Image, blocks: int, block: int) -> None:
        """The compared traces' names at the left, from bottom to top."""
        height = self._grid.tile[0]
        size = self._grid.letters
        longest = max(word(name, size).width for name in self._pictures.names)
        size = max(LEAST_SIZE, min(size, size * height // longest))  # of all names, so that they look alike
        for number, name in enumerate(self._pictures.names):
            drawn = fitted(name, size, height, LEAST_SIZE)
            line = Image.new("RGB", (height, line_height(size)), BACKGROUND)
            drawn.paste(line, ((height - drawn.width) // 2, 0), BRIGHT)
            upright = line.transpose(Image.Transpose.ROTATE_90)
            for top in range(PAD + self._header, PAD + self._header + blocks * block, block):
                sheet.paste(upright, (PAD, top + number * (height + GAP)))
