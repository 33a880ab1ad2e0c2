"""Numbers of more than 8 bits as 8 bits: scaled, never clipped where they say how far they reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

_CHUNK = 2**20  # numbers that are converted at a time: they pass through 8 bytes each
_FLOATS = ((0.0, 1.0), (16.0, 255.0))  # how far floats reach, by what is usual, where the largest is above the first
_INTEGERS = (255.0, 65535.0)  # and wide integers, which often hold what narrow ones did
_RINGING = 0.1  # a sharpened photo of floats goes so far beyond black and white, in shares of its white

GUESSED = "The file does not say which of its values are black and white: {} was drawn as black, {} as white."


def eight_bits(values: npt.NDArray[Any], bits: int | None = None, inverted: bool = False) -> tuple[Pixels, str | None]:
    """Values of any kind of number as 8 bits, and a remark where their range had to be guessed.

    Integers of up to 16 bits reach as far as their bits do. Wider ones and floats are taken as narrower ones where they
    go no further than these; signed ones from black up where none is below zero, else over all their range. What fits
    nothing is spread from its least to its largest value. Whatever is no number is black.

    Args:
        bits: how many of an integer's bits are in use; all by default.
        inverted: whether 0 is white.
    """
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
        bits = 1
    low, high, guessed = _reach(values, bits)
    remark = GUESSED.format(_said(high if inverted else low), _said(low if inverted else high)) if guessed else None
    table = None
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        table = _scaled(np.arange(256**values.dtype.itemsize, dtype=np.float64), low, high, inverted)
    out = np.empty(values.shape, np.uint8)
    for rows in _bands(values):
        if table is not None:
            out[rows] = np.take(table, values[rows])
            continue
        part = values[rows].astype(np.float64)
        part[~np.isfinite(part)] = high if inverted else low
        out[rows] = _scaled(part, low, high, inverted)
    return out, remark


def _bands(values: npt.NDArray[Any]) -> Iterator[slice]:
    """Rows of (H, ...) numbers, of which so many together are about _CHUNK numbers."""
    count = max(1, _CHUNK * len(values) // max(values.size, 1))
    return (slice(start, start + count) for start in range(0, len(values), count))


def _scaled(values: npt.NDArray[np.float64], low: float, high: float, inverted: bool) -> Pixels:
    shares = np.clip((values - low) / (high - low), 0, 1)
    return np.rint((1 - shares if inverted else shares) * 255).astype(np.uint8)


def _reach(values: npt.NDArray[Any], bits: int | None) -> tuple[float, float, bool]:
    """(black, white, whether this is a guess)."""
    size = 8 * values.dtype.itemsize
    least, largest = _extremes(values)
    if values.dtype.kind == "f":
        if least < -_RINGING * max(largest, 1.0):
            return least, max(largest, least + 1e-300), True
        for floor, top in _FLOATS:
            if floor <= largest <= top * (1 + _RINGING):
                return 0.0, top, False
        return 0.0, largest, True
    bits = bits or size
    if values.dtype.kind == "u":
        if bits <= 16:
            return 0.0, 2.0**bits - 1, False
        return _wide(largest, 2.0**bits - 1)
    if least >= 0:
        return (0.0, 2.0 ** (bits - 1) - 1, False) if bits <= 16 else _wide(largest, 2.0 ** (bits - 1) - 1)
    if largest - least >= 2.0 ** (bits - 1):
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1, False
    return least, max(largest, least + 1), True


def _wide(largest: float, most: float) -> tuple[float, float, bool]:
    """Of integers of more than 16 bits, of which none is below zero."""
    for top in _INTEGERS:
        if largest <= top:
            return 0.0, top, False
    # Above half of what the type holds it is the type's own range.
    return (0.0, most, False) if largest > most / 2 else (0.0, largest, True)


def _extremes(values: npt.NDArray[Any]) -> tuple[float, float]:
    """The least and the largest value, of those that are numbers; (0, 0) without any."""
    least, largest = np.inf, -np.inf
    for rows in _bands(values):
        part = values[rows]
        if part.dtype.kind == "f":
            part = part[np.isfinite(part)]
        if part.size:
            least, largest = min(least, float(part.min())), max(largest, float(part.max()))
    return (least, largest) if least <= largest else (0.0, 0.0)


def _said(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"
