"""The pictures of one trace on one photo: each step's overlay, and the frames of an animation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnviz.errors import ImageError
from attnviz.photo.frame import Frame
from attnviz.render.board import GAP, Board, columns_for
from attnviz.render.compare import check_words, names_of
from attnviz.render.heatmap import common_scales
from attnviz.render.panel import Panel, legend
from attnviz.render.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnviz.photo.image import Photo
    from attnviz.render.options import DrawOptions
    from attnviz.trace import Trace

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

Size = tuple[int, int]

FADE_STEP = 50  # milliseconds a frame of a cross-fade is shown
ASPECT_SLACK = 0.02  # a resized copy of the traced photo differs this much in shape, by rounding


@dataclass(frozen=True)
class Still:
    """One frame of an animation.

    Attributes:
        index: which of the drawn steps it shows.
        share: how far the map has come from the step drawn before, 1 for all the way.
        milliseconds: how long it is shown, a multiple of 10.
    """

    index: int
    share: float
    milliseconds: int


class Pictures:
    """What there is to draw, computed on demand. Methods may be called from several threads.

    Args:
        trace: its frame, or without one the whole photo stretched over the grid.
        photo: the photo, or a smaller or larger copy of it.
        options: how to draw.
        compared: further traces of the photo, with the same words.

    Raises:
        ImageError: the photo has another shape than the one a trace was made from.
        ConfigError: steps that the trace does not have, or compared traces of other words.
    """

    def __init__(self, trace: Trace, photo: Photo, options: DrawOptions, compared: Sequence[Trace] = ()) -> None:
        self.trace = trace
        self.options = options
        self.name = photo.name if trace.image is None else trace.image.name
        self.traces = (trace, *compared)
        check_words(self.traces)
        self.names = names_of(self.traces) if compared else []
        """What tells compared traces apart; none of a single trace."""
        self.frames = [one.frame or Frame.stretch(photo.size, photo.size, one.grid) for one in self.traces]
        for frame in self.frames:
            check_shape(photo, frame)
        self.frame = self.frames[0]
        self.steps = options.chosen(len(trace))
        pixels = resized(photo.pixels, options.size)
        self.pixels = pixels  # the photo as it is
        self.size: Size = (pixels.shape[0], pixels.shape[1])
        self.all_scales = common_scales(options.scale, self.traces, self.frames, self.steps)
        """For each trace the scales of the drawn steps; a shared one is shared by all traces."""
        self.scales = self.all_scales[0]
        self.legend = legend(options)
        self._panels: dict[tuple[int, int | None], Panel] = {}
        self._boards: dict[int, Board] = {}

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def labelled(self) -> bool:
        """Whether PNGs have a strip: asked for, or because a scale of their own must be said."""
        return self.options.labels or self.options.scale == "step"

    def panel(self, number: int, longest: int | None = None) -> Panel:
        """What paints a trace, at the pictures' size or with a longest side of so many pixels."""
        key = number, longest
        if key not in self._panels:
            pixels, scales = resized(self.pixels, longest), self.all_scales[number]
            panel = Panel(self.traces[number], self.frames[number], pixels, self.steps, scales, self.options)
            self._panels[key] = panel
        return self._panels[key]

    def small(self, longest: int) -> Bytes:
        """(H, W, 3) uint8: the photo as it is, with a longest side of so many pixels at most."""
        return resized(self.pixels, longest)

    @property
    def blank(self) -> Bytes:
        """(H, W, 3) uint8: the picture of no attention at all."""
        return self.panel(0).blank

    def density(self, index: int, share: float = 1.0) -> Floats:
        """(H, W) float32 on the picture's pixels, in times uniform, NaN where the model saw nothing.

        Args:
            index: which of the drawn steps.
            share: below 1, that much of it and the rest of the step drawn before.
        """
        return self.panel(0).density(index, share)

    def overlay(self, index: int) -> Bytes:
        """(H, W, 3) uint8: the photo with a step's heatmap."""
        return self.panel(0).paint(index)[0]

    def samples(self, count: int) -> Bytes:
        """(n, 3) uint8, n about `count` at most: pixels of the animation's photo, and the painted ones of all steps."""
        return np.concatenate([panel.samples(count // len(self.traces)) for panel in self._film_panels])

    def picture(self, index: int, number: int = 0) -> Bytes:
        """(H, W, 3) uint8, as in a file of its own: the overlay, with a strip where there is to be one.

        Args:
            index: which of the drawn steps.
            number: of which trace.
        """
        return self._board(number).draw(index) if self.labelled else self.panel(number).paint(index)[0]

    def empty_picture(self, number: int = 0) -> Bytes:
        """A still picture with no attention and no words in it: what the others of a trace have in common."""
        return self._board(number).empty if self.labelled else self.panel(number).blank

    def _board(self, number: int) -> Board:
        """Draws a trace's pictures with a strip below."""
        if number not in self._boards:
            strip = partial(self._strip, sentence=self.options.labels)
            self._boards[number] = Board([self.panel(number)], (), strip, self.steps)
        return self._boards[number]

    @cached_property
    def film(self) -> Board:
        """Draws an animation's frames: the word in every trace, and the sentence below."""
        return Board(self._film_panels, self.names, self._strip, self.steps)

    def still(self, still: Still) -> Bytes:
        """(H, W, 3) uint8: a frame of an animation, of the same size for all."""
        return self.film.draw(still.index, still.share)

    @property
    def empty_still(self) -> Bytes:
        """An animation's frame with no attention and no words in it."""
        return self.film.empty

    @cached_property
    def stills(self) -> list[Still]:
        """The frames of an animation, in order."""
        options = self.options
        stills: list[Still] = []
        for index in range(len(self)):
            seconds = options.last if index == len(self) - 1 else options.duration
            left = max(20, round(seconds * 100) * 10)
            count = min(round(options.fade * 1000 / FADE_STEP), (left - 10) // FADE_STEP) if index else 0
            stills += [Still(index, (number + 1) / (count + 1), FADE_STEP) for number in range(count)]
            stills.append(Still(index, 1.0, left - count * FADE_STEP))
        return stills

    @cached_property
    def _film_panels(self) -> list[Panel]:
        """A panel for each trace, so small that all of them together are no larger than one picture may be."""
        count = len(self.traces)
        columns = columns_for(count, self.size)
        most = max(columns, -(-count // columns))
        limit = self.options.size if isinstance(self.options.size, int) else max(self.size)
        longest = None if count == 1 else max(1, min(max(self.size), limit // most - GAP))
        return [self.panel(number, longest) for number in range(count)]

    def _strip(self, width: int, sentence: bool = True) -> Strip:
        return Strip(self.trace.tokens, self.trace.logprobs, width, self.legend, sentence, self.steps[-1] + 1)


def resized(pixels: Bytes, longest: int | str | None) -> Bytes:
    """(H, W, 3): the photo with its longest side at most `longest` pixels; never enlarged."""
    height, width = pixels.shape[:2]
    if not isinstance(longest, int) or max(height, width) <= longest:
        return pixels
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Whole factors are averaged away first, which is many times faster and no less true at a factor above 3.
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def check_shape(photo: Photo, frame: Frame) -> None:
    """Raises ImageError unless the photo is the traced one, or a copy of it in another size."""
    (height, width), (traced_height, traced_width) = photo.size, frame.photo
    if photo.size == frame.photo:
        return
    # A copy's sides are rounded to whole pixels, so each may be half a pixel off.
    off = abs(height * traced_width - width * traced_height)
    if off > max(traced_height, traced_width) / 2 + ASPECT_SLACK * min(height * traced_width, width * traced_height):
        raise ImageError(
            f"{photo.name}: is {width}x{height} pixels, but the trace was made from a photo of "
            f"{traced_width}x{traced_height}; give that photo, or a resized copy of it"
        )
