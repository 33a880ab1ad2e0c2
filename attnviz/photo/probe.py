"""Test pictures, and what somebody's preprocessing makes of them, whatever form it gives its arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnviz.errors import ConfigError, one_line
from attnviz.photo.arrays import to_numpy

if TYPE_CHECKING:
    from attnviz.photo.sizes import Size

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

CHANNELS = (1, 3, 4)
ROWS = 256  # of a picture that are computed at once
DITHER = 8  # levels, of 255: a whole number of them
GOLDEN, SILVER = 0.6180339887498949, 0.41421356237309515  # the fractions of their multiples fill [0, 1) evenly


class Probe:
    """Sends grey pictures of one size through a preprocessing.

    Args:
        preprocess: takes a PIL image; see `measure.measure_tiles` for what it may give.
        photo: (H, W) of the pictures.
    """

    def __init__(self, preprocess: Callable[[Any], Any], photo: Size) -> None:
        self._preprocess, self._photo = preprocess, photo
        self._shapes: list[tuple[int, ...]] | None = None
        self._last = np.zeros(photo, np.uint8)

    def flat(self, value: int) -> list[Floats]:
        """What becomes of a picture of one value, 0 black to 255 white: a list of (h, w), one for each tile."""
        return self._send(np.full(self._photo, value, np.uint8))

    def wave(self, axis: int, periods: float, start: float = 0) -> list[Floats]:
        """What becomes of a triangle wave along an axis, made to run from 0 to 1 as if black came out as 0, white as 1.

        Args:
            periods: how many the photo holds; 0.5 is a ramp from black to white.
            start: where in a period the wave begins: 0 at black, 0.5 at white.
        """
        phases = ((np.arange(self._photo[axis]) + 0.5) / self._photo[axis] * periods + start) % 1
        self._last = _picture(self._photo, axis, 1 - np.abs(2 * phases - 1))
        seen = self._send(self._last)
        black, white = self.ends
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = [(tile - k) / (w - k) for tile, k, w in zip(seen, black, white, strict=True)]
        return [(share * 255 - DITHER) / (255 - 2 * DITHER) for share in shares]

    def again(self, times: int) -> bool:
        """Whether the last wave comes out the same again, so many times."""
        first, *others = [self._send(self._last) for _ in range(times + 1)]
        return all(np.array_equal(a, b, equal_nan=True) for seen in others for a, b in zip(first, seen, strict=True))

    @cached_property
    def ends(self) -> tuple[list[Floats], list[Floats]]:
        """What becomes of a black and of a white picture."""
        return self.flat(0), self.flat(255)

    def _send(self, grey: Bytes) -> list[Floats]:
        from PIL import Image

        picture = Image.fromarray(grey).convert("RGB")
        try:
            given = self._preprocess(picture)
        except Exception as error:
            height, width = self._photo
            what = one_line(f"{type(error).__name__}: {error}")
            raise ConfigError(f"preprocess fails on a PIL image of {width}x{height} pixels ({what})") from error
        tiles = list(_tiles(given))
        shapes = [tile.shape for tile in tiles]
        self._shapes = self._shapes or shapes
        if not shapes or shapes != self._shapes:
            raise ConfigError(
                "preprocess gives pictures of other sizes for photos of the same size; leave its random steps out"
                if shapes
                else "preprocess gives no picture"
            )
        return tiles


def _picture(photo: Size, axis: int, values: Floats) -> Bytes:
    """(H, W): values from 0 to 1 along an axis, a little within black and white.

    The dither of several levels is as high as low across the axis, whatever part of it is seen, so that means are not
    those of rounded values: neither here, nor in a preprocessing that rounds again.
    """
    along, across = np.arange(photo[axis]) * SILVER % 1, np.arange(photo[1 - axis]) * GOLDEN % 1
    levels = (DITHER / 2 + 0.5 + (255 - 2 * DITHER) * values).astype(np.float32)
    picture = np.empty((len(across), len(along)), np.uint8)
    for start in range(0, len(across), ROWS):
        dither = np.add.outer(across[start : start + ROWS], along, dtype=np.float32) % 1
        picture[start : start + ROWS] = levels + DITHER * dither  # whole numbers, rounded down
    return np.ascontiguousarray(picture.T if axis == 0 else picture)


def _tiles(given: Any) -> Iterator[Floats]:
    """The pictures in what a preprocessing gave, each (h, w), the mean of its channels."""
    if isinstance(given, Mapping):
        if "pixel_values" not in given:
            raise ConfigError(f"preprocess gives a mapping without 'pixel_values'; it has {', '.join(map(str, given))}")
        given = given["pixel_values"]
    if isinstance(given, list | tuple) and not (given and all(np.isscalar(item) for item in given)):
        for item in given:
            yield from _tiles(item)
        return
    array = to_numpy("preprocess", given, ConfigError)
    if array.dtype.kind not in "fiub":
        raise ConfigError(f"preprocess gives {type(given).__name__}, not a picture as an array")
    if array.ndim > 3:
        yield from (tile for part in array for tile in _tiles(part))
    elif array.ndim == 3 and array.shape[0] in CHANNELS:
        yield array.mean(axis=0, dtype=np.float64)
    elif array.ndim == 3 and array.shape[2] in CHANNELS:
        yield array.mean(axis=2, dtype=np.float64)
    elif array.ndim == 2:
        yield array.astype(np.float64)
    else:
        raise ConfigError(
            f"preprocess gives an array of shape {array.shape}, which is no picture (H, W, C) or (C, H, W)"
        )
