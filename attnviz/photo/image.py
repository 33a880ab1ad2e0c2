"""Photos: a file, bytes, a stream, a PIL image or an array becomes upright RGB, or one clear line of error."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from attnviz.errors import ImageError
from attnviz.photo.colour import to_rgb
from attnviz.photo.decode import Limits, decode, of_image
from attnviz.photo.source import read_path, read_stream

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | npt.NDArray[Any]  # or a PIL image

MAX_PIXELS = 100_000_000


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo.

    Attributes:
        pixels: (H, W, 3) uint8, RGB.
        name: the file's name without its folder, or what the caller named it.
        sha256: of the file's bytes, in hexadecimal; None where there was no file.
        remarks: what should be known of the file, in plain sentences, such as that it is damaged.
    """

    pixels: Pixels = field(repr=False)
    name: str
    sha256: str | None
    remarks: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.pixels.shape[:2]
        return height, width


def load(source: Source | Image.Image | Photo, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> Photo:
    """Reads a photo as upright RGB.

    EXIF rotation is applied, colours become sRGB by the file's own profile, transparency is laid on white, numbers of
    more than 8 bits are scaled to 8, and of an animation the first frame is taken. What is wrong with a file that can
    be read all the same stands in the photo's `remarks`.

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
        Limits(label, max_pixels).check(pixels.shape[:2])
        return Photo(_rgb_array(pixels), label, None)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        label = name or os.fspath(source)  # as it was typed: Path makes ./a.jpg a.jpg and https:// https:/
        return _of_file(read_path(path, label, max_pixels), name or path.name, Limits(label, max_pixels))
    if isinstance(source, bytes | bytearray | memoryview):
        return _of_file(bytes(source), name or "image", Limits(name or "image", max_pixels))
    from PIL import Image

    if isinstance(source, Image.Image):
        label = name or Path(getattr(source, "filename", "") or "image").name
        limits = Limits(label, max_pixels)
        limits.check(source.size[::-1])
        pixels, remarks = of_image(source, limits)
        return Photo(pixels, label, None, remarks)
    if hasattr(source, "read"):
        of_stream = getattr(source, "name", None)
        label = name or (of_stream if isinstance(of_stream, str) else "image")
        data = read_stream(source, label, max_pixels)
        return _of_file(data, name or Path(label).name, Limits(label, max_pixels))
    raise ImageError(
        f"{name or 'image'}: a {type(source).__name__} is no image; give a path, bytes, a PIL image or an array"
    )


def _of_file(data: bytes, name: str, limits: Limits) -> Photo:
    pixels, remarks = decode(data, limits)
    return Photo(pixels, name, hashlib.sha256(data).hexdigest(), remarks)


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

    return to_rgb(Image.fromarray(np.ascontiguousarray(pixels)), None)[0]
