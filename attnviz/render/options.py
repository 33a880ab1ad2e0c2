"""How to draw: one frozen record, checked when it is made."""

from __future__ import annotations

import difflib
import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from attnviz.errors import ConfigError
from attnviz.limits import LEAST_SECONDS, MOST_SECONDS
from attnviz.render.heatmap import RENAMED, SCALES
from attnviz.render.overlay import OPACITY, STYLES
from attnviz.render.palette import DEFAULT, colours

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from attnviz.trace import Trace

SIZE = 1280

Options = TypeVar("Options", bound="DataclassInstance")


class PictureKeywords(TypedDict, total=False):
    """The fields of DrawOptions, but `threads`, as keywords that editors complete and type checkers know."""

    scale: str
    style: str
    cmap: str
    opacity: float | None
    cells: bool
    regions: bool
    labels: bool
    pieces: bool
    relative: bool
    size: int | str | None
    steps: str | Sequence[int] | None
    duration: float
    last: float
    loop: bool
    fade: float


class DrawKeywords(PictureKeywords, total=False):
    """The fields of DrawOptions as keywords; a test holds the two equal."""

    threads: int | None


@dataclass(frozen=True)
class DrawOptions:
    """What pictures look like.

    Args:
        scale: "log", "linear" (once called "uniform"), "shared" or "step"; see `heatmap.SCALES`.
        style: "heat", "spotlight" or "contour"; see `overlay.STYLES`.
        cmap: the default, or any name of matplotlib's; for style "heat".
        opacity: from 0 to 1: of the colour at the scale's top, of the dark where a spotlight does not shine, of contour
            lines. None for the style's own.
        cells: the raw grid, every cell in one colour, instead of bilinear interpolation.
        regions: outline the regions that hold half of a word's weight with boxes.
        labels: a caption strip under each PNG too; animations always have one.
        pieces: draw a step for each of a tokenizer's pieces, where the trace has them, instead of joining them to
            words.
        relative: draw each step divided by the mean of all steps: see `Trace.relative`.
        size: the longest side in pixels; smaller photos are not enlarged. "original" (or None) keeps the photo's size.
        steps: what to draw, counted from 0 as in the file names: a string such as "1-5,8" or "3-", or a sequence of
            ints. None for all. A range may reach past the end, since captions differ in length.
        duration: seconds a word is shown in animations.
        last: seconds the last word is shown.
        loop: whether animations start again.
        fade: seconds of cross-fade from word to word, within `duration`.
        threads: how many to use; None for one a core.

    Raises:
        ConfigError: a value that cannot be used.
    """

    scale: str = "log"
    style: str = "heat"
    cmap: str = DEFAULT
    opacity: float | None = None
    cells: bool = False
    regions: bool = False
    labels: bool = False
    pieces: bool = False
    relative: bool = False
    size: int | str | None = SIZE
    steps: str | Sequence[int] | None = None
    duration: float = 0.8
    last: float = 2.5
    loop: bool = True
    fade: float = 0.0
    threads: int | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # numbers of numpy's become Python's, which JSON knows
        set_field(self, "scale", RENAMED.get(self.scale, self.scale))
        _choice("scale", self.scale, SCALES)
        _choice("style", self.style, STYLES)
        for name in ("cells", "regions", "labels", "pieces", "relative", "loop"):
            check_flag(name, getattr(self, name))
        if self.opacity is not None:
            set_field(self, "opacity", _number("opacity", self.opacity, 0, 1))
        for name, low in (("duration", LEAST_SECONDS), ("last", LEAST_SECONDS), ("fade", 0)):
            set_field(self, name, _number(name, getattr(self, name), low, MOST_SECONDS))
        if self.fade > self.duration:
            raise ConfigError(
                f"fade: {self.fade:g} s is longer than duration, {self.duration:g} s; a word fades while it is shown"
            )
        if self.threads is not None:
            set_field(self, "threads", _count("threads", self.threads))
        size = int(self.size) if isinstance(self.size, str) and self.size.isdecimal() else self.size
        set_field(self, "size", None if size is None or size == "original" else _count("size", size))
        if isinstance(self.steps, str):
            parse_steps(self.steps)
        elif self.steps is not None:
            try:
                set_field(self, "steps", tuple(self.steps))
            except TypeError:
                raise ConfigError(f"steps: {self.steps!r} is neither text such as 1-5,8 nor a sequence") from None
        if self.style == "heat":
            colours(self.cmap)

    @property
    def strength(self) -> float:
        """The opacity in use."""
        return OPACITY[self.style] if self.opacity is None else self.opacity

    def told(self, trace: Trace) -> Trace:
        """The trace whose numbers are told: of words, or of pieces where these are wanted."""
        return trace if self.pieces else trace.joined()

    def shown(self, trace: Trace) -> Trace:
        """The trace that is drawn: as `told`, and relative where that is wanted."""
        return self.told(trace).relative() if self.relative else self.told(trace)

    def chosen(self, count: int) -> tuple[int, ...]:
        """The steps to draw, from 0, ascending, out of `count`. Raises ConfigError for steps that are not there."""
        if self.steps is None:
            return tuple(range(count))
        if isinstance(self.steps, str):
            return _steps_within(parse_steps(self.steps), count)
        for step in self.steps:
            if not _is_whole(step) or not 0 <= step < count:
                raise ConfigError(f"steps: there is no step {step!r}; the trace has {count}, counted from 0")
        if not self.steps:
            raise ConfigError("steps: none are given; leave it out to draw all")
        return tuple(sorted({int(step) for step in self.steps}))

    def to_dict(self) -> dict[str, Any]:
        """The options that decide what the pictures look like, JSON-ready."""
        found = asdict(self)
        del found["threads"]
        found["opacity"] = self.strength
        found["size"] = self.size or "original"
        found["steps"] = self.steps if isinstance(self.steps, str | None) else [int(step) for step in self.steps]
        return found


