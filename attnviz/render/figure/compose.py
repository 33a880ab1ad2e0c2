"""Plans a figure: what goes on which page, how large, on which scale; `sheet` draws the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from attnviz.errors import ConfigError, counted
from attnviz.render.figure.bars import Legend
from attnviz.render.figure.layout import Block, Layout, Measures, arrange, fit, paginate
from attnviz.render.figure.options import FigureOptions, columns_for
from attnviz.render.figure.panels import common_scales
from attnviz.render.figure.sentence import Sentence, Type, marked
from attnviz.render.figure.sheet import LABEL, Parts, Scales, Sheet
from attnviz.render.figure.words import Letters

if TYPE_CHECKING:
    from attnviz.render.figure.page import Page

WORD = 1.42  # room above a panel for its word, in letters' heights
MARGIN = (
    1.4  # around a page of a set height, such as a slide, in letters' heights; others stand in a text that has its own
)
GAP = 0.35  # between panels, in letters' heights
NOTE = 1.6  # the line on unsure words, in small letters' heights
COMFORTABLE, NARROWEST = 5.0, 1.5  # a panel that is made to fit, in letters' heights
SMALLEST = 8.0  # points, of letters that are made to fit
MOST_DOTS = 60_000  # a side of a PNG that matplotlib can draw


def pages(parts: Parts, options: FigureOptions) -> list[Page]:
    """The pages of a figure. With `fit` one, for which letters get smaller where panels would be too small.

    Raises:
        ConfigError: a photo that needs more than a page, or more than a page of a set height can show.
    """
    if not options.fit:
        return Composer(parts, options).pages()
    smallest = max(min(SMALLEST, options.font_size), options.font_size / 4)
    sizes = [size for part in range(10, 2, -1) if (size := options.font_size * part / 10) >= smallest] or [smallest]
    for size in sizes:
        wide = NARROWEST if size == sizes[-1] else COMFORTABLE
        if found := Composer(parts, replace(options, font_size=size)).fitted(wide):
            return found
    raise ConfigError(
        f"figure: does not fit a page of {options.inches:g} x {options.tallest:g} inches; draw fewer words (words: "
        "content), or fewer photos"
    )


class Composer:
    """Lays out all pages of a figure, on common scales."""

    def __init__(self, parts: Parts, options: FigureOptions) -> None:
        self._parts, self._options = parts, options
        self._type = Type(Letters(options.font, options.dpi), options.font_size)
        self._dots = options.dpi / 72  # a point
        self._size = options.font_size

    def fitted(self, wide: float) -> list[Page]:
        """One page of the height that was set, with panels as large as fit; none where they are not `wide` enough.

        Args:
            wide: in letters' heights.
        """
        columns, width = fit(self._blocks, self._measures, self._most)
        if width < wide * self._size * self._dots:
            return []
        layout = arrange(self._blocks, columns, self._measures, width)
        return self._drawn([list(range(len(self._blocks)))], [layout])

    def pages(self) -> list[Page]:
        """The pages; more than one where the photos need more height than one has. Raises ConfigError."""
        measures, most, dpi = self._measures, self._most, self._options.dpi
        columns = columns_for(self._options, max(block.panels for block in self._blocks))
        groups = paginate(self._blocks, columns, measures, most)
        layouts = [arrange([self._blocks[number] for number in group], columns, measures) for group in groups]
        tallest = max(layout.below for layout in layouts)
        if tallest > most:
            high = (tallest + self._foot) / dpi
            wider = max(block.panels for block in self._blocks) > columns
            more = f", set more than {counted(columns, 'column')}"
            raise ConfigError(
                f"figure: would be {high:.1f} inches high, more than {(most + self._foot) / dpi:g}; draw fewer words "
                f"(words: content){more if wider else ''}, or allow it "
                f"(height: {high + 0.05:.1f}in)"
            )
        return self._drawn(groups, layouts)

    def _drawn(self, groups: Sequence[Sequence[int]], layouts: Sequence[Layout]) -> list[Page]:
        """The pages, each with the photos of its group."""
        for group, layout in zip(groups, layouts, strict=True):
            for place in layout.places:
                if place.panel == 0:
                    self._parts.subjects[group[place.block]].place((place.height, place.width))
        scales = self._scales()
        pages = []
        for group, layout in zip(groups, layouts, strict=True):
            of_page = {(new, row): scales[old, row] for new, old in enumerate(group) for row in self._parts.rows}
            sheet = Sheet(self._parts.of(group), self._options, self._type, layout, of_page)
            height = round(self._options.tallest * self._options.dpi) if self._options.fit else 0
            pages.append(sheet.draw([self._sentences[number] for number in group], self._legend, self._foot, height))
        return pages

    def _scales(self) -> Scales:
        """Of every panel, common to all pages; of maps and of differences apart."""
        name, rows, subjects = self._options.scale, self._parts.rows, self._parts.subjects
        plain = common_scales(name, subjects, [row for row in rows if not row.difference])
        return {**plain, **common_scales(name, subjects, [row for row in rows if row.difference])}

    @property
    def _most(self) -> int:
        """How far down panels and sentences may reach, in dots."""
        return min(round(self._options.tallest * self._options.dpi), MOST_DOTS) - self._foot

    @cached_property
    def _measures(self) -> Measures:
        options, size = self._options, self._size
        return Measures(
            width=int(options.inches * options.dpi + 1e-6),
            gap=round(GAP * size * self._dots),
            word=round(WORD * size * self._dots),
            label=round(self._dots * size * LABEL * self._parts.label_lines),
            margin=round(MARGIN * size * self._dots) if options.fit else 0,
        )

    @cached_property
    def _blocks(self) -> list[Block]:
        rows = len(self._parts.rows)
        return [
            Block(
                subject.photo.size,
                len(subject.steps) + 1,
                rows,
                round(sentence.height * self._dots) if sentence else 0,
            )
            for subject, sentence in zip(self._parts.subjects, self._sentences, strict=True)
        ]

    @cached_property
    def _sentences(self) -> list[Sentence | None]:
        if not self._options.sentence:
            return [None] * len(self._parts.subjects)
        room = self._measures.room / self._dots
        return [
            Sentence(list(map(marked, subject.traces[0].tokens, subject.unsure[0])), self._type, room)
            for subject in self._parts.subjects
        ]

    @cached_property
    def _legend(self) -> Legend:
        margin = self._measures.margin / self._dots
        return Legend(self._type.letters, self._size, (margin, self._options.inches * 72 - 2 * margin), margin)

    @cached_property
    def _foot(self) -> int:
        """In dots: the legend, and above it the line on unsure words."""
        keys = self._options.style == "contour"
        bars = (not keys) + any(row.difference for row in self._parts.rows)
        note = NOTE * self._legend.small if self._parts.has_unsure(self._options.sentence) else 0
        return round((self._legend.height(bars, keys) + note) * self._dots) + self._measures.margin
