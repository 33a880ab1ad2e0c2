"""Where everything stands on the page, in dots from the top left corner. Whole dots, so that no pixel is resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TALLEST = 1.5  # times a panel's width; taller photos get narrower


@dataclass(frozen=True)
class Block:
    """One photo: its panels in order, each in as many rows as there are maps to compare.

    Args:
        size: (H, W) of the photo, in any unit.
        panels: the photo and its words.
        rows: maps of each word.
    """

    size: tuple[int, int]
    panels: int
    rows: int


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
    """Distances in dots: the page's width, the gap between panels, the room for words above and for labels at left."""

    width: int
    gap: int
    word: int
    label: int


def arrange(blocks: Sequence[Block], columns: int, measures: Measures) -> tuple[list[Place], int]:
    """The places of all panels, and how far down they reach."""
    room = measures.width - measures.label
    gap = min(measures.gap, room // (4 * columns))
    width = max(1, (room - gap * (columns - 1)) // columns)
    places: list[Place] = []
    y = 0
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
                    left = measures.label + column * (width + gap)
                    slot = (left, width)
                    inner = left + (width - drawn) // 2
                    places.append(Place(number, row, panel, inner, y, drawn, height, slot))
                y += height + gap
            y += gap
        y += gap if number < len(blocks) - 1 else 0
    return places, y
