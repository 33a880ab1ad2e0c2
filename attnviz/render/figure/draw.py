"""`figure`: traces and photos become one matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.errors import ConfigError
from attnviz.photo.image import Photo, load
from attnviz.render.compare import check_words, names_of
from attnviz.render.figure.bars import Legend, density_bar, difference_bar
from attnviz.render.figure.boxes import Outlines, draw_outlines, outlines
from attnviz.render.figure.layout import Block, Measures, Place, arrange
from attnviz.render.figure.options import FigureOptions, columns_for
from attnviz.render.figure.page import Page, settings
from attnviz.render.figure.panels import Row, Subject, common_scales, rows_for
from attnviz.render.figure.words import LEAST, Letters, paste
from attnviz.render.options import options_from
from attnviz.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attnviz.render.heatmap import Scale

FORMATS = ("pdf", "svg", "png")

WORD = 1.42  # room above a panel for its word, in letters' heights
DROP = 0.42  # of it below the baseline
GAP = 0.35  # between panels, in letters' heights
LABEL = 1.35  # a line of a row's label, in letters' heights
MOST_DOTS = 60_000  # a side of a PNG that matplotlib can draw


def figure(
    traces: Trace | Sequence[Trace] | Sequence[Sequence[Trace]],
    images: Any,
    *,
    boxes: Any = None,
    labels: Sequence[str] | None = None,
    **options: Any,
) -> Page:
    """A figure: the photo and a panel for each word with the word above it, and a numbered colour bar.

    The panels are painted as `draw` paints its pictures. Axes carry the photo's pixels as coordinates, so that more
    can be drawn on them; `figure.axes` has them in reading order, each with its word as title.

    Args:
        traces: of one photo: a trace, or several of the same words to compare row by row. Of several photos: for each
            a trace, or a list of traces to compare.
        images: the photo, or a list of photos, each as `attnviz.photo.image.load` takes it, or a Photo.
        boxes: boxes to outline, for one photo or a list with an item (or None) for each: (n, 4) of (y0, x0, y1, x1)
            in pixels of the photo, drawn on every panel; or a mapping from word to such boxes, drawn on the photo and
            on the panels of that word.
        labels: names of the compared rows; their modes by default, or their models where the modes are the same.
        options: the fields of FigureOptions.

    Returns:
        A matplotlib Figure, made without pyplot. Its `savefig` embeds TrueType fonts and writes no dates.

    Raises:
        ConfigError: an option that cannot be used, or traces that cannot be compared.
        ImageError: a photo that cannot be read, or of another shape than the traced one.
        TraceError: a trace without steps.
    """
    chosen = options_from(FigureOptions, options, "figure")
    photos, compared = _pairs(traces, images)
    compared = [[chosen.drawing.shown(trace) for trace in of_one] for of_one in compared]
    steps = chosen.chosen([of_one[0] for of_one in compared])
    subjects = [
        Subject(photo, of_one, part, chosen.drawing)
        for photo, of_one, part in zip(photos, compared, steps, strict=True)
    ]
    rows = rows_for(len(compared[0]), chosen.difference)
    around = [boxes] if len(photos) == 1 and not _is_list_of_boxes(boxes) else boxes
    drawn = outlines(around, photos)
    with settings({}, defaults=True):
        return _Composer(subjects, rows, _labels(compared[0], labels), drawn, chosen).compose()


class _Composer:
    """Puts a figure together: measures, places, panels, labels, legend."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        rows: Sequence[Row],
        names: Sequence[str],
        boxes: Sequence[Outlines],
        options: FigureOptions,
    ) -> None:
        self._subjects, self._rows, self._names, self._boxes, self._options = subjects, rows, names, boxes, options
        self._letters = Letters(options.font)
        self._dots = options.dpi / 72  # a point
        self._size = options.font_size

    def compose(self) -> Page:
        options, subjects, rows = self._options, self._subjects, self._rows
        columns = columns_for(options, max(len(subject.steps) for subject in subjects) + 1)
        compared = len(rows) > 1
        lines = 2 if any(row.difference for row in rows) else 1
        label = round(self._dots * self._size * LABEL * lines) if compared else 0
        measures = Measures(
            width=int(options.inches * options.dpi + 1e-6),
            gap=round(GAP * self._size * self._dots),
            word=round(WORD * self._size * self._dots),
            label=label,
        )
        blocks = [Block(subject.photo.size, len(subject.steps) + 1, len(rows)) for subject in subjects]
        places, below = arrange(blocks, columns, measures)
        for place in places:
            if place.panel == 0:
                subjects[place.block].place((place.height, place.width))
        legend = Legend(self._letters, self._size, (0.0, options.inches * 72))
        keys = options.style == "contour"
        bars = (not keys) + any(row.difference for row in rows)
        height = below + round(legend.height(bars, keys) * self._dots)
        if height > MOST_DOTS:
            raise ConfigError(
                f"figure: would be {height / options.dpi:.0f} inches high; choose fewer steps, or more columns"
            )
        page = Page(figsize=(options.inches, (height + 1e-6) / options.dpi), dpi=options.dpi, facecolor="white")
        scale, difference = self._panels(page, places, height)
        if compared:
            self._labels(page, places, height, label / lines)
        self._legend(page, legend, scale, difference)
        return page

    def _panels(self, page: Page, places: Sequence[Place], height: int) -> tuple[Scale, Scale | None]:
        """Draws all panels; returns a scale of the maps and one of the differences."""
        name = self._options.scale
        plain = common_scales(name, self._subjects, [row for row in self._rows if not row.difference])
        differences = common_scales(name, self._subjects, [row for row in self._rows if row.difference])
        all_scales = {**plain, **differences}
        painted: dict[tuple[int, int], Any] = {}
        for number, subject in enumerate(self._subjects):
            for index, row in enumerate(self._rows):
                painted[number, index] = subject.painted(row, all_scales[number, row])
        for place in places:
            subject = self._subjects[place.block]
            pixels = subject.pixels if place.panel == 0 else next(painted[place.block, place.row])
            axes = self._axes(page, place, height, pixels, subject.photo.size)
            step = None if place.panel == 0 else subject.steps[place.panel - 1]
            token = None if step is None else subject.traces[0].tokens[step]
            draw_outlines(axes, self._boxes[place.block], token, self._size)
            if token is not None and place.row == 0:
                self._word(page, axes, token, place, height)
            if step is not None and name == "step":
                row = self._rows[place.row]
                self._corner(axes, all_scales[place.block, row][place.panel - 1], row.difference)
        return _widest(plain), _widest(differences) if differences else None

    def _axes(self, page: Page, place: Place, height: int, pixels: Any, size: tuple[int, int]) -> Axes:
        width = self._options.inches * self._options.dpi
        rectangle = (
            place.left / width,
            (height - place.top - place.height) / height,
            place.width / width,
            place.height / height,
        )
        axes = page.add_axes(rectangle)
        axes.set_axis_off()
        axes.imshow(pixels, extent=(0, size[1], size[0], 0), aspect="auto", interpolation="none")
        return axes

    def _word(self, page: Page, axes: Axes, token: str, place: Place, height: int) -> None:
        room = place.slot[1] / self._dots
        if self._letters.in_colour(token):
            middle = (place.slot[0] + place.slot[1] / 2) / self._dots
            paste(page, token, self._size, (middle, (height - place.top) / self._dots + DROP * self._size), room)
            axes.set_label(token)
            return
        text, size = self._letters.fitted(token, self._size, room)
        axes.set_title(
            text,
            y=1.0,
            pad=DROP * self._size,
            fontproperties=self._letters.properties(text, size),
            color="black",
            parse_math=False,
        )

    def _corner(self, axes: Axes, scale: Scale, difference: bool) -> None:
        """A panel's own scale."""
        text = f"{'±' if difference else '≤ '}{scale.top:.3g}"
        size = max(0.72 * self._size, LEAST)
        axes.text(
            0.97,
            0.04,
            text,
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            color="white",
            fontproperties=self._letters.properties(text, size),
            bbox={"facecolor": "0.1", "edgecolor": "none", "pad": 0.15 * size, "alpha": 0.75},
        )

    def _labels(self, page: Page, places: Sequence[Place], height: int, line: float) -> None:
        """The name of each row, left of its first column, from bottom to top; all in letters of one size."""
        width = self._options.inches * self._options.dpi
        first = min(place.slot[0] for place in places)
        lines = {(place.block, place.top): place for place in places}.values()
        names = [self._row_name(place) for place in lines]
        fitted = [
            self._letters.fitted(part, self._size, place.height / self._dots)
            for place, parts in zip(lines, names, strict=True)
            for part in parts
        ]
        size = min(size for _, size in fitted)
        texts = iter(text for text, _ in fitted)
        for place, parts in zip(lines, names, strict=True):
            for number in reversed(range(len(parts))):
                text = next(texts)
                page.text(
                    (first - line * (number + 0.55)) / width,
                    (height - place.top - place.height / 2) / height,
                    text,
                    rotation=90,
                    ha="center",
                    va="center",
                    fontproperties=self._letters.properties(text, size),
                    parse_math=False,
                )

    def _row_name(self, place: Place) -> list[str]:
        row = self._rows[place.row]
        return [self._names[row.index], *([f"− {self._names[0]}"] if row.difference else [])]

    def _legend(self, page: Page, legend: Legend, scale: Scale, difference: Scale | None) -> None:
        bars = []
        if self._options.style == "contour":
            legend.draw_keys(page, 0 if difference is None else 1)
        else:
            bars.append(density_bar(scale, self._options.drawing))
        if difference is not None:
            bars.append(difference_bar(difference, self._names[0], self._options.opacity))
        if bars:
            legend.draw_bars(page, bars)


