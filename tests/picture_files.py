"""Files of photos for tests, made by hand where no library writes such a kind; and the colours that they mean."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

Floats = npt.NDArray[np.float64]

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = (0.3127, 0.3290)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


class Space(NamedTuple):
    """An RGB space: (x, y) of red, green, blue and white, and the exponent from values to light."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float]
    gamma: float


# Gamma 2.2 for Display P3 too: its own curve is sRGB's, and a profile of version 2 would need a table for it.
P3 = Space((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65, 2.2)
ADOBE = Space((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65, 563 / 256)
PROPHOTO = Space((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585), 1.8)
SPACES = {"Display P3": P3, "Adobe RGB": ADOBE, "ProPhoto": PROPHOTO}


def to_d50(space: Space) -> Floats:
    """(3, 3): from linear RGB to X, Y, Z under D50, by Bradford."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in space[:4]]).T
    colours, white = columns[:, :3], columns[:, 3]
    matrix = colours * (np.linalg.inv(colours) @ white)
    adapt = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
    return np.asarray(adapt @ matrix)


SRGB_TO_D50 = to_d50(Space((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65, 0))


def as_srgb(values: npt.ArrayLike, space: Space) -> Floats:
    """What (..., 3) values of a space, 0 to 1, are in sRGB, 0 to 255; outside its gamut, clipped."""
    light = np.asarray(values, float) ** space.gamma
    return encoded(light @ (np.linalg.inv(SRGB_TO_D50) @ to_d50(space)).T)


def encoded(linear: Floats) -> Floats:
    """Linear sRGB as values from 0 to 255."""
    light = np.clip(linear, 0, 1)
    return np.asarray(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def decoded(values: npt.ArrayLike) -> Floats:
    """sRGB values from 0 to 255 as linear light."""
    shares = np.asarray(values, float) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def lab(values: npt.ArrayLike) -> Floats:
    """(..., 3): CIE L*, a*, b* under D50 of sRGB values from 0 to 255."""
    ratio = decoded(values) @ SRGB_TO_D50.T / D50
    roots = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = np.moveaxis(roots, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def rgb_profile(space: Space, intent: int = 0, kind: bytes = b"mntr") -> bytes:
    """An ICC profile of version 2, of a screen or (kind "scnr") of a scanner."""
    tags = {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_d50(space).T, strict=True)}
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(space.gamma * 256)) + b"\0\0"
    return _profile(b"RGB ", b"XYZ ", {**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)}, intent, kind)


def grey_profile(gamma: float) -> bytes:
    """A grey one."""
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"})


INKS = np.array([(0, 150, 220), (225, 10, 120), (250, 235, 10), (40, 38, 36)], float)
"""sRGB of cyan, magenta, yellow and black, each alone on white paper."""


def ink_mix(cmyk: npt.ArrayLike) -> Floats:
    """sRGB of (..., 4) amounts of ink that are 0 or 1: each lets through what it lets through alone."""
    amounts = np.asarray(cmyk, float)[..., None]
    return np.asarray(255 * np.prod(1 - amounts * (1 - INKS / 255), axis=-2))


def cmyk_profile() -> bytes:
    """A table of 2 x 2 x 2 x 2 mixtures of INKS, in Lab of 8 bits."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    values = np.rint(lab(ink_mix(corners)) * (2.55, 1, 1) + (0, 128, 128)).astype(np.uint8)
    ramp = bytes(range(256))
    identity = b"".join(struct.pack(">i", 65536 * (row == column)) for row in range(3) for column in range(3))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + values.tobytes() + ramp * 3
    return _profile(b"CMYK", b"Lab ", {b"A2B0": table}, kind=b"prtr")


def _profile(space: bytes, link: bytes, tags: dict[bytes, bytes], intent: int = 0, kind: bytes = b"mntr") -> bytes:
    tags = {b"wtpt": _xyz(D50), **tags}
    at = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s12x4s24xI", at + len(body), b"", 0x02400000, kind, space, link, b"acsp", intent)
    return (head + _xyz(D50)[8:]).ljust(128, b"\0") + table + body


def _xyz(values: npt.ArrayLike) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in np.asarray(values))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A file by Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(pixels: npt.NDArray[Any], depth: int = 8, colour: int = 2, **chunks: bytes) -> bytes:
    """A PNG of (H, W) or (H, W, n) numbers: color type `colour`, chunks by their names in front of the pixels."""
    rows = pixels.reshape(len(pixels), -1)
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8).reshape(len(rows), -1)
    elif depth == 8:
        packed = rows.astype(np.uint8)
    else:
        bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=-1)[..., -depth:]
        packed = np.packbits(bits.reshape(len(rows), -1), axis=-1)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))
    parts = [(b"IHDR", head), *((name.encode(), content) for name, content in chunks.items())]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I4s", len(content), name) + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in (*parts, (b"IDAT", data), (b"IEND", b""))
    )