def options_from(kind: type[Options], given: Mapping[str, Any], what: str) -> Options:
    """A record of `kind`, made of options by name.

    Args:
        what: the function they were given to, for messages.

    Raises:
        ConfigError: a name that is no field, told with the one close to it, or a value that cannot be used.
    """
    known = [field.name for field in fields(kind) if field.init]
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}"
            raise ConfigError(f"{what} has no option {name!r}; {hint}")
    return kind(**given)


def parse_steps(text: str) -> tuple[tuple[int, int | None], ...]:
    """Ranges such as "1-5,8,10-" as (first, last) pairs, both included; last is None for "to the end".

    Raises:
        ConfigError: text that is no list of ranges.
    """
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,6})\s*(?:(-)\s*([0-9]{1,6})?\s*)?", part)
        last = match and (int(match[3]) if match[3] else None if match[2] else int(match[1]))
        if match is None or (last is not None and last < int(match[1])):
            raise ConfigError(f"steps: {text!r} is no list of steps; write numbers and ranges from 0, like 1-5,8")
        ranges.append((int(match[1]), last))
    return tuple(ranges)


def _steps_within(ranges: Sequence[tuple[int, int | None]], count: int) -> tuple[int, ...]:
    steps: set[int] = set()
    for first, last in ranges:
        if first >= count:
            raise ConfigError(f"steps: there is no step {first}; the trace has {count}, counted from 0")
        steps.update(range(first, count if last is None else min(last + 1, count)))
    return tuple(sorted(steps))


def _choice(name: str, value: Any, known: Sequence[str] | dict[str, str]) -> None:
    if value not in tuple(known):
        raise ConfigError(f"{name}: {value!r} is none of {', '.join(known)}")


def check_flag(name: str, value: Any) -> None:
    """Raises ConfigError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name}: {value!r} is neither True nor False")


def _number(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= float(value) <= high:
        raise ConfigError(f"{name}: {value!r} is no number from {low:g} to {high:g}")
    return float(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _count(name: str, value: Any) -> int:
    if not _is_whole(value) or value < 1:
        raise ConfigError(f"{name}: {value!r} is no whole number above 0")
    return int(value)
