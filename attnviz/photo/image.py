"""Photos: a file, bytes, a stream, a PIL image or an array becomes upright RGB, or one clear line of error."""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from attnviz.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

Pixels = npt.NDArray[np.uint8]
Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | npt.NDArray[Any]  # or a PIL image

MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
_KINDS = "JPEG, PNG, WebP, GIF, TIFF or BMP"
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"RIFF": "WebP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
}
_BYTES_A_PIXEL = 8  # the most an uncompressed file holds: four channels of 16 bits
_BYTES_BESIDE = 64 * 2**20  # thumbnails, profiles, further frames
_PILLOW = threading.Lock()


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo.

    Attributes:
        pixels: (H, W, 3) uint8, RGB.
        name: the file's name without its folder, or what the caller named it.
        sha256: of the file's bytes, in hexadecimal; None where there was no file.
    """

    pixels: Pixels = field(repr=False)
    name: str
    sha256: str | None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.pixels.shape[:2]
        return height, width


def load(source: Source | Image.Image | Photo, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> Photo:
    """Reads a photo as upright RGB.

    EXIF rotation is applied, transparency is laid on white, 16-bit and float greys are scaled to 8 bits, and of an
    animation the first frame is taken.

    Args:
        source: a path; the bytes of an image file, or a binary stream of them; a PIL image; or a uint8 array of
            (H, W), (H, W, 3) or (H, W, 4). A Photo is returned as it is.
        max_pixels: the most that are decoded; the file's header is checked first.
        name: what to call the photo, in messages and in `Photo.name`; the file's name by default.

    Raises:
        ImageError: no such file, no image, a damaged or cut-off one, or too many pixels.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, np.ndarray):
        label = name or "array"
        pixels = _check_array(source, label)
        _check_size(pixels.shape[:2], max_pixels, label)
        return Photo(_rgb_array(pixels), label, None)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        label = name or str(path)
        return _decode(_read_path(path, label, max_pixels), label, name or path.name, max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(bytes(source), name or "image", name or "image", max_pixels)
    from PIL import Image

    if isinstance(source, Image.Image):
        label = name or Path(getattr(source, "filename", "") or "image").name
        _check_size(source.size[::-1], max_pixels, label)
        return Photo(_upright_rgb(source, label), label, None)
    if hasattr(source, "read"):
        of_stream = getattr(source, "name", None)
        label = name or (of_stream if isinstance(of_stream, str) else "image")
        return _decode(_read_stream(source, label, max_pixels), label, name or Path(label).name, max_pixels)
    raise ImageError(
        f"{name or 'image'}: a {type(source).__name__} is no image; give a path, bytes, a PIL image or an array"
    )


def peek(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """(H, W) as the header of an image file has it, before any rotation; None where there is no such header."""
    from PIL import Image

    try:
        with _own_settings(), Image.open(path, formats=FORMATS) as image:
            width, height = image.size
    except Exception:  # `load` will say what is wrong
        return None
    return height, width


def thumbnail(path: str | os.PathLike[str], longest: int, quality: int) -> tuple[bytes, str, tuple[int, int]] | None:
    """A small upright copy of a photo for the web, decoded no larger than it need be; None where that fails.

    Returns:
        The file's bytes, its kind ("webp", or "jpeg" where Pillow cannot write that) and its (H, W).
    """
    import io

    from PIL import Image, ImageOps, features

    try:
        with _own_settings():
            image = Image.open(path, formats=FORMATS)
        with image:
            image.draft("RGB", (2 * longest, 2 * longest))
            small = Image.fromarray(_rgb(ImageOps.exif_transpose(image)))
        small.thumbnail((longest, longest))
        kind = "webp" if features.check("webp") else "jpeg"
        out = io.BytesIO()
        small.save(out, kind.upper(), quality=quality)
    except Exception:  # the photo may have been changed or removed meanwhile
        return None
    return out.getvalue(), kind, (small.height, small.width)


def _read_path(path: Path, label: str, max_pixels: int) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"{label}: is a folder, not an image; name a file in it, or use `attnviz batch`")
        with path.open("rb") as file:
            return _read_stream(file, label, max_pixels)
    except FileNotFoundError:
        raise ImageError(f"{label}: no such file; check the name and the folder") from None
    except PermissionError:
        raise ImageError(f"{label}: no permission to read it; change its permissions or copy it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ImageError(
            f"{label}: cannot be read ({getattr(error, 'strerror', None) or error}); check the path"
        ) from error


def _read_stream(stream: Any, label: str, max_pixels: int) -> bytes:
    """All bytes, up to what a photo of `max_pixels` may need."""
    limit = _BYTES_A_PIXEL * max_pixels + _BYTES_BESIDE
    try:
        data = stream.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a closed stream
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{label}: reading stopped ({reason}); give it once more, from its beginning") from error
    if not isinstance(data, bytes):
        raise ImageError(f"{label}: gives {type(data).__name__}, not bytes; open it in binary mode")
    if len(data) > limit:
        raise ImageError(
            f"{label}: has more than {limit:,} bytes, too many for a photo; raise --max-pixels if it is one"
        )
    return data


def _decode(data: bytes, label: str, name: str, max_pixels: int) -> Photo:
    """The photo in the bytes of a file. Names of formats and sizes come from the header, before anything is decoded."""
    if not data:
        raise ImageError(f"{label}: is empty (0 bytes); copy or download it again")
    import io

    from PIL import Image

    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    try:
        with _own_settings():
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # damaged headers make decoders raise nearly anything
        if kind is not None:
            raise ImageError(f"{label}: the {kind} file is cut off or damaged; copy or download it again") from error
        raise ImageError(f"{label}: is not an image that can be read; give a {_KINDS} file") from error
    with image:
        _check_size(image.size[::-1], max_pixels, label)
        return Photo(_upright_rgb(image, label), name, hashlib.sha256(data).hexdigest())


@contextmanager
def _own_settings() -> Iterator[None]:
    """Pillow's global switches as we need them, whatever the program that uses us has set.

    Its limit on pixels would warn or raise in words of its own before ours is looked at; its switch for cut-off files
    would fill what is missing with grey.
    """
    from PIL import Image, ImageFile

    with _PILLOW:
        saved = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = saved


def _check_size(size: tuple[int, ...], max_pixels: int, label: str) -> None:
    height, width = size
    if height * width > max_pixels:
        raise ImageError(
            f"{label}: is {height:,} pixels high and {width:,} wide, {height * width:,} in all; the limit is "
            f"{max_pixels:,}: make it smaller, or allow more with --max-pixels"
        )
    if height * width == 0:
        raise ImageError(f"{label}: has no pixels ({height} high, {width} wide); give another image")


def _upright_rgb(image: Image.Image, label: str) -> Pixels:
    from PIL import ImageFile, ImageOps

    try:
        # Decoding is kept out of the lock, so that threads decode at once, but where the switch is on.
        with _own_settings() if ImageFile.LOAD_TRUNCATED_IMAGES else nullcontext():
            image.load()
    except Exception as error:  # as above
        harm = "cut off" if "truncated" in str(error).lower() else "damaged and cannot be decoded"
        kind = f"{image.format} file" if image.format else "image"
        raise ImageError(f"{label}: the {kind} is {harm}; copy or download it again") from error
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be parsed says nothing on rotation
        upright = image
    try:
        return _rgb(upright)
    except (ValueError, OSError, MemoryError) as error:
        raise ImageError(f"{label}: pixels of mode {image.mode} cannot be turned into RGB; save it as a PNG") from error


def _rgb(image: Image.Image) -> Pixels:
    """(H, W, 3) of a loaded PIL image of any mode."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode.startswith(("I", "F")):
        return _rgb_array(_eight_bits(np.asarray(image), bits=16 if image.mode.startswith("I;16") else 32))
    if image.mode == "La":  # Pillow turns it into nothing else
        image = image.convert("LA")
    if image.has_transparency_data:
        return _rgb_array(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _eight_bits(grey: npt.NDArray[Any], bits: int) -> Pixels:
    """Greys of more than 8 bits, scaled and not clipped.

    Integers up to 65,535 are taken as 16 bits (Pillow gives some 16-bit files as 32-bit ones), floats up to 1 and up to
    255 as such; whatever goes further is scaled by its largest value. Below zero is black.
    """
    values = np.nan_to_num(grey.astype(np.float64), posinf=0.0, neginf=0.0)
    largest = float(values.max(initial=0.0))
    steps = (1.0, 255.0) if grey.dtype.kind == "f" else (65535.0,)
    top = 65535.0 if bits == 16 else next((step for step in steps if largest <= step), largest)
    return np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8)


def _check_array(array: npt.NDArray[Any], label: str) -> Pixels:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(
            f"{label}: an array of {array.dtype} and shape {array.shape} is no photo; "
            "give uint8 of (H, W), (H, W, 3) or (H, W, 4)"
        )
    return array


def _rgb_array(pixels: Pixels) -> Pixels:
    """(H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA as (H, W, 3), transparency on white."""
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels)
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return np.asarray(white)
