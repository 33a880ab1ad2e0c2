"""Draws a page of a figure: panels, words, labels, sentences, legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from attnviz.render.figure.bars import Bar, Legend, density_bar, difference_bar
from attnviz.render.figure.boxes import Outlines, draw_outlines
from attnviz.render.figure.page import Page
from attnviz.render.figure.sentence import INK, NOTE, Sentence, Type, marked
from attnviz.render.figure.words import LEAST, paste
from attnviz.trace.wording import UNSURE_MARK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attnviz.render.figure.layout import Layout, Place
    from attnviz.render.figure.options import FigureOptions
    from attnviz.render.figure.panels import Row, Subject
    from attnviz.render.heatmap import Scale

DROP = 0.42  # of the room above a panel, below its word's baseline, in letters' heights
LABEL = 1.35  # a line of a row's label, in letters' heights
SLACK = 1e-4  # dots that a panel lacks: some versions of matplotlib make 217.000001 dots 218, and resample all rows

Scales = Mapping[tuple[int, "Row"], Sequence["Scale"]]
"""(number of a photo, row) -> the scale of each drawn step."""


@dataclass(frozen=True)
class Parts:
    """What a figure, or a page of it, is made of.

    Attributes:
        subjects: the photos with their traces.
        rows: the maps of each word.
        names: of the traces that are compared.
        titles: above each photo.
        boxes: to outline on each.
    """

    subjects: Sequence[Subject]
    rows: Sequence[Row]
    names: Sequence[str]
    titles: Sequence[str]
    boxes: Sequence[Outlines]

    def of(self, numbers: Sequence[int]) -> Parts:
        """Those of some of the photos."""
        subjects, titles, boxes = self.subjects, self.titles, self.boxes
        return replace(
            self,
            subjects=[subjects[number] for number in numbers],
            titles=[titles[number] for number in numbers],
            boxes=[boxes[number] for number in numbers],
        )

    @property
    def label_lines(self) -> int:
        """Lines in the label of a row; none where there is one row."""
        return 0 if len(self.rows) == 1 else 2 if any(row.difference for row in self.rows) else 1

    def has_unsure(self, sentence: bool) -> bool:
        """Whether a word that is shown is unsure, in panels or, with `sentence`, in a caption."""
        return any(
            any(flags[step] for flags in subject.unsure for step in subject.steps)
            or (sentence and any(subject.unsure[0]))
            for subject in self.subjects
        )


class Sheet:
    """One page.

    Args:
        parts: what stands on it.
        type: its letters.
        layout: where.
        scales: of its panels.
    """

    def __init__(self, parts: Parts, options: FigureOptions, type: Type, layout: Layout, scales: Scales) -> None:
        self._parts, self._options, self._type, self._layout, self._scales = parts, options, type, layout, scales
        self._dots = options.dpi / 72  # a point
        self._size = options.font_size
        self._width = options.inches * options.dpi

    def draw(self, sentences: Sequence[Sentence | None], legend: Legend, foot: int, height: int) -> Page:
        """The page.

        Args:
            sentences: of each photo.
            legend: draws bars and keys.
            foot: their room, in dots.
            height: of the page in dots, with what stands on it in the middle; 0 for as high as it has to be.
        """
        options, layout = self._options, self._layout
        self._height = max(height, layout.below + foot)
        self._top = (self._height - foot - layout.below) // 2
        page = Page(figsize=(options.inches, (self._height + 1e-6) / options.dpi), dpi=options.dpi, facecolor="white")
        page.photos = len(self._parts.subjects)
        page.words = sum(len(subject.steps) for subject in self._parts.subjects)
        self._panels(page)
        if self._parts.label_lines:
            self._labels(page)
        for sentence, top in zip(sentences, layout.sentences, strict=True):
            if sentence is not None:
                left = min(place.slot[0] for place in layout.places) / self._dots
                sentence.draw(page, left, self._up(top) / self._dots)
        self._legend(page, legend, foot, any(sentence is not None for sentence in sentences))
        return page

    def _up(self, y: int) -> int:
        """A distance from the layout's top as one from the page's bottom, in dots."""
        return self._height - self._top - y

    def _panels(self, page: Page) -> None:
        painted: dict[tuple[int, int], Any] = {}
        for number, subject in enumerate(self._parts.subjects):
            for index, row in enumerate(self._parts.rows):
                painted[number, index] = subject.painted(row, self._scales[number, row])
        for place in self._layout.places:
            subject, row = self._parts.subjects[place.block], self._parts.rows[place.row]
            pixels = subject.pixels if place.panel == 0 else next(painted[place.block, place.row])
            axes = self._axes(page, place, pixels, subject.photo.size)
            if place.panel == 0:
                axes.set_label("photo")
                draw_outlines(axes, self._parts.boxes[place.block], None, self._size)
                if title := self._parts.titles[place.block]:
                    self._word(page, axes, title, place)
                continue
            step = subject.steps[place.panel - 1]
            token, doubtful = subject.traces[0].tokens[step], subject.unsure[row.index][step]
            axes.set_label(token)
            draw_outlines(axes, self._parts.boxes[place.block], token, self._size)
            if place.row == 0:
                self._word(page, axes, marked(token, doubtful), place)
            elif doubtful and not row.difference:
                self._corner(axes, UNSURE_MARK, top=True)
            if self._options.scale == "step":
                scale = self._scales[place.block, row][place.panel - 1]
                self._corner(axes, f"{'±' if row.difference else '≤ '}{scale.top:.3g}")

    def _axes(self, page: Page, place: Place, pixels: Any, size: tuple[int, int]) -> Axes:
        rectangle = (
            place.left / self._width,
            self._up(place.top + place.height) / self._height,
            (place.width - SLACK) / self._width,
            (place.height - SLACK) / self._height,
        )
        axes = page.add_axes(rectangle)
        axes.set_axis_off()
        axes.imshow(pixels, extent=(0, size[1], size[0], 0), aspect="auto", interpolation="none")
        return axes

    def _word(self, page: Page, axes: Axes, word: str, place: Place) -> None:
        room = place.slot[1] / self._dots
        if self._type.letters.in_colour(word):
            middle = (place.slot[0] + place.slot[1] / 2) / self._dots
            paste(page, word, self._size, (middle, self._up(place.top) / self._dots + DROP * self._size), room)
            return
        text, size = self._type.letters.fitted(word, self._size, room)
        axes.set_title(
            text,
            y=1.0,
            pad=DROP * self._size,
            fontproperties=self._type.letters.properties(text, size),
            color="black",
            parse_math=False,
        )

    def _corner(self, axes: Axes, text: str, top: bool = False) -> None:
        """What belongs to one panel alone: its own scale, or, at the top, that this row was unsure of the word."""
        size = max(0.72 * self._size, LEAST)
        axes.text(
            0.97,
            0.96 if top else 0.04,
            text,
            transform=axes.transAxes,
            ha="right",
            va="top" if top else "bottom",
            color="white",
            fontproperties=self._type.letters.properties(text, size),
            bbox={"facecolor": "0.1", "edgecolor": "none", "pad": 0.15 * size, "alpha": 0.75},
        )

    def _labels(self, page: Page) -> None:
        """The name of each row, left of its first column, from bottom to top; all in letters of one size."""
        places, letters = self._layout.places, self._type.letters
        first = min(place.slot[0] for place in places)
        lines = {(place.block, place.top): place for place in places}.values()
        names = [self._row_name(place) for place in lines]
        fitted = [
            letters.fitted(part, self._size, place.height / self._dots)
            for place, parts in zip(lines, names, strict=True)
            for part in parts
        ]
        size = min(size for _, size in fitted)
        texts = iter(text for text, _ in fitted)
        for place, parts in zip(lines, names, strict=True):
            for number in reversed(range(len(parts))):
                text = next(texts)
                page.text(
                    (first - LABEL * self._size * self._dots * (number + 0.55)) / self._width,
                    self._up(place.top + place.height // 2) / self._height,
                    text,
                    rotation=90,
                    ha="center",
                    va="center",
                    fontproperties=letters.properties(text, size),
                    parse_math=False,
                )

    def _row_name(self, place: Place) -> list[str]:
        row, names = self._parts.rows[place.row], self._parts.names
        return [names[row.index], *([f"− {names[0]}"] if row.difference else [])]

    def _legend(self, page: Page, legend: Legend, foot: int, sentence: bool) -> None:
        """Bars, keys, and above them what the mark of unsure words means."""
        scales = {
            difference: [s for (_, row), some in self._scales.items() if row.difference is difference for s in some]
            for difference in (False, True)
        }
        bars: list[Bar] = []
        if self._options.style == "contour":
            legend.draw_keys(page, 1 if scales[True] else 0)
        else:
            bars.append(density_bar(_widest(scales[False]), self._options.drawing))
        if scales[True]:
            bars.append(difference_bar(_widest(scales[True]), self._parts.names[0], self._options.opacity))
        if bars:
            legend.draw_bars(page, bars)
        if self._parts.has_unsure(sentence):
            y = (foot / self._dots - 1.1 * legend.small) * self._dots / self._height
            properties = self._type.letters.properties(NOTE, legend.small)
            page.text(0.5, y, NOTE, fontproperties=properties, color=INK, ha="center", parse_math=False)


def _widest(scales: Sequence[Scale]) -> Scale:
    """The scale that a bar shows: the one of all, or, where each has its own, any."""
    return max(scales, key=lambda scale: scale.top)
