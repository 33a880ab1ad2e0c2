"""How a figure looks: one frozen record, checked when it is made."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from attnviz.errors import ConfigError
from attnviz.files import composed
from attnviz.render.options import DrawOptions, check_flag
from attnviz.render.palette import DEFAULT
from attnviz.trace.wording import content_words

if TYPE_CHECKING:
    from attnviz.trace import Trace

UNITS = {"in": 1.0, "mm": 1 / 25.4, "cm": 1 / 2.54, "pt": 1 / 72.27, "bp": 1 / 72}  # inches; pt is TeX's point
LEAST_WIDTH, MOST_WIDTH = 0.5, 200.0  # inches; the largest page of PDF 1.4 has 200
LEAST_DPI, MOST_DPI = 20, 2400
LEAST_FONT, MOST_FONT = 3.0, 144.0  # points
MOST_COLUMNS = 100
HEIGHT = 9.0  # inches: what the text of a page of A4 or US letter takes at most
CONTENT = ("content",)  # as `words`: those that carry the content
PANEL = 8.0  # letters' heights: how wide a panel is, where nothing says how many columns there are


class FigureKeywords(TypedDict, total=False):
    """The fields of FigureOptions as keywords that editors complete and type checkers know; a test holds them equal."""

    width: str | float
    dpi: int
    columns: int | None
    font: str | None
    font_size: float
    scale: str
    style: str
    cmap: str
    opacity: float | None
    cells: bool
    pieces: bool
    relative: bool
    steps: str | Sequence[int] | None
    words: str | Sequence[str] | None
    height: str | float
    fit: bool
    sentence: bool
    difference: bool


@dataclass(frozen=True)
class FigureOptions:
    """What a figure looks like.

    Args:
        width: of the page: a number of inches, or text with a unit, such as "3.25in", "85mm", "8.5cm" or "246pt"
            (TeX's points, as LaTeX prints `\\columnwidth`).
        dpi: dots an inch of the photos; of everything in a PNG.
        columns: panels side by side, where there are as many; None for as many as leave words room.
        font: name of a font family or path of a font file; None for DejaVu Sans. What it lacks comes from others.
        font_size: of the words, in points.
        scale, style, cmap, opacity, cells, pieces, relative, steps: as in DrawOptions. "shared" is one scale for the
            whole figure.
        words: the words whose steps are drawn, in a sequence or as text with commas; None for all. "content" alone
            stands for nouns, verbs and adjectives: all but English function words, see `trace.wording.content_words`.
        height: of a page at most, as `width`. A figure that needs more is refused, or split by `figures`.
        fit: make the page as high as `height` whatever it holds, with panels as large as fit; of `columns` none is set.
        sentence: the caption under each photo.
        difference: below each compared row, its densities minus those of the first row.

    Raises:
        ConfigError: a value that cannot be used.
    """

    width: str | float = 6.5
    dpi: int = 300
    columns: int | None = None
    font: str | None = None
    font_size: float = 8.0
    scale: str = "log"
    style: str = "heat"
    cmap: str = DEFAULT
    opacity: float | None = None
    cells: bool = False
    pieces: bool = False
    relative: bool = False
    steps: str | Sequence[int] | None = None
    words: str | Sequence[str] | None = None
    height: str | float = HEIGHT
    fit: bool = False
    sentence: bool = True
    difference: bool = False
    drawing: DrawOptions = field(init=False, repr=False)

    def __post_init__(self) -> None:
        drawing = DrawOptions(
            scale=self.scale,
            style=self.style,
            cmap=self.cmap,
            opacity=self.opacity,
            cells=self.cells,
            pieces=self.pieces,
            relative=self.relative,
            steps=self.steps,
            size="original",
        )
        object.__setattr__(self, "drawing", drawing)
        for name in ("width", "height"):
            object.__setattr__(self, name, inches(getattr(self, name), name))
        for name in ("difference", "fit", "sentence"):
            check_flag(name, getattr(self, name))
        _within("dpi", self.dpi, LEAST_DPI, MOST_DPI)
        _within("font_size", self.font_size, LEAST_FONT, MOST_FONT)
        if self.columns is not None:
            _within("columns", self.columns, 1, MOST_COLUMNS)
            if self.columns != int(self.columns):
                raise ConfigError(f"columns: {self.columns!r} is no whole number")
            if self.fit:
                raise ConfigError("columns: are chosen so that all fits the page; give columns or fit, not both")
        words = self.words.split(",") if isinstance(self.words, str) else self.words
        if words is not None:
            if self.steps is not None:
                raise ConfigError("words: steps are chosen already; give steps or words, not both")
            kept = tuple(dict.fromkeys(" ".join(composed(str(word)).split()) for word in words if str(word).strip()))
            if not kept:
                raise ConfigError("words: none are given; write them with commas between, such as dog,frisbee")
            object.__setattr__(self, "words", kept)

    @property
    def inches(self) -> float:
        """The page's width."""
        assert isinstance(self.width, float)
        return self.width

    @property
    def tallest(self) -> float:
        """The height of a page at most, in inches."""
        assert isinstance(self.height, float)
        return self.height

    def chosen(self, traces: Sequence[Trace]) -> list[tuple[int, ...]]:
        """The steps to draw of each photo's trace, from 0. Raises ConfigError for what is not there."""
        if self.words is None:
            return [self.drawing.chosen(len(trace)) for trace in traces]
        if self.words == CONTENT:
            return [_content(trace) for trace in traces]
        wanted = {word.casefold() for word in self.words}
        said = {composed(token).casefold() for trace in traces for token in trace.tokens}
        captions = " / ".join(repr(trace.caption) for trace in traces)
        for word in self.words:
            if word.casefold() not in said:
                raise ConfigError(f"words: {word!r} is not in the caption, {captions}; choose words of it")
        found = [
            tuple(i for i, token in enumerate(trace.tokens) if composed(token).casefold() in wanted) for trace in traces
        ]
        for trace, steps in zip(traces, found, strict=True):
            if not steps:
                raise ConfigError(f"words: none of {', '.join(self.words)} is in the caption {trace.caption!r}")
        return found


def _content(trace: Trace) -> tuple[int, ...]:
    found = content_words(trace.tokens)
    if not found:
        raise ConfigError(f"words: the caption {trace.caption!r} has none that carry content; leave words out")
    return tuple(found)


def inches(length: str | float, name: str = "width") -> float:
    """A length such as 3.25, "3.25in" or "85mm", in inches. Raises ConfigError, which tells its `name`."""
    if isinstance(length, str):
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", length.lower())
        if match is None or match[2] not in {*UNITS, ""}:
            raise ConfigError(f"{name}: {length!r} is no {name}; write it like 3.25in or 85mm ({', '.join(UNITS)})")
        value = float(match[1]) * UNITS[match[2] or "in"]
    else:
        value = float(length)
    if not LEAST_WIDTH <= value <= MOST_WIDTH:
        raise ConfigError(f"{name}: {length!r} is not between {LEAST_WIDTH:g} and {MOST_WIDTH:g} inches")
    return value


def columns_for(options: FigureOptions, panels: int) -> int:
    """How many panels stand side by side: as many as asked, or rows of even length, wide enough for their words."""
    if options.columns is not None:
        return min(int(options.columns), panels)
    room = max(1, round(options.inches * 72 / (PANEL * min(options.font_size, 10))))
    return math.ceil(panels / math.ceil(panels / room))


def _within(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{name}: {value!r} is no number from {low:g} to {high:g}")
