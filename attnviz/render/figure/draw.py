"""`figure`: traces and photos become one matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from attnviz.errors import ConfigError, counted
from attnviz.photo.image import Photo, load
from attnviz.render.compare import check_words, names_of
from attnviz.render.figure.boxes import outlines
from attnviz.render.figure.compose import pages
from attnviz.render.figure.options import HEIGHT, FigureKeywords, FigureOptions, inches
from attnviz.render.figure.page import Page, settings
from attnviz.render.figure.panels import Subject, rows_for
from attnviz.render.figure.sheet import Parts
from attnviz.render.options import options_from
from attnviz.trace import Trace

FORMATS = ("pdf", "svg", "png")


def figure(
    traces: Trace | Sequence[Trace] | Sequence[Sequence[Trace]],
    images: Any,
    *,
    boxes: Any = None,
    labels: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    **options: Unpack[FigureKeywords],
) -> Page:
    """A figure: the photo and a panel for each word with the word above it, the sentence, and a numbered colour bar.

    The panels are painted as `draw` paints its pictures. Axes carry the photo's pixels as coordinates, so that more
    can be drawn on them; `figure.axes` has them in reading order, each with its word as label. A word that had less
    than a tenth of the probability is marked with "?", in every row by itself.

    Args:
        traces: of one photo: a trace, or several of the same words to compare row by row. Of several photos: for each
            a trace, or a list of traces to compare.
        images: the photo, or a list of photos, each as `attnviz.photo.image.load` takes it, or a Photo.
        boxes: boxes to outline, for one photo or a list with an item (or None) for each: (n, 4) of (y0, x0, y1, x1)
            in pixels of the photo, drawn on every panel; or a mapping from word to such boxes, drawn on the photo and
            on the panels of that word.
        labels: names of the compared rows; their modes by default, or their models where the modes are the same.
        titles: what stands above each photo; by default "photo", or of several (a), (b), (c).
        options: the fields of FigureOptions.

    Returns:
        A matplotlib Figure, made without pyplot. Its `savefig` embeds TrueType fonts and writes no dates.

    Raises:
        ConfigError: an option that cannot be used, traces that cannot be compared, or more than one page has room for.
        ImageError: a photo that cannot be read, or of another shape than the traced one.
        TraceError: a trace without steps.
    """
    made = figures(traces, images, boxes=boxes, labels=labels, titles=titles, **options)
    if len(made) > 1:
        raise ConfigError(
            f"figure: would take {len(made)} pages of at most {inches(options.get('height', HEIGHT)):g} inches; make "
            "them with `figures`, draw fewer words (words: content), or allow more (height: 30in)"
        )
    return made[0]


def figures(
    traces: Any,
    images: Any,
    *,
    boxes: Any = None,
    labels: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    **options: Unpack[FigureKeywords],
) -> list[Page]:
    """`figure` on as many pages as it takes: where a page would be higher than `height`, the next photo begins another.

    All pages have the same columns and the same scale; one photo is never on two.

    Raises:
        ConfigError: as `figure`, and where a single photo's words need more than a page.
        ImageError, TraceError: as `figure`.
    """
    chosen = options_from(FigureOptions, options, "figure")
    photos, compared = _pairs(traces, images)
    compared = [[chosen.drawing.shown(trace) for trace in of_one] for of_one in compared]
    steps = chosen.chosen([of_one[0] for of_one in compared])
    subjects = [
        Subject(photo, of_one, part, chosen.drawing)
        for photo, of_one, part in zip(photos, compared, steps, strict=True)
    ]
    around = [boxes] if len(photos) == 1 and not _is_list_of_boxes(boxes) else boxes
    parts = Parts(
        subjects,
        rows_for(len(compared[0]), chosen.difference),
        _labels(compared[0], labels),
        _titles(len(photos), titles),
        outlines(around, photos),
    )
    with settings({}, defaults=True):
        return pages(parts, chosen)


def _labels(traces: Sequence[Trace], labels: Sequence[str] | None) -> list[str]:
    """What the compared rows are called."""
    if labels is None:
        return names_of(traces)
    if len(labels) != len(traces):
        raise ConfigError(
            f"labels: {counted(len(labels), 'name')} for {counted(len(traces), 'row')}; give one for each"
        )
    return [str(label) for label in labels]


def _titles(count: int, titles: Sequence[str] | None) -> list[str]:
    """What stands above each photo."""
    if titles is None:
        return ["photo"] if count == 1 else [f"({number_name(number)})" for number in range(count)]
    given = [titles] if isinstance(titles, str) else list(titles)
    if len(given) != count:
        raise ConfigError(f"titles: {len(given)} for {counted(count, 'photo')}; give one for each, which may be empty")
    return [str(title) for title in given]


def number_name(number: int) -> str:
    """a, b, ..., z, aa, ab, ...: as parts of figures are called."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return letters[number] if number < 26 else number_name(number // 26 - 1) + letters[number % 26]


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
            f"{counted(len(compared), 'trace')} for {counted(len(sources), 'photo')}; give a trace, or a list of them, "
            "for each"
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
