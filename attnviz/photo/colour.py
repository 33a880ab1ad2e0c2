"""Colours of any file as sRGB, which networks were taught and screens expect."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnviz.photo import icc

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]

BROKEN = "The photo's colour profile is damaged and was left out: its colours may be off."
HDR = "The photo is meant for HDR screens; its colours are shown as they are stored and may be off."
MISFIT = "The photo's colour profile is made for {}, not for {}, and was left out: its colours may be off."

_SPACES = {"RGB": "RGB", "GRAY": "grey", "CMYK": "CMYK", "Lab": "Lab"}  # as profiles call them -> as users do
_SAME = 1  # of 255: a profile that moves no colour by more than rounding is sRGB's own
_BAND = 2**20  # pixels that are converted at a time, so that copies stay small


def profile_of(info: Mapping[Any, Any], data: bytes = b"", exif: Any = None) -> tuple[bytes | None, str | None]:
    """The profile that a photo has, or one made of what it says instead; and a remark where that is of no use.

    Args:
        info: what Pillow knows of the photo.
        data: its file, where there is one.
        exif: its EXIF, as Pillow gives it.
    """
    codes = _png_codes(data) or _box_codes(data)
    if codes is not None and (data.startswith(b"\x89PNG") or not info.get("icc_profile")):
        return _by_codes(*codes)
    if profile := info.get("icc_profile"):
        return bytes(profile), None
    if "icc_profile" in info:  # pieces of one, which make none
        return None, BROKEN
    if "srgb" in info:
        return None, None
    if "gamma" in info:
        return _by_gamma(info["gamma"], info.get("chromaticity"))
    if b"R03" in (info.get("exif") or b"") and _is_adobe(exif):
        return icc.matrix_profile(icc.ADOBE_RGB, icc.ADOBE_GAMMA), None
    return None, None


def to_rgb(image: Image.Image, profile: bytes | None) -> tuple[Pixels, str | None]:
    """(H, W, 3) sRGB of a PIL image of 8 bits a channel, transparency on white; and a remark on its profile.

    Args:
        profile: of its colours; those that do not fit are left out.
    """
    remark = None
    managed: Callable[[Image.Image], Image.Image] | None = None
    if profile is not None:
        try:
            managed = _managed(profile, _space(image.mode))
        except ValueError as error:
            remark = str(error)
    if image.mode == "RGB" and "transparency" not in image.info and managed is None:
        return np.asarray(image), remark
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _BAND // max(image.width, 1))
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = _band(image.crop((0, top, image.width, bottom)), managed)
    return pixels, remark


def is_srgb(profile: bytes | None, mode: str) -> bool:
    """Whether a photo's numbers can be taken as they are. A profile that cannot be used is one to look into."""
    try:
        return profile is None or (mode in ("RGB", "L") and _managed(profile, _space(mode)) is None)
    except ValueError:
        return False


