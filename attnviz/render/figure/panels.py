"""What the panels of a figure show: the photo, each word's map, and the difference of two maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnviz.photo.frame import Frame
from attnviz.render.contour import Contours
from attnviz.render.heatmap import Scale, quantity, scales, scales_of_peaks
from attnviz.render.overlay import OPACITY, Overlay, dimmed, ramp_table, table
from attnviz.render.palette import arms
from attnviz.render.pictures import check_shape
from attnviz.trace.wording import unsure

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
    from attnviz.render.options import DrawOptions
    from attnviz.trace import Trace

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Size = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """A line of maps: those of trace `index`, or these minus those of the first trace."""

    index: int
    difference: bool = False


def rows_for(traces: int, difference: bool) -> list[Row]:
    """Each trace's row, and below it, where asked for, its difference from the first."""
    rows = [Row(0)]
    for index in range(1, traces):
        rows += [Row(index), *([Row(index, difference=True)] if difference else [])]
    return rows


class Subject:
    """One photo, the traces that are compared on it, and which steps are drawn.

    Args:
        photo: as loaded.
        traces: of this photo, with the same words.
        steps: the drawn ones.
        options: how to draw.

    Raises:
        ImageError: the photo has another shape than the one a trace was made from.
    """

    def __init__(self, photo: Photo, traces: Sequence[Trace], steps: Sequence[int], options: DrawOptions) -> None:
        self.photo, self.traces, self.steps = photo, list(traces), list(steps)
        self._options = options
        self.frames = [trace.frame or Frame.stretch(photo.size, photo.size, trace.grid) for trace in traces]
        for frame in self.frames:
            check_shape(photo, frame)
        self.unsure = [unsure(trace.logprobs, len(trace)) for trace in traces]  # of each trace, of each word
        self.size: Size = photo.size

    def place(self, size: Size) -> None:
        """Sets the size of the panels, (H, W) in dots; before anything is painted."""
        self.size = size
        image = Image.fromarray(self.photo.pixels)
        # Whole factors are averaged away first, as in the pictures of `draw`.
        self.pixels: Bytes = np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS, reducing_gap=3.0))

    def peaks(self, row: Row) -> list[float]:
        """The largest density of each drawn step, on the cells; of differences the largest in size, on the pixels."""
        if not row.difference:
            trace = self.traces[row.index]
            return [scale.top for scale in scales("step", trace.density, self.steps, self.frames[row.index])]
        return [float(np.nanmax(np.abs(self.difference(row.index, step)), initial=0.0)) for step in self.steps]

    def density(self, index: int, step: int) -> Floats:
        """(H, W): a step's density on the panel's pixels, NaN where the model saw nothing."""
        return self.frames[index].upsample(self.traces[index].density[step], self.size, self._options.cells)

    def difference(self, index: int, step: int) -> Floats:
        """(H, W): the density of trace `index` minus that of the first, NaN where either model saw nothing."""
        return self.density(index, step) - self.density(0, step)

    def painted(self, row: Row, panel_scales: Sequence[Scale]) -> Iterator[Bytes]:
        """(H, W, 3) uint8 for each drawn step."""
        seen = self.frames[row.index].seen(self.size)
        options = self._options
        if row.difference:
            arms = Arms(dimmed(self.pixels, seen & self.frames[0].seen(self.size)), options.opacity)
            for step, scale in zip(self.steps, panel_scales, strict=True):
                yield arms.paint(self.difference(row.index, step), scale)
            return
        base = dimmed(self.pixels, seen)
        painter = (
            Contours(base, seen, options.strength, options.cells)
            if options.style == "contour"
            else Overlay(base, table(options.style, options.cmap, options.strength))
        )
        for step, scale in zip(self.steps, panel_scales, strict=True):
            yield painter.paint(self.density(row.index, step), scale)[0]


class Arms:
    """Paints differences over a photo: one colour ramp for more, one for less, nothing below the threshold.

    Args:
        base: (H, W, 3) uint8.
        opacity: at the scale's ends; None for that of the style "heat".
    """

    def __init__(self, base: Bytes, opacity: float | None) -> None:
        self._more, self._less = (Overlay(base, arm) for arm in arm_tables(opacity))

    def paint(self, difference: Floats, scale: Scale) -> Bytes:
        """(H, W, 3) uint8: the photo with one (H, W) difference in colour."""
        out = self._more.paint_levels(scale.levels(difference))
        less = scale.levels(-difference)
        out[less > 0] = self._less.paint_levels(less)[less > 0]
        return out


def arm_tables(opacity: float | None) -> tuple[Bytes, Bytes]:
    """Overlay tables of what is more and of what is less than in the first row."""
    strength = OPACITY["heat"] if opacity is None else opacity
    more, less = (ramp_table(ramp, strength) for ramp in arms())
    return more, less


def common_scales(name: str, subjects: Sequence[Subject], rows: Sequence[Row]) -> dict[tuple[int, Row], list[Scale]]:
    """The scale of each panel: (photo, row) -> one for each step. "shared" is one for all of `rows` and photos."""
    peaks = {(number, row): subject.peaks(row) for number, subject in enumerate(subjects) for row in rows}
    found = iter(scales_of_peaks(name, [peak for part in peaks.values() for peak in part]) if peaks else ())
    of = quantity([trace for subject in subjects for trace in subject.traces])
    return {key: [replace(next(found), of=of) for _ in part] for key, part in peaks.items()}
