"""Connected regions of the grid that hold most of a step's weight, and their boxes on the photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attnviz.errors import ConfigError

if TYPE_CHECKING:
    from attnviz.photo.frame import Frame
    from attnviz.trace.arrays import Floats

TIE = 1e-5  # cells whose weights differ by less than this share of them are alike: only rounding tells them apart


@dataclass(frozen=True)
class Region:
    """A connected region of cells.

    Attributes:
        box: (y0, x0, y1, x1), the smallest around the cells, in pixels of the photo, cut off at its edges.
        score: the share of the step's whole weight that its cells hold.
        area: of its cells on the photo, in square pixels.
        cells: how many there are.
    """

    box: tuple[float, float, float, float]
    score: float
    area: float
    cells: int

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """[x, y, width, height], as COCO has it."""
        y0, x0, y1, x1 = self.box
        return x0, y0, x1 - x0, y1 - y0


def regions_of(weights: Floats, frame: Frame, share: float = 0.5) -> list[Region]:
    """The regions that the strongest cells of a step make, which together hold a share of its weight on the photo.

    The cells are taken in the order of their weights until they hold the share, with all that are as strong as the
    last; those that touch at an edge make a region. Cells that lie on padding altogether take no part.

    Args:
        weights: (h, w), sum 1.
        frame: how the grid lies on the photo.
        share: of the weight, above 0 and at most 1.

    Returns:
        The regions, those of the largest scores first.

    Raises:
        ConfigError: a share that is none.
    """
    given: object = share
    if isinstance(given, bool) or not isinstance(given, int | float | np.floating) or not 0 < given <= 1:
        raise ConfigError(f"share must be a number above 0 and at most 1, not {given!r:.40}")
    drawn = np.where(frame.coverage() > 0, weights.astype(np.float64), 0)
    if not drawn.sum() > 0:
        return []
    ordered = np.sort(drawn, axis=None)[::-1]
    held = ordered.cumsum()
    last = ordered[min(int(np.searchsorted(held, share * held[-1] * (1 - 1e-12))), ordered.size - 1)]
    labels = connected((drawn >= last * (1 - TIE)) & (drawn > 0))
    height, width = frame.photo
    boxes = frame.boxes()
    boxes[..., 0::2] = np.clip(boxes[..., 0::2], 0, height)
    boxes[..., 1::2] = np.clip(boxes[..., 1::2], 0, width)
    areas = np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
    found = []
    for label in np.unique(labels[labels >= 0]):
        inside = labels == label
        corners = boxes[inside]
        (top, left), (bottom, right) = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
        box = float(top), float(left), float(bottom), float(right)
        found.append(Region(box, min(float(drawn[inside].sum()), 1.0), float(areas[inside].sum()), int(inside.sum())))
    return sorted(found, key=lambda region: (-region.score, region.box))


def connected(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(..., h, w): one number for each region of True cells that touch at an edge, its first cell's; -1 elsewhere.

    Cells are counted over the whole array, so that no two grids of it share a number.
    """
    count = mask.size
    labels = np.where(mask, np.arange(count).reshape(mask.shape), count)
    while True:
        before = labels.copy()
        for axis in (-2, -1):
            rows = np.moveaxis(labels, axis, 0)  # a view
            for ahead, behind in ((rows[1:], rows[:-1]), (rows[:-1], rows[1:])):
                np.minimum(ahead, behind, out=ahead, where=ahead < count)
        labels = np.append(labels, count)[labels]  # the number of the cell whose number it has
        if np.array_equal(labels, before):
            return np.where(mask, labels, -1)