def _band(part: Image.Image, managed: Callable[[Image.Image], Image.Image] | None) -> Pixels:
    """Some rows of a photo as RGB."""
    if part.mode == "La":  # Pillow turns it into nothing else
        part = part.convert("LA")
    if not part.has_transparency_data:
        return np.asarray(managed(part) if managed else part.convert("RGB"))
    whole = part.convert("RGBA")
    alpha = np.asarray(whole.getchannel("A"))
    colours = whole.convert("RGB")
    if managed:
        grey = part.mode in ("1", "L", "LA")
        colours = managed(colours.getchannel("R") if grey else colours)
    # Rounded; in sixteen bits, since 255 x 255 fits into them.
    opaque = alpha.astype(np.uint16)[..., None]
    mixed = np.asarray(colours) * opaque + (255 - opaque) * np.uint16(255) + np.uint16(127)
    return (mixed // 255).astype(np.uint8)


def _space(mode: str) -> str:
    if mode in ("CMYK", "LAB"):
        return {"CMYK": "CMYK", "LAB": "Lab"}[mode]
    return "GRAY" if mode in ("1", "L", "LA", "La") else "RGB"


@lru_cache(maxsize=32)
def _managed(profile: bytes, space: str) -> Callable[[Image.Image], Image.Image] | None:
    """What turns images of a space into sRGB by a profile; None where the profile is sRGB's own.

    Raises:
        ValueError: a profile that is damaged, or of another space; its text is a remark.
    """
    from PIL import Image, ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        own = source.profile.xcolor_space.strip()
        intent = ImageCms.getDefaultIntent(source)
    except Exception as error:  # whatever a damaged profile makes of it
        raise ValueError(BROKEN) from error
    # A grey photo in an RGB space, as its grey axis, is common and clear.
    if own != space and (own, space) != ("RGB", "GRAY"):
        raise ValueError(MISFIT.format(_SPACES.get(own, f"{own} colours"), _SPACES[space]))
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}[own]
    try:
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent(intent if intent in range(4) else 0),
        )
    except Exception as error:
        raise ValueError(BROKEN) from error

    def convert(image: Image.Image) -> Image.Image:
        found: Image.Image = transform.apply(image if image.mode == mode else image.convert(mode))
        return found

    if mode in ("RGB", "L"):
        steps = np.arange(0, 256, 15 if mode == "RGB" else 1, dtype=np.uint8)
        colours = (
            np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3) if mode == "RGB" else steps[None]
        )
        plain = Image.fromarray(colours)
        if np.abs(np.asarray(convert(plain), int) - np.asarray(plain.convert("RGB"), int)).max() <= _SAME:
            return None
    return convert


def _by_gamma(gamma: float, chromaticity: tuple[float, ...] | None) -> tuple[bytes | None, str | None]:
    """Of PNG's gAMA, the exponent from light to values, and cHRM."""
    primaries = icc.SRGB
    if chromaticity is not None and len(chromaticity) == 8:
        wx, wy, rx, ry, gx, gy, bx, by = chromaticity
        primaries = icc.Primaries((wx, wy), (rx, ry), (gx, gy), (bx, by))
    # 1 / 2.2 is what files say that mean sRGB, whose own curve no single number describes.
    curve = icc.SRGB_CURVE if abs(gamma - 1 / 2.2) < 0.005 else 1 / gamma if gamma > 0 else -1.0
    profile = icc.matrix_profile(primaries, curve)
    return profile, None if profile else BROKEN


def _by_codes(primaries: int, transfer: int) -> tuple[bytes | None, str | None]:
    """Of the code points of H.273, which PNG's cICP and the files of AVIF and HEIC hold."""
    if transfer in icc.HDR_CODES:
        return None, HDR
    if primaries not in icc.BY_CODE and transfer not in icc.CURVE_BY_CODE:
        return None, None
    curve = icc.CURVE_BY_CODE.get(transfer, icc.SRGB_CURVE)
    return icc.matrix_profile(icc.BY_CODE.get(primaries, icc.SRGB), curve), None


def _png_codes(data: bytes) -> tuple[int, int] | None:
    for name, content in _png_chunks(data):
        if name == b"cICP" and len(content) == 4:
            return content[0], content[1]
    return None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of the chunks in front of a PNG's pixels; none of other files."""
    at = 8 if data.startswith(b"\x89PNG") else len(data)
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            return
        yield name, data[at + 8 : at + 8 + size]
        at += size + 12


def _box_codes(data: bytes) -> tuple[int, int] | None:
    """Of AVIF and HEIC, in whose header the box stands."""
    if data[4:8] != b"ftyp":
        return None
    at = data.find(b"colrnclx", 0, 2**16)
    return struct.unpack_from(">HH", data, at + 8) if 0 <= at <= len(data) - 12 else None


def _is_adobe(exif: Any) -> bool:
    """Whether EXIF marks a photo as Adobe RGB, as cameras do that put no profile into their files."""
    exif_ifd, interoperability = 0x8769, 0xA005
    try:
        exif.get_ifd(exif_ifd)
        return str(exif.get_ifd(interoperability).get(1, "")).startswith("R03")
    except Exception:  # EXIF that cannot be parsed
        return False
