"""Heatmap and photo become RGB.

A style is a table: for each channel, level and photo value, the painted value. So painting is one look-up a channel,
rounded once, and a level of 0 can leave the photo untouched to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attnviz.render.palette import colours

if TYPE_CHECKING:
    from attnviz.render.heatmap import Scale

Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Painted = tuple[Bytes, tuple[float, ...]]  # an (H, W, 3) picture, and the densities on its contour lines

STYLES = {
    "heat": "colour over the photo, the more opaque the more weight",
    "spotlight": "the photo darkened where the model does not look",
    "contour": "lines that enclose 50 and 90 % of the weight",
}
OPACITY = {"heat": 0.88, "spotlight": 0.7, "contour": 1.0}  # at the scale's top; of a spotlight's dark, at the bottom
UNSEEN = 0.35  # brightness of what the model never saw
RISE = 0.5  # opacity = heat ** RISE: more than in proportion, so that middling weights are seen
ONSET = 0.08  # of the range, over which opacity also sets in gently: else an edge would show where it begins


def heat_table(cmap: str, opacity: float) -> Bytes:
    """(3, 256, 256) uint8: channel, level, photo value -> value; level 0 gives the photo value itself."""
    return table("heat", cmap, opacity)


def spotlight_table(opacity: float) -> Bytes:
    """(3, 256, 256) uint8, as `heat_table`: black over the photo, least at the top level."""
    return table("spotlight", "", opacity)


def ramp_table(ramp: Bytes, opacity: float) -> Bytes:
    """(3, 256, 256) uint8, as `heat_table`, for the (256, 3) colours of a ramp."""
    return _blend(ramp, _strength() * opacity)


def table(style: str, cmap: str, opacity: float) -> Bytes:
    """The table of a style that paints areas, "heat" or "spotlight"."""
    colour, strength = layer(style, cmap)
    return _blend(colour, strength * opacity)


def layer(style: str, cmap: str) -> tuple[Bytes, npt.NDArray[np.float64]]:
    """What a style lays over the photo at each level: (256, 3) uint8 colours and (256,) strengths from 0 to 1."""
    if style == "spotlight":
        return np.zeros((256, 3), np.uint8), 1 - _strength()
    return colours(cmap), _strength()


def _strength() -> npt.NDArray[np.float64]:
    """(256,): how much of a style's effect each level has, from 0 to 1."""
    heat = np.linspace(0, 1, 256)
    return heat**RISE * np.minimum(1, heat / ONSET)


def _blend(colour: Bytes, strength: npt.NDArray[np.float64]) -> Bytes:
    photo = np.arange(256)
    values = (1 - strength)[None, :, None] * photo + (strength[:, None] * colour).T[:, :, None]
    return np.rint(values).astype(np.uint8)


def dimmed(photo: Bytes, seen: Bools) -> Bytes:
    """(H, W, 3): the photo with the pixels the model never saw darkened."""
    if seen.all():
        return photo
    out = photo.copy()
    out[~seen] = np.rint(out[~seen] * UNSEEN).astype(np.uint8)
    return out


class Overlay:
    """Paints levels over one photo.

    Args:
        base: (H, W, 3) uint8, the photo as it stands where nothing is painted.
        table: (3, 256, 256) uint8: channel, level, photo value -> value.
    """

    def __init__(self, base: Bytes, table: Bytes) -> None:
        self.size = base.shape[:2]
        self._planes = np.ascontiguousarray(base.transpose(2, 0, 1)).astype(np.uint16)
        self._table = table.reshape(3, -1)
        self.blank = self._paint(np.zeros(self.size, np.uint8), slice(None), slice(None))

    def paint(self, density: Floats, scale: Scale) -> Painted:
        """The photo with one step's (H, W) density in colour; no lines."""
        return self.paint_levels(scale.levels(density)), ()

    def paint_levels(self, levels: Bytes) -> Bytes:
        """(H, W, 3) uint8 from (H, W) levels. Only the rectangle that holds levels above 0 is computed."""
        out = self.blank.copy()
        rows, columns = box(levels > 0)
        out[rows, columns] = self._paint(levels[rows, columns], rows, columns)
        return out

    def _paint(self, levels: Bytes, rows: slice, columns: slice) -> Bytes:
        out = np.empty((*levels.shape, 3), np.uint8)
        high = levels.astype(np.uint16) << 8
        for channel in range(3):
            out[..., channel] = np.take(self._table[channel], high | self._planes[channel, rows, columns])
        return out


def box(used: Bools) -> tuple[slice, slice]:
    """Rows and columns of the smallest rectangle that holds all of an (H, W) mask that is True."""
    return span(np.any(used, axis=1)), span(np.any(used, axis=0))


def span(used: Bools) -> slice:
    """The smallest slice that holds all that is True."""
    where = np.flatnonzero(used)
    return slice(int(where[0]), int(where[-1]) + 1) if where.size else slice(0, 0)