def _widest(found: Mapping[tuple[int, Row], Sequence[Scale]]) -> Scale:
    """The scale that a bar shows: the one of all, or, where each has its own, any."""
    return max((scale for part in found.values() for scale in part), key=lambda scale: scale.top)


def _labels(traces: Sequence[Trace], labels: Sequence[str] | None) -> list[str]:
    """What the compared rows are called."""
    if labels is None:
        return names_of(traces)
    if len(labels) != len(traces):
        raise ConfigError(f"labels: {len(labels)} names for {len(traces)} rows; give one for each")
    return [str(label) for label in labels]


def _pairs(traces: Any, images: Any) -> tuple[list[Photo], list[list[Trace]]]:
    """The photos, and for each the traces to compare, once they fit together."""
    several = isinstance(images, list | tuple)
    sources = list(images) if several else [images]
    if not several:
        compared = [[traces] if isinstance(traces, Trace) else list(traces)]
    else:
        compared = [[one] if isinstance(one, Trace) else list(one) for one in traces]
    if not sources or len(sources) != len(compared):
        raise ConfigError(
            f"{len(compared)} traces for {len(sources)} photos; give a trace, or a list of them, for each"
        )
    for of_one in compared:
        if not of_one or not all(isinstance(trace, Trace) for trace in of_one):
            raise ConfigError("figure draws traces, as attnviz.explain gives them")
        check_words(of_one)
        if len(of_one) != len(compared[0]):
            raise ConfigError("each photo needs as many traces to compare as the others")
    return [source if isinstance(source, Photo) else load(source) for source in sources], compared


def _is_list_of_boxes(boxes: Any) -> bool:
    """Whether `boxes` has an item for each photo, as opposed to being one photo's."""
    return isinstance(boxes, list | tuple) and all(
        item is None or isinstance(item, Mapping | np.ndarray) for item in boxes
    )
