"""ICC profiles for files that name their colours by numbers instead: PNG's gAMA and cHRM, code points, EXIF.

References: ICC.1:2022; PNG, third edition, 11.3.2; ITU-T H.273; DCF 2.0 for Adobe RGB.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SRGB_CURVE = 0.0
"""Instead of a gamma: the curve of sRGB."""

_D50 = (0.9642, 1.0, 0.8249)  # X, Y, Z of the white that ICC profiles are written in
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


class Primaries(NamedTuple):
    """(x, y) of the white and of the three primaries."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


_D65 = (0.3127, 0.3290)
SRGB = Primaries(_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB = Primaries(_D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_GAMMA = 563 / 256

# Code points that differ from sRGB's; BT.601's primaries are so near that nobody treats photos so marked differently.
BY_CODE = {
    9: Primaries(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    11: Primaries((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # DCI-P3
    12: Primaries(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
CURVE_BY_CODE = {4: 2.2, 5: 2.8, 8: 1.0}
HDR_CODES = (16, 18)  # PQ, HLG


def matrix_profile(primaries: Primaries, gamma: float) -> bytes | None:
    """A profile of an RGB space; None where the numbers make none.

    Args:
        gamma: of the curve from values to light, or SRGB_CURVE.
    """
    columns = _to_xyz(primaries)
    if columns is None or not (gamma == SRGB_CURVE or 0.01 < gamma < 100):
        return None
    if gamma == SRGB_CURVE:
        curve = _parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    else:
        curve = _parametric(0, gamma)
    tags = {b"wtpt": _xyz(_D50), **{b"rgb"[i : i + 1] + b"XYZ": _xyz(columns[:, i]) for i in range(3)}}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x04200000, b"mntr", b"RGB ", b"XYZ ")
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + _xyz(_D50)[8:]
    return head.ljust(128, b"\0") + table + body


def _to_xyz(primaries: Primaries) -> npt.NDArray[np.float64] | None:
    """(3, 3): X, Y, Z of red, green and blue in its columns, the white being D50."""
    if not all(0 < y < 2 and -1 < x < 2 for x, y in primaries):
        return None
    white, *colours = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in primaries)
    matrix = np.stack(colours, axis=1)
    if abs(np.linalg.det(matrix)) < 1e-4:
        return None
    matrix = matrix * np.linalg.solve(matrix, white)
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: npt.NDArray[np.float64] = np.linalg.solve(_BRADFORD, scale[:, None] * (_BRADFORD @ matrix))
    return adapted if np.abs(adapted).max() < 100 else None


def _xyz(values: npt.ArrayLike) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, np.asarray(values).tolist()))


def _parametric(kind: int, *numbers: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, numbers))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))
