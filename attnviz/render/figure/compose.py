"""Puts a figure together: measures, places, panels, labels, sentences, legend, on one page or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attnviz.errors import ConfigError
from attnviz.render.figure.bars import Legend, density_bar, difference_bar
from attnviz.render.figure.boxes import Outlines, draw_outlines
from attnviz.render.figure.layout import Block, Layout, Measures, Place, arrange, fit, paginate
from attnviz.render.figure.options import FigureOptions, columns_for
from attnviz.render.figure.page import Page
from attnviz.render.figure.panels import Row, Subject, common_scales
from attnviz.render.figure.sentence import INK, NOTE, Sentence, marked
from attnviz.render.figure.words import LEAST, Letters, paste
from attnviz.trace.wording import UNSURE_MARK, unsure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attnviz.render.heatmap import Scale

WORD = 1.42  # room above a panel for its word, in letters' heights
DROP = 0.42  # of it below the baseline
GAP = 0.35  # between panels, in letters' heights
LABEL = 1.35  # a line of a row's label, in letters' heights
NARROWEST = 2.0  # a panel, in letters' heights; of smaller ones nothing is seen
MOST_DOTS = 60_000  # a side of a PNG that matplotlib can draw

Scales = Mapping[tuple[int, Row], Sequence["Scale"]]


@dataclass(frozen=True)
class Parts:
    """What a figure is made of.

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


class Composer:
    """Lays out all pages of a figure, on common scales."""

    def __init__(self, parts: Parts, options: FigureOptions) -> None:
        self._parts, self._options = parts, options
        self._letters = Letters(options.font)
        self._dots = options.dpi / 72  # a point
        self._size = options.font_size
        self._unsure = [
            [unsure(trace.logprobs, len(trace)) for trace in subject.traces] for subject in self._parts.subjects
        ]

    def pages(self) -> list[Page]:
        """The pages; more than one where the photos need more height than one has. Raises ConfigError."""
        options, measures, most = self._options, self._measures, self._most
        if options.fit:
            columns, width = fit(self._blocks, measures, most)
            if width < NARROWEST * self._size * self._dots:
                raise ConfigError(
                    f"figure: {len(self._blocks)} photos with their words do not fit a page of {options.inches:g} x "
                    f"{options.tallest:g} inches; give fewer photos, fewer words (words='content') or smaller letters"
                )
            return [self._page(range(len(self._blocks)), arrange(self._blocks, columns, measures, width))]
        columns = columns_for(options, max(block.panels for block in self._blocks))
        groups = paginate(self._blocks, columns, measures, most)
        layouts = [arrange([self._blocks[number] for number in group], columns, measures) for group in groups]
        tallest = max(layout.below for layout in layouts)
        if tallest > most:
            high = (tallest + self._foot) / options.dpi
            limit = f"{options.tallest:g} inches" if options.tallest * options.dpi < MOST_DOTS else "a PNG can have"
            raise ConfigError(
                f"figure: would be {high:.1f} inches high, more than {limit}; draw fewer words (words='content'), "
                f"set more columns than {columns}, or allow it (height='{high + 0.05:.1f}in')"
            )
        return [self._page(group, layout) for group, layout in zip(groups, layouts, strict=True)]

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
            label=round(self._dots * size * LABEL * self._label_lines) if len(self._parts.rows) > 1 else 0,
        )

    @property
    def _label_lines(self) -> int:
        return 2 if any(row.difference for row in self._parts.rows) else 1

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
        room = (self._measures.width - self._measures.label) / self._dots
        return [
            Sentence(list(map(marked, subject.traces[0].tokens, flags[0])), self._letters, self._size, room)
            for subject, flags in zip(self._parts.subjects, self._unsure, strict=True)
        ]

    @cached_property
    def _legend(self) -> Legend:
        return Legend(self._letters, self._size, (0.0, self._options.inches * 72))

    @cached_property
    def _noted(self) -> bool:
        """Whether the mark of unsure words is to be explained."""
        marked_steps = (
            any(flags[index][step] for step in subject.steps for index in {row.index for row in self._parts.rows})
            or (self._options.sentence and any(flags[0]))
            for subject, flags in zip(self._parts.subjects, self._unsure, strict=True)
        )
        return any(marked_steps)

    @property
    def _foot(self) -> int:
        """In dots: the legend, and above it the note on unsure words."""
        keys = self._options.style == "contour"
        bars = (not keys) + any(row.difference for row in self._parts.rows)
        note = 1.6 * self._legend.small if self._noted else 0
        return round((self._legend.height(bars, keys) + note) * self._dots)

    @cached_property
    def _scales(self) -> tuple[Scales, Scales]:
        """Of the maps and of the differences, of all pages alike."""
        for subject, (height, width) in zip(self._parts.subjects, self._panel_sizes, strict=True):
            subject.place((height, width))
        name, rows = self._options.scale, self._parts.rows
        kinds = ([row for row in rows if row.difference is difference] for difference in (False, True))
        plain, differences = (common_scales(name, self._parts.subjects, kind) for kind in kinds)
        return plain, differences
