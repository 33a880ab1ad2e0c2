"""Where somebody's own preprocessing puts the photo, measured by sending test pictures through it.

Black and white tell which input pixels show the photo, and undo whatever is done to values. On a ramp from black to
white each value is a place, to a pixel or a few; on a triangle wave, whose period the ramp names, to a small part of
one. The pictures are grey, so order and number of channels do not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from attnviz.errors import ConfigError, counted
from attnviz.photo.probe import Probe

if TYPE_CHECKING:
    from attnviz.photo.sizes import Reals, Size

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

REACH = 3  # pixels beyond which no usual filter looks
PERIOD = 25  # pixels of photo and input, at least: a wave must be straight for longer than a filter reaches
MOST_PERIODS = 40  # so that a quarter of a period is more than the ramp can be wrong by, one and a half of 256 values
FEW = 4  # periods; waves of fewer are sent upside down too, lest values that are cut off look like places
STRAIGHT = 0.13  # of a period: what lies so close to the middle of a wave's flank is far from its tips
SNAP = 0.1  # input pixels: an edge of the photo that is so close to a whole number is meant to be there
MOST_SNAP = 0.3  # the same, where places are uncertain: small photos enlarged without interpolation
LEAST = 12  # input pixels; where fewer show the photo, its place cannot be measured by its inside
SLIVER = 24  # the same, of a tile: others show more
LIGHT = 0.3  # of the largest difference between white and black: what has less is padding
MOST_OFF = 1.0  # pixels, of photo or input, that a place may lie from where the numbers have it
NOISE = 2 / 255  # of the photo: what a ramp's values may be off by rounding
BANDS = 5  # across an axis: in each of them places along it must be the same
REPEATS = 8
REPEAT_PIXELS = 4_000_000  # that are sent again at most, but for once: large pictures take their time

RANDOM = "preprocess gives another result each time; leave its random steps out"
BENT = "preprocess turns, bends or masks the photo, or changes its values by their place; leave that out"


@dataclass(frozen=True)
class Placement:
    """Where a picture that a model sees shows the photo; the fields are as in `Frame`.

    Attributes:
        input: size of the picture, (H, W).
        resized: size of the whole photo after the resize, in pixels of the picture.
        offset: position of the resized photo's corner, (top, left).
        residual: how far places are at most from where these numbers have them, in pixels of the picture.
    """

    input: Size
    resized: Reals
    offset: Reals
    residual: float


def measure_one(preprocess: Callable[[Any], Any], photo: Size) -> Placement:
    """As `measure_tiles`, for a preprocessing that gives one picture. Raises ConfigError for another number."""
    tiles = measure_tiles(preprocess, photo)
    if len(tiles) != 1:
        raise ConfigError(f"preprocess gives {len(tiles)} pictures of a photo, not one; choose the one that is meant")
    if tiles[0] is None:
        raise ConfigError("preprocess gives the same for a black and a white photo, so it does not show the photo")
    return tiles[0]


def measure_tiles(preprocess: Callable[[Any], Any], photo: Size, repeats: int = REPEATS) -> list[Placement | None]:
    """Where each of the pictures that a preprocessing makes of a photo shows it.

    Args:
        preprocess: takes a PIL image and gives arrays or tensors (H, W), (C, H, W) or (H, W, C) with 1, 3 or 4
            channels; several of them with more axes in front, or in lists; a PIL image; or a mapping with
            "pixel_values". It is called with six pictures, and with one of them again.
        photo: size of the upright photo, (H, W) in pixels.
        repeats: how often one picture is sent again at most, to find out whether the preprocessing is random.

    Returns:
        A placement for each picture, in order; None for one that shows nothing of the photo, or, of several, so little
        beside padding that it cannot be measured. Numbers are right to a quarter of a pixel, and whole where they are
        so close to it that whole ones must be meant.

    Raises:
        ConfigError: a preprocessing that fails, mirrors, turns or bends the photo, or is random.
    """
    probe = Probe(preprocess, photo)
    ramps = [probe.wave(axis, 0.5) for axis in (0, 1)]
    if not probe.again(min(repeats, max(1, REPEAT_PIXELS // math.prod(photo)))):
        raise ConfigError(RANDOM)
    lights = [white - black for black, white in zip(*probe.ends, strict=True)]
    least = LIGHT * max(float(np.abs(light).max()) for light in lights)
    tiles = [_Tile((np.abs(light) > least) & (np.abs(light) > 0), of_several=len(lights) > 1) for light in lights]
    for axis, side in enumerate(photo):
        lines = [tile.ramp(seen, axis, side) for tile, seen in zip(tiles, ramps[axis], strict=True)]
        sizes = [line.resized for line in lines if line is not None]
        periods = max(0.5, int(min(size / PERIOD for size in (side, MOST_PERIODS * PERIOD, *sizes))))
        starts = (0.0,) if periods >= FEW else (0.0, 0.5)
        waves = [probe.wave(axis, periods, start) for start in starts] if sizes else []
        for tile, *seen in zip(tiles, *waves, strict=bool(waves)):
            tile.wave(seen, starts, axis, side, periods)
    return [tile.placement() for tile in tiles]


class _Line(NamedTuple):
    """The photo along one axis of a picture: its place 0 to 1 at pixel u is (u - offset) / resized."""

    resized: float
    offset: float
    residual: float = 0.0

    def places(self, pixels: Floats) -> Floats:
        return (pixels - self.offset) / self.resized


class _Tile:
    """One picture that the preprocessing gives.

    Args:
        shown: (h, w), whether a pixel shows the photo.
        of_several: whether there are others, that may show more of it.
    """

    def __init__(self, shown: Bools, of_several: bool = False) -> None:
        self._of_several = of_several
        self._size: Size = (shown.shape[0], shown.shape[1])
        self._spans = [_span(np.any(shown, axis=1 - axis)) for axis in (0, 1)]
        self._part = (slice(*self._spans[0]), slice(*self._spans[1]))
        if not shown[self._part].all():
            raise ConfigError(BENT)
        self._lines: list[_Line | None] = [None, None]
        self._straight: list[Bools] = [np.zeros(0, np.bool_)] * 2

    def ramp(self, seen: Floats, axis: int, side: int) -> _Line | None:
        """Takes what the picture is for a ramp along an axis of `side` pixels; None where it shows no photo."""
        start, stop = self._spans[axis]
        if start == stop or (self._of_several and stop - start < min(SLIVER, self._size[axis] / 2)):
            return None
        if stop - start < LEAST:
            if start == 0 or stop == self._size[axis]:
                raise ConfigError(
                    f"preprocess shows {counted(stop - start, 'pixel')} of the photo, which are too few to measure"
                )
            self._lines[axis] = line = _Line(stop - start, start)  # it is all there, between padding
            return line
        profile, across = (seen[self._part].mean(axis=other) for other in (1 - axis, axis))
        rise = _slope(profile)
        if abs(_slope(across)) * len(across) > max(abs(rise) * len(profile), NOISE):
            raise ConfigError("preprocess turns the photo by a quarter; leave that out")
        if rise <= 0:
            raise ConfigError("preprocess mirrors the photo, or turns it over; leave that out")
        line, self._straight[axis] = _fit_ramp(profile, start, rise, side)
        self._lines[axis] = line
        return line

    def wave(self, seen: Sequence[Floats], starts: Sequence[float], axis: int, side: int, periods: float) -> None:
        """Takes what the picture is for waves along an axis, after the ramp.

        Args:
            seen: for each of `starts`, where in a period the wave begins.
        """
        line, straight = self._lines[axis], self._straight[axis]
        if line is None or not len(straight):
            return
        parts = [np.moveaxis(wave[self._part], axis, 0) for wave in seen]
        pixels = np.arange(*self._spans[axis]) + 0.5
        for _ in range(3):
            turns = line.places(pixels) * periods
            usable = straight & (np.abs(np.abs(turns % 1 - 0.5) - 0.25) < STRAIGHT)
            if usable.sum() < LEAST // 2:
                return
            line = _fit(pixels[usable], _unwrapped(parts, starts, turns, periods)[usable])
        self._lines[axis] = line
        for band in zip(*(np.array_split(part, BANDS, axis=1) for part in parts), strict=True):
            off = (_unwrapped(band, starts, turns, periods) - line.places(pixels))[usable] * line.resized
            if any(abs(third.mean()) > MOST_OFF for third in np.array_split(off, 3)):
                raise ConfigError(BENT)
        if line.residual > MOST_OFF * max(1, line.resized / side):
            raise ConfigError(BENT)

    def placement(self) -> Placement | None:
        """What was found; None where the picture does not show the photo."""
        rows, columns = self._lines
        if rows is None or columns is None:
            return None
        offsets, sizes = [], []
        for line in (rows, columns):
            slack = min(max(SNAP, line.residual / 6), MOST_SNAP)
            offset, end = (_snapped(edge, slack) for edge in (line.offset, line.offset + line.resized))
            offsets.append(offset)
            sizes.append(end - offset)
        residual = max(rows.residual, columns.residual)
        return Placement(self._size, (sizes[0], sizes[1]), (offsets[0], offsets[1]), residual)


def _fit_ramp(profile: Floats, start: int, rise: float, side: int) -> tuple[_Line, Bools]:
    """The line through a ramp's profile, and which pixels lie on it and far from edges.

    The photo's edges may be repeated or mirrored as padding: what is not on the line is left out.
    """
    pixels = np.arange(start, start + len(profile)) + 0.5
    line = _Line(1 / rise, float(np.median(pixels - profile / rise)))
    straight = np.ones(len(profile), np.bool_)
    for _ in range(4):
        reach = REACH * max(1, line.resized / side)  # in input pixels: a filter's, or the interpolation's
        places = line.places(pixels)
        margin = int(min(math.ceil(reach), len(profile) // 3))
        inner = (places > reach / line.resized) & (places < 1 - reach / line.resized)
        if inner.sum() < len(profile) / 4:  # a small photo, enlarged
            inner = (places > 0.25) & (places < 0.75)
        inner[:margin] = inner[len(inner) - margin :] = False
        straight = inner & (np.abs(profile - places) < max(NOISE, 2 / line.resized, 1 / side))
        if straight.sum() < max(4, inner.sum() / 2):
            raise ConfigError(BENT)
        line = _fit(pixels[straight], profile[straight])
    return line, straight


def _fit(pixels: Floats, places: Floats) -> _Line:
    slope, constant = np.polyfit(pixels, places, 1)
    if not slope > 0:
        raise ConfigError(BENT)
    residual = float(np.abs(slope * pixels + constant - places).max() / slope)
    return _Line(float(1 / slope), float(-constant / slope), residual)


def _unwrapped(waves: Sequence[Floats], starts: Sequence[float], turns: Floats, periods: float) -> Floats:
    """(n,): the places that waves (n, m) tell, where `turns` says in which period of theirs a pixel is, about."""
    found = np.zeros_like(turns)
    for wave, start in zip(waves, starts, strict=True):
        height = wave.mean(axis=1)
        whole, phase = np.divmod(turns + start, 1)
        found += (whole + np.where(phase < 0.5, height / 2, 1 - height / 2) - start) / periods
    return found / len(starts)


def _slope(profile: Floats) -> float:
    """The rise from pixel to pixel of most of a profile."""
    reach = max(1, len(profile) // 4)
    return float(np.median(profile[reach:] - profile[:-reach])) / reach


def _snapped(edge: float, slack: float) -> float:
    return round(edge) if abs(edge - round(edge)) <= slack else edge


def _span(used: Bools) -> tuple[int, int]:
    where = np.flatnonzero(used)
    return (int(where[0]), int(where[-1]) + 1) if where.size else (0, 0)
