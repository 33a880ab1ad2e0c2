"""What a weight is worth in colour: density, scale, and the 256 levels that are painted.

Density is weight x N (N cells in the grid), so 1 means "as if looking everywhere alike". A scale runs from 0 to its
top; what lies below 2 % of the top is level 0 and leaves the photo as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from attnviz.photo.frame import Frame

SCALES = {
    "shared": "from 0 to the largest density of all drawn steps, at least 4",
    "uniform": "from 0 to 10 times uniform, so that pictures of different photos and models compare",
    "step": "each step from 0 to its own largest density; the picture says so",
}
THRESHOLD = 0.02  # of the scale's top; below it nothing is painted
LEAST_TOP = 4.0  # times uniform; keeps a flat map, noise and all, looking flat
UNIFORM_TOP = 10.0  # times uniform

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scale:
    """A range of densities.

    Args:
        name: one of SCALES.
        top: the density that gets the last colour, in times uniform.
        clipped: some drawn density lies above `top`.
    """

    name: str
    top: float
    clipped: bool = False

    def levels(self, density: npt.NDArray[np.floating]) -> Levels:
        """Densities of any shape as uint8: 0 below the threshold and for NaN, 1 at the threshold, 255 at the top."""
        per_density = 255 / (1 - THRESHOLD) / self.top
        values = np.asarray(density, np.float32) * np.float32(per_density)
        values += np.float32(1 - THRESHOLD * 255 / (1 - THRESHOLD))
        np.fmax(values, 0, out=values)  # fmax also turns NaN into 0
        np.minimum(values, 255, out=values)
        return values.astype(np.uint8)

    def position(self, density: float) -> float:
        """Where a density stands on the scale, from 0 to 1."""
        return min(max(density / self.top, 0.0), 1.0)


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
    drawn = density[np.asarray(steps, np.intp)] * (frame.coverage() > 0)
    return scales_of_peaks(name, [float(peak) for peak in drawn.max(axis=(1, 2))])


def scales_of_peaks(name: str, peaks: Sequence[float]) -> list[Scale]:
    """As `scales`, of the largest density in each picture; pictures of different traces may share one scale so."""
    if name == "step":
        # All of a step's weight may lie on padding: then nothing is painted, on any range.
        return [Scale(name, peak if peak > 0 else 1.0) for peak in peaks]
    if name == "uniform":
        return [Scale(name, UNIFORM_TOP, max(peaks) > UNIFORM_TOP)] * len(peaks)
    return [Scale(name, max(LEAST_TOP, *peaks))] * len(peaks)
