"""Colour maps: 256 RGB entries from low to high.

Ours are here as data, a few anchors in CIE L*C*h each, so that drawing does not import matplotlib; any other name is
looked up there.

"dusk", the default, was chosen by a measure and by eye (attnviz/guide/pictures.md has the table of what was tried). Its
lightness rises from end to end, so it reads in grey and to eyes that see few colours. Its low end is light enough for a
black dog and strong enough for snow, and its hues, from violet over pink to yellow, are rare in photos.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from attnviz.errors import ConfigError

Bytes = npt.NDArray[np.uint8]
Anchors = Sequence[tuple[float, float, float]]

DEFAULT = "dusk"

# (lightness L*, chroma C*, hue in degrees) at even distances. Those of "dusk" are a doubling apart on the scale "log".
_DUSK = ((45, 80, 296), (51, 78, 303), (56, 68, 348), (61, 70, 378), (67, 86, 415), (79, 84, 438), (91, 88, 456))
# Differences: more is pink, less is blue to cyan. Neither is a colour of fur, grass, wood or skin.
_MORE = ((42, 62, 330), (54, 82, 352), (62, 76, 378))
_LESS = ((40, 62, 290), (58, 50, 250), (86, 48, 195))

_WHITE = (0.95047, 1.0, 1.08883)  # CIE D65
_XYZ_TO_RGB = (
    (3.2404542, -1.5371385, -0.4985314),
    (-0.969266, 1.8760108, 0.041556),
    (0.0556434, -0.2040259, 1.0572252),
)


@lru_cache(maxsize=8)
def ramp(anchors: Anchors) -> Bytes:
    """(256, 3) uint8, RGB: straight in L*, C* and h between anchors; what sRGB cannot show is clipped (CIE 1976)."""
    at = np.linspace(0, len(anchors) - 1, 256)
    light, chroma, hue = (np.interp(at, np.arange(len(anchors)), part) for part in zip(*anchors, strict=True))
    y = (light + 16) / 116
    xyz = np.stack([y + chroma * np.cos(np.radians(hue)) / 500, y, y - chroma * np.sin(np.radians(hue)) / 200])
    xyz = np.where(xyz > 6 / 29, xyz**3, 3 * (6 / 29) ** 2 * (xyz - 4 / 29))
    linear = np.clip(np.array(_XYZ_TO_RGB) @ (xyz * np.array(_WHITE)[:, None]), 0, 1).T
    colour = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found: Bytes = np.rint(255 * colour).astype(np.uint8)
    found.setflags(write=False)
    return found


def arms() -> tuple[Bytes, Bytes]:
    """The colours of what is more and of what is less, each from little to much: (256, 3) uint8."""
    return ramp(_MORE), ramp(_LESS)


def names() -> list[str]:
    """The colour maps there are, the default first."""
    from attnviz.render.mpl import colormaps

    return [DEFAULT, *sorted(set(colormaps) - {DEFAULT}, key=str.lower)]


def colours(name: str = DEFAULT) -> Bytes:
    """The colour map `name` as (256, 3) uint8, RGB.

    Raises:
        ConfigError: matplotlib knows no such colour map; the message names the closest ones.
    """
    if name == DEFAULT:
        return ramp(_DUSK)
    from attnviz.render.mpl import colormaps

    if str(name) not in colormaps:
        known = {known.lower(): known for known in (*colormaps, DEFAULT)}
        close = [known[match] for match in difflib.get_close_matches(str(name).lower(), known, n=3)]
        hint = f"did you mean {' or '.join(close)}?" if close else f"{DEFAULT}, viridis or cividis read well"
        raise ConfigError(f"no colour map is called {name!r}: {hint}")
    table: Bytes = np.rint(colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
    return table
