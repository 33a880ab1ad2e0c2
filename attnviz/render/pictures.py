"""The pictures of one trace on one photo: each step's overlay, and the frames of an animation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnviz.errors import ImageError
from attnviz.photo.frame import Frame
from attnviz.render.compare import check_words
from attnviz.render.contour import KEYS, Contours
from attnviz.render.heatmap import Scale, scales
from attnviz.render.overlay import Overlay, dimmed, table
from attnviz.render.strip import BACKGROUND, MIN_WIDTH, Strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnviz.photo.image import Photo
    from attnviz.render.options import DrawOptions
    from attnviz.render.strip import Key
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
        compared: further traces of the photo, with the same words, for formats that show several.

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
        for other in compared:
            if other.frame is not None:
                check_shape(photo, other.frame)
        self.frame = trace.frame or Frame.stretch(photo.size, photo.size, trace.grid)
        self.steps = options.chosen(len(trace))
        check_shape(photo, self.frame)
        pixels = resized(photo.pixels, options.size)
        self.pixels = pixels  # the photo as it is
        self.size: Size = (pixels.shape[0], pixels.shape[1])
        self._density = trace.density
        self.scales = scales(options.scale, self._density, self.steps, self.frame)
        seen = self.frame.seen(self.size)
        self._base = dimmed(pixels, seen)
        self.legend = legend(options)
        self._painter = self._paint_on(self._base, seen)
        self.blank = self._painter.blank  # the picture of no attention at all

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def labelled(self) -> bool:
        """Whether PNGs have a strip: asked for, or because a scale of their own must be said."""
        return self.options.labels or self.options.scale == "step"

    def density(self, index: int, share: float = 1.0) -> Floats:
        """(H, W) float32 on the picture's pixels, in times uniform, NaN where the model saw nothing.

        Args:
            index: which of the drawn steps.
            share: below 1, that much of it and the rest of the step drawn before.
        """
        grid = self._density[self.steps[index]]
        if share < 1:
            grid = np.float32(share) * grid + np.float32(1 - share) * self._density[self.steps[index - 1]]
        return self.frame.upsample(grid, self.size, self.options.cells)

    def overlay(self, index: int, share: float = 1.0) -> Bytes:
        """(H, W, 3) uint8: the photo with a step's heatmap."""
        return self._painter.paint(self.density(index, share), self._scale(index, share))[0]

    def samples(self, count: int) -> Bytes:
        """(n, 3) uint8, n about `count` at most: pixels of the photo, and the painted ones of all steps."""
        stride = max(1, round((math.prod(self.size) * (len(self) + 1) / count) ** 0.5))
        grid = slice(stride // 2 if min(self.size) > stride else 0, None, stride)
        base = self._base[grid, grid]
        size = (base.shape[0], base.shape[1])
        # What was seen at this size, as the densities have it: a part of the whole mask may be off by a pixel.
        painter = self._paint_on(base, self.frame.seen(size))
        densities = self.frame.upsample(self._density[list(self.steps)], size, self.options.cells)
        painted = [painter.paint(density, scale)[0] for density, scale in zip(densities, self.scales, strict=True)]
        blank = painter.blank
        return np.concatenate([blank.reshape(-1, 3), *(part[(part != blank).any(axis=2)] for part in painted)])

    def picture(self, index: int) -> Bytes:
        """(H, W, 3) uint8, as in a PNG of its own: the overlay, with a strip where there is to be one."""
        return self._with_strip(index, 1.0, self._label) if self.labelled else self.overlay(index)

    def still(self, still: Still) -> Bytes:
        """(H, W, 3) uint8: a frame of an animation, of the same size for all."""
        return self._with_strip(still.index, still.share, self._caption)

    @property
    def empty_picture(self) -> Bytes:
        """A PNG's picture with no attention and no words in it: what the others have in common."""
        return self._canvas(self._label.height) if self.labelled else self.blank

    @property
    def empty_still(self) -> Bytes:
        """An animation's frame with no attention and no words in it."""
        return self._canvas(self._caption.height)

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

    def _paint_on(self, base: Bytes, seen: npt.NDArray[np.bool_]) -> Overlay | Contours:
        """What paints densities of the base's size over it."""
        if isinstance(self.legend, np.ndarray):
            return Overlay(base, self.legend)
        return Contours(base, seen, self.options.strength, self.options.cells)

    @cached_property
    def _caption(self) -> Strip:
        return self._strip(sentence=True)

    @cached_property
    def _label(self) -> Strip:
        return self._caption if self.options.labels else self._strip(sentence=False)

    def _strip(self, sentence: bool) -> Strip:
        width = max(self.size[1], MIN_WIDTH)
        return Strip(self.trace.tokens, self.trace.logprobs, width, self.legend, sentence, self.steps[-1] + 1)

    def _scale(self, index: int, share: float = 1.0) -> Scale:
        scale = self.scales[index]
        if share == 1 or scale.name != "step":
            return scale
        return Scale(scale.name, share * scale.top + (1 - share) * self.scales[index - 1].top)

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns of the photo in a picture with a strip."""
        height, width = self.size
        left = (max(width, MIN_WIDTH) - width) // 2
        return slice(height), slice(left, left + width)

    def _canvas(self, below: int) -> Bytes:
        height, width = self.size
        canvas = np.empty((height + below, max(width, MIN_WIDTH), 3), np.uint8)
        canvas[:] = BACKGROUND
        canvas[self.place] = self.blank
        return canvas

    def _with_strip(self, index: int, share: float, strip: Strip) -> Bytes:
        scale = self._scale(index, share)
        overlay, lines = self._painter.paint(self.density(index, share), scale)
        canvas = self._canvas(strip.height)
        canvas[self.place] = overlay
        canvas[self.size[0] :] = strip.draw(self.steps[index], scale, lines)
        return canvas


def legend(options: DrawOptions) -> Bytes | Sequence[Key]:
    """What explains the colours: the overlay's table (see `overlay`), or the keys of contour lines."""
    return KEYS if options.style == "contour" else table(options.style, options.cmap, options.strength)


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
