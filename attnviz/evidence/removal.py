"""Photos with some of what a network saw taken away: cells of its grid, blurred or in the photo's mean colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from attnviz.photo.image import Photo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnviz.photo.frame import Frame
    from attnviz.photo.image import Pixels

How = Literal["blur", "mean"]
HOWS: tuple[How, ...] = ("blur", "mean")

BLUR_CELLS = 1.0
"""Standard deviation of the blur, in sides of a cell: what is smaller than a cell is gone, the broad light stays."""

WIDEST_BLUR = 64.0  # pixels; a grid of very few cells would else blur the whole photo into one colour


class Removal:
    """Takes cells of a grid out of one photo.

    Args:
        photo: the whole photo.
        frame: how it lies on the grid.
        how: what stands where a cell was: the photo, blurred until nothing smaller than a cell is left ("blur",
            Petsiuk et al. 2018), or its mean colour ("mean").
    """

    def __init__(self, photo: Photo, frame: Frame, how: How = "blur") -> None:
        self._photo = photo
        self._gone = _mean(photo.pixels) if how == "mean" else _blurred(photo.pixels, frame)
        # The cell that each row and column of pixels lies in; a cell on padding has none.
        boxes = frame.boxes()
        self._rows = _cells_of(boxes[:, 0, 0], boxes[:, 0, 2], photo.size[0])
        self._columns = _cells_of(boxes[0, :, 1], boxes[0, :, 3], photo.size[1])

    def without(self, removed: npt.NDArray[np.bool_]) -> Photo:
        """The photo without the cells that are True in (h, w). What the network does not see stays as it is."""
        padded = np.pad(removed, ((0, 1), (0, 1)))  # -1, beside the grid, is never removed
        where = padded[self._rows][:, self._columns]
        return self._named(np.where(where[..., None], self._gone, self._photo.pixels))

    def faded(self, share: float) -> Photo:
        """The whole photo on its way to what stands for removed cells: 0 is the photo, 1 has nothing of it left."""
        mixed = self._photo.pixels * (1 - share) + self._gone * share
        return self._named(np.rint(mixed).astype(np.uint8))

    def photos(self, removed: npt.NDArray[np.bool_]) -> Iterator[Photo]:
        """`without` for each of (n, h, w)."""
        return map(self.without, removed)

    def _named(self, pixels: Pixels) -> Photo:
        return Photo(pixels, self._photo.name, None)


def _cells_of(starts: npt.NDArray[np.float64], stops: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.intp]:
    """(size,): the cell that each pixel's centre lies in, -1 for none; cells follow each other on an axis."""
    centres = np.arange(size) + 0.5
    found = np.searchsorted(stops, centres, side="right")
    inside = (centres >= starts[0]) & (found < len(stops))
    return np.where(inside, found, -1)


def _mean(pixels: Pixels) -> Pixels:
    return np.broadcast_to(np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8), pixels.shape)


def _blurred(pixels: Pixels, frame: Frame) -> Pixels:
    from PIL import Image, ImageFilter

    height, width = frame.cell_size(pixels.shape[:2])
    radius = [min(max(BLUR_CELLS * side, 1.0), WIDEST_BLUR) for side in (width, height)]
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))
