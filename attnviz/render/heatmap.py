"""What a weight is worth in colour: density, scale, and the 256 levels that are painted.

Density is weight x N (N cells in the grid), so 1 means "as if looking everywhere alike". A scale gives each density a
level. What lies below its bottom is level 0 and leaves the photo as it is.

The default is logarithmic and fixed. Single cells reach 250 times uniform, while a word that looks at a whole table
spreads over many cells at 3: on a linear scale up to the strongest cell of all words such a word is not seen. Here each
doubling is the same step of colour, and a density has one colour at every word, in every photo, mode and model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from attnviz.photo.frame import Frame
    from attnviz.trace import Trace

SCALES = {
    "log": "from 1 to 64 times uniform, each doubling the same step; one for all words, photos, modes and models",
    "linear": "from 0 to 10 times uniform; one for all words, photos, modes and models",
    "shared": "from 0 to the largest density of all drawn words, at least 4",
    "step": "each word from 0 to its own largest density; the picture says so",
}
RENAMED = {"uniform": "linear"}  # earlier names that still mean the same

BOTTOM, TOP = 1.0, 64.0  # times uniform, of "log"
LINEAR_TOP = 10.0  # times uniform, of "linear"
LEAST_TOP = 4.0  # times uniform, of "shared"; keeps a flat map, noise and all, looking flat
THRESHOLD = 0.02  # of the top, of the scales that begin at 0; below it nothing is painted

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scale:
    """A range of densities.

    Args:
        name: one of SCALES.
        top: the density that gets the last colour, in times uniform.
        clipped: some drawn density lies above `top`.
        of: what the densities are of, as `quantity` says it.
    """

    name: str
    top: float
    clipped: bool = False
    of: str = "attention"

    @property
    def doubling(self) -> bool:
        """Whether equal steps are doublings."""
        return self.name == "log"

    @property
    def bottom(self) -> float:
        """The density below which nothing is painted, in times uniform."""
        return BOTTOM if self.doubling else THRESHOLD * self.top

    def levels(self, density: npt.NDArray[np.floating]) -> Levels:
        """Densities of any shape as uint8: 0 below the bottom and for NaN, 1 at the bottom, 255 at the top."""
        per_unit, bottom = 255 / (self.top - self.bottom), self.bottom
        values = np.array(density, np.float32)
        if self.doubling:
            per_unit, bottom = 255 / math.log(self.top / self.bottom), math.log(self.bottom)
            np.fmax(values, self.bottom / 2, out=values)  # also turns NaN into what is not painted
            np.log(values, out=values)
        values *= np.float32(per_unit)
        values += np.float32(1 - bottom * per_unit)
        np.fmax(values, 0, out=values)
        np.minimum(values, 255, out=values)
        return values.astype(np.uint8)

    def position(self, density: float) -> float:
        """Where a density stands on the bar, from 0 to 1."""
        if self.doubling:
            density = max(density, self.bottom)
            return min(math.log(density / self.bottom) / math.log(self.top / self.bottom), 1.0)
        return min(max(density / self.top, 0.0), 1.0)

    def at(self, positions: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """The densities at positions on the bar, from 0 to 1: the inverse of `position`."""
        if self.doubling:
            return np.asarray(self.bottom * (self.top / self.bottom) ** np.asarray(positions, np.float64))
        return np.asarray(positions, np.float64) * self.top


DEFAULT = Scale("log", TOP)


def scales(name: str, density: npt.NDArray[np.floating], steps: Sequence[int], frame: Frame) -> list[Scale]:
    """The scale of each drawn step.

    Args:
        name: one of SCALES.
        density: (T, h, w), of all steps.
        steps: the drawn ones.
        frame: tells which cells are on padding: those are not drawn and do not count.

    Returns:
        One scale for each of `steps`; the same one for all of them, except in "step".
    """
    return scales_of_peaks(name, peaks(density, steps, frame))


def peaks(density: npt.NDArray[np.floating], steps: Sequence[int], frame: Frame) -> list[float]:
    """The largest density of each drawn step, padding left out."""
    drawn = density[np.asarray(steps, np.intp)] * (frame.coverage() > 0)
    return [float(peak) for peak in drawn.max(axis=(1, 2))]


def common_scales(
    name: str, traces: Sequence[Trace], frames: Sequence[Frame], steps: Sequence[int]
) -> list[list[Scale]]:
    """For each of several traces of a photo the scale of each drawn step; "shared" is one for all of them."""
    found = [peaks(trace.density, steps, frame) for trace, frame in zip(traces, frames, strict=True)]
    every = iter(scales_of_peaks(name, [peak for of_one in found for peak in of_one]))
    of = quantity(traces)
    return [[replace(next(every), of=of) for _ in of_one] for of_one in found]


def quantity(traces: Sequence[Trace]) -> str:
    """What maps are of: "attention", "relative attention" (see `Trace.relative`), "gradient × attention", or both."""
    relative = any(trace.settings.get("relative") is True for trace in traces)
    second = {trace.settings.get("map") == "gradient" for trace in traces}
    what = "attention or gradient × attention" if len(second) > 1 else "gradient × attention"
    return f"{'relative ' if relative else ''}{what if True in second else 'attention'}"


def scales_of_peaks(name: str, peaks: Sequence[float]) -> list[Scale]:
    """As `scales`, of the largest density in each picture; pictures of different traces may share one scale so."""
    if name == "step":
        # All of a step's weight may lie on padding: then nothing is painted, on any range.
        return [Scale(name, peak if peak > 0 else 1.0) for peak in peaks]
    tops = {"log": TOP, "linear": LINEAR_TOP, "shared": max(LEAST_TOP, *peaks)}
    return [Scale(name, tops[name], max(peaks) > tops[name])] * len(peaks)
