"""Where everything stands on the page, in dots from the top left corner. Whole dots, so that no pixel is resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TALLEST = 1.5  # times a panel's width; taller photos get narrower


@dataclass(frozen=True)
class Block:
    """One photo: its panels in order, each in as many rows as there are maps to compare, and its sentence below.

    Args:
        size: (H, W) of the photo, in any unit.
        panels: the photo and its words.
        rows: maps of each word.
        sentence: room below the panels, in dots.
    """

    size: tuple[int, int]
    panels: int
    rows: int
    sentence: int = 0


@dataclass(frozen=True)
class Place:
    """A panel's rectangle, and what it shows.

    Attributes:
        block, row, panel: which photo, which of its rows, which of its panels (0 is the photo itself).
        slot: (left, width) of the column it stands in; a tall photo is narrower.
    """

    block: int
    row: int
    panel: int
    left: int
    top: int
    width: int
    height: int
    slot: tuple[int, int]


@dataclass(frozen=True)
class Measures:
    """Distances in dots: the page's width, the gap between panels, the room for words above, for labels at left, and
    left free at the page's edges."""

    width: int
    gap: int
    word: int
    label: int
    margin: int = 0

    @property
    def room(self) -> int:
        """The width that panels may take."""
        return self.width - self.label - 2 * self.margin


@dataclass(frozen=True)
class Layout:
    """Where panels and sentences stand.

    Attributes:
        places: of all panels, in reading order.
        sentences: for each block, the top of its sentence.
        left: of the first column.
        below: how far down all of it reaches.
    """

    places: list[Place]
    sentences: list[int]
    left: int
    below: int


def widest(columns: int, measures: Measures) -> int:
    """How wide a panel is where `columns` fill the page."""
    return max(1, (measures.room - _gap(columns, measures) * (columns - 1)) // columns)


def _gap(columns: int, measures: Measures) -> int:
    return min(measures.gap, measures.room // (4 * columns))


def arrange(blocks: Sequence[Block], columns: int, measures: Measures, width: int | None = None) -> Layout:
    """Places all panels.

    Args:
        width: of a panel; by default the columns fill the page. Narrower ones stand in its middle.
    """
    gap = _gap(columns, measures)
    width = widest(columns, measures) if width is None else width
    first = measures.margin + measures.label
    if width < widest(columns, measures):
        first += max(0, measures.room - columns * width - (columns - 1) * gap) // 2
    places: list[Place] = []
    sentences = []
    y = measures.margin
    for number, block in enumerate(blocks):
        height = max(1, round(width * block.size[0] / block.size[1]))
        drawn = width
        if height > TALLEST * width:
            height = round(TALLEST * width)
            drawn = max(1, round(height * block.size[1] / block.size[0]))
        for start in range(0, block.panels, columns):
            y += measures.word
            line = range(start, min(start + columns, block.panels))
            for row in range(block.rows):
                for column, panel in enumerate(line):
                    if panel == 0 and row > 0:
                        continue
                    left = first + column * (width + gap)
                    inner = left + (width - drawn) // 2
                    places.append(Place(number, row, panel, inner, y, drawn, height, (left, width)))
                y += height + gap
            y += gap
        sentences.append(y)
        y += block.sentence
        y += gap if number < len(blocks) - 1 else 0
    return Layout(places, sentences, first, y)


def fit(blocks: Sequence[Block], measures: Measures, height: int) -> tuple[int, int]:
    """(columns, panel width) with which all stands within `height` dots, and panels are as large as can be.

    The width is 0 where nothing fits.
    """
    best = (1, 0)
    for columns in range(1, max(block.panels for block in blocks) + 1):
        low, high = 0, widest(columns, measures)
        while low < high:  # the widest that fits
            middle = (low + high + 1) // 2
            if arrange(blocks, columns, measures, middle).below <= height:
                low = middle
            else:
                high = middle - 1
        if low > best[1]:
            best = (columns, low)
    return best


def paginate(blocks: Sequence[Block], columns: int, measures: Measures, height: int) -> list[list[int]]:
    """Numbers of the blocks of each page, in order, as many as its `height` takes; a tall one stands alone."""
    pages: list[list[int]] = []
    for number in range(len(blocks)):
        if pages and arrange([blocks[i] for i in (*pages[-1], number)], columns, measures).below <= height:
            pages[-1].append(number)
        else:
            pages.append([number])
    return pages
