"""The legend of a figure: numbered colour bars, or the keys of contour lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnviz.render import colorbar
from attnviz.render.contour import KEYS
from attnviz.render.figure.panels import arm_tables
from attnviz.render.overlay import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from attnviz.render.figure.words import Letters
    from attnviz.render.heatmap import Scale
    from attnviz.render.options import DrawOptions

Bytes = npt.NDArray[np.uint8]

STEPS = 256  # of a bar
SMALL = 0.82  # of the words' size
LEAST_SMALL = 5.0  # points
WIDEST = 27.0  # letters' heights: longer bars say no more
LINE = 1.25  # of a line of text, in its size

TITLES = {
    "log": ("attention, times uniform", "× uniform"),
    "linear": ("attention, times uniform · fixed scale", "× uniform · fixed scale", "× uniform"),
    "shared": ("attention, times uniform", "× uniform"),
    "step": (
        "attention, % of each panel's largest (in its corner, × uniform)",
        "% of each panel's largest (in its corner, × uniform)",
        "% of the panel's largest",
    ),
}
DIFFERENCE = {
    "log": ("difference from {}, times uniform", "difference, × uniform", "difference"),
    "linear": ("difference from {}, times uniform · fixed scale", "difference, × uniform", "difference"),
    "shared": ("difference from {}, times uniform", "difference, × uniform", "difference"),
    "step": ("difference from {}, % of each panel's largest", "difference, % of the panel's largest", "difference"),
}


@dataclass(frozen=True)
class Bar:
    """A bar: its colours, (position from 0 to 1, number) marks, possible titles, and where painting begins."""

    colours: Bytes
    marks: list[tuple[float, str]]
    titles: Sequence[str]
    thresholds: tuple[float, ...]


def density_bar(scale: Scale, options: DrawOptions) -> Bar:
    """The bar of the maps."""
    overlay = table(options.style, options.cmap, options.strength)
    gradient = colorbar.gradient(scale, overlay, (1, STEPS))
    onset = colorbar.onset(scale)
    return Bar(
        gradient,
        _marks(scale),
        colorbar.titles(scale, TITLES),
        () if onset is None else (onset,),
    )


def difference_bar(scale: Scale, first: str, opacity: float | None) -> Bar:
    """The bar of the differences, from less at left to more at right."""
    more, less = (colorbar.gradient(scale, arm, (1, STEPS // 2)) for arm in arm_tables(opacity))
    marks = _marks(scale)
    low = [(0.5 - position / 2, f"−{label}".replace("−≥", "≤−")) for position, label in marks[:0:-1]]
    middle = (0.5, marks[0][1].replace("≤", "±"))
    marks = [*low, middle, *((0.5 + position / 2, label) for position, label in marks[1:])]
    titles = [title.format(first) for title in DIFFERENCE[scale.name]]
    onset = colorbar.onset(scale)
    thresholds = () if onset is None else ((1 - onset) / 2, (1 + onset) / 2)
    return Bar(np.concatenate([less[:, ::-1], more], axis=1), marks, titles, thresholds)


def _marks(scale: Scale) -> list[tuple[float, str]]:
    if scale.name == "step":
        return [(part / 4, f"{25 * part} %" if part else "0") for part in range(5)]
    return colorbar.ticks(scale)


class Legend:
    """Draws bars and keys at the foot of a figure.

    Args:
        letters: to set numbers in.
        size: of the words, in points.
        room: (left, width) of the foot, in points.
        bottom: of the foot, in points.
    """

    def __init__(self, letters: Letters, size: float, room: tuple[float, float], bottom: float = 0.0) -> None:
        self._letters, self._room, self._bottom = letters, room, bottom
        self.small = max(SMALL * size, min(size, LEAST_SMALL))
        self.bar_height = 0.85 * self.small
        self._widest = WIDEST * size

    def height(self, bars: int, keys: bool) -> float:
        """In points, of so many bars, and of a line of keys above them."""
        line = LINE * self.small
        stacked = bars if bars > 1 and not self._beside(bars) else min(bars, 1)
        return stacked * (2 * line + self.bar_height + 1.2 * self.small) + (2 * line if keys else 0)

    def _beside(self, bars: int) -> bool:
        return self._room[1] >= bars * 0.62 * self._widest

    def draw_bars(self, figure: Figure, bars: Sequence[Bar]) -> list[Axes]:
        """Axes of the bars, beside each other where there is room, else stacked."""
        left, room = self._room
        beside = self._beside(len(bars))
        share = room / len(bars) if beside else room
        drawn = []
        for number, bar in enumerate(bars):
            width = min(self._widest, share - (2 * self.small if beside and len(bars) > 1 else 0))
            at = left + (number * share if beside else 0) + (share - width) / 2
            above = 0 if beside else (len(bars) - 1 - number) * self.height(1, keys=False)
            drawn.append(self._draw(figure, bar, at, self._bottom + above + 1.3 * LINE * self.small, width))
        return drawn

    def _draw(self, figure: Figure, bar: Bar, left: float, bottom: float, width: float) -> Axes:
        page = figure.get_size_inches() * 72
        small = self.small
        rectangle = (left / page[0], bottom / page[1], width / page[0], self.bar_height / page[1])
        axes = figure.add_axes(rectangle)
        axes.imshow(bar.colours, extent=(0, 1, 0, 1), aspect="auto", interpolation="none")
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        places = colorbar.spread(
            bar.marks, int(width * 10), lambda text: ceil(self._letters.width(text, small) * 10), round(small * 6)
        )
        axes.set_xticks([position for position, _ in bar.marks], labels=[""] * len(bar.marks))
        axes.tick_params(axis="x", length=0.25 * small, width=0.5, pad=1, color="0.35")
        for x, label in places:
            self._text(axes, (x / 10, -0.3 * small), label, va="top")
        for threshold in bar.thresholds:  # the only one rises to its number; two stand below the title
            axes.plot(
                [threshold] * 2, [0, 1 + 0.35 * (len(bar.thresholds) == 1)], color="0.1", linewidth=0.5, clip_on=False
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        at = 0.0
        if len(bar.thresholds) == 1:  # what lies below this is not painted
            note = f"{bar.thresholds[0] * 100:.0f} %"
            at = bar.thresholds[0] * width + 0.35 * small
            self._text(axes, (at, self.bar_height + 0.3 * small), note, va="baseline")
            at += self._letters.width(note, small) + 1.2 * small
        title = next((t for t in bar.titles if self._letters.width(t, small) <= width - at), bar.titles[-1])
        self._text(axes, (at, self.bar_height + 0.3 * small), title, va="baseline")
        return axes

    def draw_keys(self, figure: Figure, bars: int) -> None:
        """What the lines of contour panels enclose, above so many bars."""
        from matplotlib.lines import Line2D

        page = figure.get_size_inches() * 72
        small = self.small
        pieces = [(key.colour, key.label) for key in KEYS]
        total = sum(4.2 * small + self._letters.width(label, small) for _, label in pieces) - small
        x = self._room[0] + max(0.0, (self._room[1] - total) / 2)
        y = self._bottom + 0.55 * LINE * small + self.height(bars, keys=False)
        for colour, label in pieces:
            ends = [x / page[0], (x + 2.4 * small) / page[0]]
            for width, shade in ((2.6, "0.1"), (1.6, "#{:02x}{:02x}{:02x}".format(*colour))):
                figure.add_artist(Line2D(ends, [(y + 0.3 * small) / page[1]] * 2, linewidth=width, color=shade))
            figure.text(ends[1] + 0.8 * small / page[0], y / page[1], label, **self._style(label))
            x += 4.2 * small + self._letters.width(label, small)

    def _text(self, axes: Axes, at: tuple[float, float], text: str, va: str) -> None:
        """Text at (x, y) points from the bar's lower left corner."""
        box = axes.get_position()
        figure: Any = axes.figure
        page = figure.get_size_inches() * 72
        figure.text(box.x0 + at[0] / page[0], box.y0 + at[1] / page[1], text, va=va, **self._style(text))

    def _style(self, text: str) -> dict[str, Any]:
        return {"fontproperties": self._letters.properties(text, self.small), "color": "0.1", "parse_math": False}
