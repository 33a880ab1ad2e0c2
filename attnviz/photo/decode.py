"""The bytes of a file, of whatever kind, as upright RGB: what is done once the kind is known."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnviz.errors import ImageError
from attnviz.photo import colour, deep, jpeg, kinds, tiff
from attnviz.photo.quiet import quiet

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]

MAX_SIDE = 1_000_000
"""Pixels: longer strips are no photos, and overflow the libraries' numbers."""

_BYTES_A_PIXEL = 8  # of a file's numbers: four channels of 16 bits; more counts as more pixels


@dataclass(frozen=True)
class Limits:
    """What a photo is called in messages, and how large it may be.

    Attributes:
        label: its name.
        max_pixels: larger ones are refused.
    """

    label: str
    max_pixels: int

    def check(self, size: tuple[int, ...], bytes_a_pixel: int = 0) -> None:
        """Raises ImageError for a photo of (H, W) that is too large or has no pixels."""
        height, width = size
        shape = f"{self.label}: is {height:,} pixels high and {width:,} wide"
        if height * width > self.max_pixels:
            raise ImageError(
                f"{shape}, {height * width:,} in all; the limit is {self.max_pixels:,}: make it smaller, or allow more "
                "with --max-pixels"
            )
        if height * width == 0:
            raise ImageError(f"{self.label}: has no pixels ({height} high, {width} wide); give another image")
        if max(height, width) > MAX_SIDE:
            raise ImageError(f"{shape}; no side may be longer than {MAX_SIDE:,}: cut it into parts")
        if height * width * bytes_a_pixel > _BYTES_A_PIXEL * self.max_pixels:
            raise ImageError(
                f"{shape} with {bytes_a_pixel} bytes a pixel; the limit is {_BYTES_A_PIXEL * self.max_pixels:,} bytes: "
                "save it with 8 bits a channel, or allow more with --max-pixels"
            )


def decode(data: bytes, limits: Limits, least: int = 0) -> tuple[Pixels, tuple[str, ...]]:
    """(H, W, 3) upright sRGB of a file, and remarks on it. What its header says is checked before it is decoded.

    Args:
        least: a smaller copy will do, if both its sides have so many pixels; 0 for full size.

    Raises:
        ImageError: no image, a damaged or cut-off one, one of a kind that is not read, or too many pixels.
    """
    if not data:
        raise ImageError(f"{limits.label}: is empty (0 bytes); copy or download it again")
    kind = kinds.kind_of(data)
    if kind is None:
        what = kinds.what_else(data)
        told = f"is {what}, which is not read" if what else "is not an image that can be read"
        raise ImageError(f"{limits.label}: {told}; give a {kinds.READ} file")
    try:
        if kind == "TIFF":
            found = tiff.read(data, limits.check)
            pixels, remarks = _coloured(found.image, data)
            return upright(pixels, found.orientation), (*found.remarks, *remarks)
    except tiff.UnsupportedError as error:
        raise ImageError(f"{limits.label}: {error}") from error
    except ImageError:
        raise
    except Exception as error:
        raise _harmed(kind, limits, error) from error
    if (canvas := kinds.canvas(data)) is not None:
        limits.check(canvas)
    try:
        with quiet():
            image = _opened(data, kind, limits)
    except ImageError:
        raise
    except Exception as error:  # damaged headers make decoders raise nearly anything
        raise ImageError(f"{limits.label}: the {kind} file is cut off or damaged; copy or download it again") from error
    with image:
        limits.check(image.size[::-1])
        if kind == "JPEG":
            return _jpeg(image, data, limits, least)
        if kind == "PNG":
            image = _png(image, data, limits)
        return of_image(image, limits, data)


def of_image(image: Image.Image, limits: Limits, data: bytes = b"") -> tuple[Pixels, tuple[str, ...]]:
    """The same of a PIL image.

    Args:
        data: its file, where there is one.
    """
    from PIL import ImageFile

    try:
        # Decoding is kept out of the lock, so that threads decode at once, but where the switch is on.
        with quiet() if ImageFile.LOAD_TRUNCATED_IMAGES else nullcontext():
            image.load()
    except Exception as error:  # as above
        raise _harmed(image.format or "image", limits, error) from error
    try:
        remark = None
        if image.mode.startswith(("I", "F")):
            image, remark = _shallow(image)
        pixels, remarks = _coloured(image, data)
    except (ValueError, OSError, MemoryError) as error:
        raise ImageError(
            f"{limits.label}: pixels of mode {image.mode} cannot be turned into RGB; save it as a PNG"
        ) from error
    return upright(pixels, orientation(image)), (*([remark] if remark else []), *remarks)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """(H, W, 3) turned and mirrored as EXIF's orientation says, 1 to 8; anything else leaves it as it is."""
    match orientation:
        case 2:
            turned = pixels[:, ::-1]
        case 3:
            turned = pixels[::-1, ::-1]
        case 4:
            turned = pixels[::-1]
        case 5:
            turned = pixels.transpose(1, 0, 2)
        case 6:
            turned = pixels.transpose(1, 0, 2)[:, ::-1]
        case 7:
            turned = pixels.transpose(1, 0, 2)[::-1, ::-1]
        case 8:
            turned = pixels.transpose(1, 0, 2)[::-1]
        case _:
            return pixels
    return np.ascontiguousarray(turned)


def orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1 where there is none that can be read."""
    with quiet():
        value: Any = _exif(image).get(0x0112, 1)
    try:
        return int(value[0] if isinstance(value, tuple) else value)
    except (ValueError, TypeError, IndexError, ZeroDivisionError):  # of a type that it should not have
        return 1


def _exif(image: Image.Image) -> Mapping[int, Any]:
    try:
        return image.getexif()
    except Exception:  # EXIF that cannot be parsed says nothing
        return {}


def opened_heic(data: bytes) -> Image.Image:
    """A HEIC photo, its header read. Raises ImportError without pillow-heif."""
    import pillow_heif

    make: Any = pillow_heif.HeifImageFile  # its own class, so that Pillow need not be changed for everybody
    image: Image.Image = make(io.BytesIO(data))
    return image


def _opened(data: bytes, kind: str, limits: Limits) -> Image.Image:
    from PIL import Image, features

    if kind == "HEIC":
        try:
            return opened_heic(data)
        except ImportError:
            raise ImageError(
                f"{limits.label}: is a HEIC photo; pip install 'attnviz[heic]' to read it, or save it as JPEG"
            ) from None
    if kind == "AVIF" and not features.check("avif"):
        raise ImageError(
            f"{limits.label}: is an AVIF photo; Pillow 11.3 or later reads it: pip install --upgrade pillow"
        )
    if kind in ("WebP", "GIF"):
        Image.MAX_IMAGE_PIXELS = limits.max_pixels  # for what their headers do not say at once; `quiet` sets it back
    return Image.open(io.BytesIO(data), formats=[kind.upper()])


def _jpeg(image: Image.Image, data: bytes, limits: Limits, least: int) -> tuple[Pixels, tuple[str, ...]]:
    """A JPEG, of which Pillow has read the header."""
    from PIL import Image

    try:
        bands = len(image.getbands())
        stored, remark = jpeg.decode(data, bands, lambda: _as_stored(image), least)
    except jpeg.CutOffError as error:
        raise ImageError(f"{limits.label}: the JPEG file is cut off; copy or download it again") from error
    except (ValueError, KeyError) as error:
        raise _harmed("JPEG", limits, error) from error
    with quiet():
        profile, trouble = colour.profile_of(image.info, data, _exif(image))
    remarks = [text for text in (remark, trouble) if text]
    if bands != 4 and colour.is_srgb(profile, image.mode):
        pixels = stored if bands == 3 else np.repeat(stored, 3, axis=2)
    else:
        # Of CMYK, files have the opposite of what they mean, ever since Adobe wrote the first.
        plain = Image.frombytes(image.mode, stored.shape[1::-1], (255 - stored if bands == 4 else stored).tobytes())
        pixels, trouble = colour.to_rgb(plain, profile)
        remarks += [trouble] if trouble else []
    return upright(pixels, orientation(image)), tuple(remarks)


def _as_stored(image: Image.Image) -> Pixels:
    """(H, W, bands) of a JPEG, decoded by Pillow."""
    with quiet():
        pixels = np.asarray(image)
    return (255 - pixels if image.mode == "CMYK" else pixels).reshape(*pixels.shape[:2], -1)


def _png(image: Image.Image, data: bytes, limits: Limits) -> Image.Image:
    """A PNG, its transparent colour compared at the depth of the file, which Pillow does at 8 bits."""
    transparent: Any = image.info.get("transparency")
    depth = data[24]
    if transparent is None or image.mode == "P" or isinstance(transparent, bytes):
        return image
    from PIL import Image, ImageFile

    assert isinstance(image, ImageFile.ImageFile)
    if depth in (2, 4) and isinstance(transparent, int):
        image.info["transparency"] = transparent * 255 // (2**depth - 1)
    if depth != 16:
        return image
    with quiet():
        second = Image.open(io.BytesIO(data), formats=["PNG"]) if image.mode == "RGB" else None
        try:
            image.load()
            clear = np.ones((image.height, image.width), np.bool_)
            if second is not None:
                # The low bytes: the same numbers, read as if their order were the other one.
                second.tile = [tile._replace(args="RGB;16L") for tile in second.tile]
                for number, (high, low) in enumerate(zip(image.split(), second.split(), strict=True)):
                    clear &= (np.asarray(high) == transparent[number] >> 8) & (
                        np.asarray(low) == transparent[number] & 255
                    )
            else:
                clear = np.asarray(image) == transparent
        except Exception as error:
            raise _harmed("PNG", limits, error) from error
    info = dict(image.info)
    del info["transparency"]
    shallow = image if second is not None else _shallow(image)[0]
    shallow.putalpha(Image.fromarray(np.where(clear, np.uint8(0), np.uint8(255))))
    shallow.info = info
    return shallow


def _shallow(image: Image.Image) -> tuple[Image.Image, str | None]:
    """A loaded image of more than 8 bits a channel as one of 8."""
    from PIL import Image

    # Pillow gives some files of 16 bits as 32.
    values = np.asarray(image)
    if image.format == "PNG" and values.dtype.itemsize == 4:
        values = values.astype(np.uint16)
    pixels, remark = deep.eight_bits(values)
    shallow = Image.fromarray(pixels)
    shallow.info = image.info
    return shallow, remark


def _coloured(image: Image.Image, data: bytes) -> tuple[Pixels, list[str]]:
    """A loaded image of 8 bits a channel as sRGB, and remarks on its colours."""
    with quiet():
        profile, trouble = colour.profile_of(image.info, data, _exif(image))
    pixels, misfit = colour.to_rgb(image, profile)
    return pixels, [text for text in (trouble, misfit) if text]


def _harmed(kind: str, limits: Limits, error: Exception) -> ImageError:
    harm = "cut off" if "truncated" in str(error).lower() else "damaged and cannot be decoded"
    what = kind if kind == "image" else f"{kind} file"
    return ImageError(f"{limits.label}: the {what} is {harm}; copy or download it again")
