"""Boxes drawn on a picture: a light line with a dark edge, which is seen on any photo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HALO, LINE = (16, 16, 20), (255, 255, 255)
WIDTH = 2.4  # pixels, on a picture of 1000


def outline(picture: npt.NDArray[np.uint8], boxes: Iterable[Sequence[float]]) -> None:
    """Draws boxes (y0, x0, y1, x1), in pixels of an (H, W, 3) picture, into it.

    The line runs inside the box: so one at the picture's edge is seen, and boxes side by side do not cover each other.
    """
    height, width = picture.shape[:2]
    line = max(1, round(WIDTH * max(height, width) / 1000))
    for box in boxes:
        y0, x0, y1, x1 = (round(edge) for edge in box)
        for inset, thick, colour in ((0, line + 2, HALO), (1, line, LINE)):
            top, left, bottom, right = y0 + inset, x0 + inset, y1 - inset, x1 - inset
            if bottom - top < 1 or right - left < 1:
                continue
            picture[top : min(top + thick, bottom), left:right] = colour
            picture[max(bottom - thick, top) : bottom, left:right] = colour
            picture[top:bottom, left : min(left + thick, right)] = colour
            picture[top:bottom, max(right - thick, left) : right] = colour
