"""The bytes of a file, of whatever kind, as upright RGB: what is done once the kind is known."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnviz.errors import ImageError, ImageKindError, ImageSizeError
from attnviz.photo import colour, deep, jpeg, kinds, png, tiff
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
        shape = f"{self.label}: is {height:,} pixel{'s' * (height != 1)} high and {width:,} wide"
        if height * width > self.max_pixels:
            raise ImageSizeError(
                f"{shape}, {height * width:,} in all; the limit is {self.max_pixels:,}: make it smaller, or allow more "
                "with --max-pixels"
            )
        if height * width == 0:
            raise ImageError(f"{self.label}: has no pixels ({height} high, {width} wide); give another image")
        if max(height, width) > MAX_SIDE:
            raise ImageSizeError(f"{shape}; no side may be longer than {MAX_SIDE:,}: cut it into parts")
        if height * width * bytes_a_pixel > _BYTES_A_PIXEL * self.max_pixels:
            raise ImageSizeError(
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
        raise ImageKindError(f"{limits.label}: {told}; give a {kinds.READ} file")
    with _harm_told(kind, limits):
        if kind == "TIFF":
            return _tiff(data, limits)
        if (canvas := kinds.canvas(data)) is not None:
            limits.check(canvas)
    if kind == "JPEG" and (what := jpeg.peculiar(data)):
        raise ImageKindError(f"{limits.label}: is {what}, which is not read; save it as PNG or as an ordinary JPEG")
    with _harm_told(kind, limits, opening=True), quiet():
        image = _opened(data, kind, limits)
    with image, _harm_told(kind, limits):
        limits.check(image.size[::-1])
        if kind == "JPEG":
            return _jpeg(image, data, least)
        if kind == "PNG":
            with quiet():
                image = png.with_alpha(image, data)
        return of_image(image, limits, data)


def of_image(image: Image.Image, limits: Limits, data: bytes = b"") -> tuple[Pixels, tuple[str, ...]]:
    """The same of a PIL image.

    Args:
        data: its file, where there is one.
    """
    from PIL import ImageFile

    # Decoding is kept out of the lock, so that threads decode at once, but where the switch is on.
    with _harm_told(image.format or "image", limits), quiet() if ImageFile.LOAD_TRUNCATED_IMAGES else nullcontext():
        image.load()
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
            raise ImageKindError(
                f"{limits.label}: is a HEIC photo; pip install 'attnviz[heic]' to read it, or save it as JPEG"
            ) from None
    if kind == "AVIF" and not features.check("avif"):
        raise ImageKindError(
            f"{limits.label}: is an AVIF photo; Pillow 11.3 or later reads it: pip install --upgrade pillow"
        )
    if kind in ("WebP", "GIF"):
        Image.MAX_IMAGE_PIXELS = limits.max_pixels  # for what their headers do not say at once; `quiet` sets it back
    try:
        return Image.open(io.BytesIO(data), formats=[kind.upper()])
    except Image.DecompressionBombError as error:
        raise ImageSizeError(
            f"{limits.label}: has a frame far above the limit of {limits.max_pixels:,} pixels: make it smaller, or "
            "allow more with --max-pixels"
        ) from error


def _tiff(data: bytes, limits: Limits) -> tuple[Pixels, tuple[str, ...]]:
    try:
        found = tiff.read(data, limits.check)
    except tiff.UnsupportedError as error:
        raise ImageKindError(f"{limits.label}: {error}") from error
    pixels, remarks = _coloured(found.image, data)
    return upright(pixels, found.orientation), (*found.remarks, *remarks)


def _jpeg(image: Image.Image, data: bytes, least: int) -> tuple[Pixels, tuple[str, ...]]:
    """A JPEG, of which Pillow has read the header."""
    from PIL import Image

    bands = len(image.getbands())
    stored, remark = jpeg.decode(data, bands, lambda: _as_stored(image), least)
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


def _shallow(image: Image.Image) -> tuple[Image.Image, str | None]:
    """A loaded image of more than 8 bits a channel as one of 8, its transparent colour compared before."""
    from PIL import Image

    values = np.asarray(image)
    if image.format == "PNG" and values.dtype.itemsize == 4:  # some versions of Pillow give 16 bits as 32
        values = values.astype(np.uint16)
    pixels, remark = deep.eight_bits(values)
    shallow = Image.fromarray(pixels)
    shallow.info = dict(image.info)
    clear = shallow.info.pop("transparency", None)
    if clear is not None:
        shallow.putalpha(Image.fromarray(np.where(values == clear, np.uint8(0), np.uint8(255))))
    return shallow, remark


def _coloured(image: Image.Image, data: bytes) -> tuple[Pixels, list[str]]:
    """A loaded image of 8 bits a channel as sRGB, and remarks on its colours."""
    with quiet():
        profile, trouble = colour.profile_of(image.info, data, _exif(image))
    pixels, misfit = colour.to_rgb(image, profile)
    return pixels, [text for text in (trouble, misfit) if text]


@contextmanager
def _harm_told(kind: str, limits: Limits, opening: bool = False) -> Iterator[None]:
    """Damaged files make decoders raise nearly anything, which becomes one clear line here.

    Args:
        opening: it is the header that is read.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{limits.label}: takes more memory than there is; make it smaller") from error
    except Exception as error:
        cut = isinstance(error, jpeg.CutOffError) or "truncated" in str(error).lower()
        harm = "cut off or damaged" if opening else "cut off" if cut else "damaged and cannot be decoded"
        what = kind if kind == "image" else f"{kind} file"
        raise ImageError(f"{limits.label}: the {what} is {harm}; copy or download it again") from error
