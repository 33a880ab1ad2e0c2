"""The bytes of a photo, out of a file or a stream, and no more of them than a photo can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz.errors import ImageError, ImageSizeError
from attnviz.files import absent, is_folder, spelled

_BYTES_A_PIXEL = 8  # the most an uncompressed file holds: four channels of 16 bits
_BYTES_BESIDE = 64 * 2**20  # thumbnails, profiles, further frames


def most_bytes(max_pixels: int) -> int:
    """How many bytes a photo of so many pixels may have."""
    return _BYTES_A_PIXEL * max_pixels + _BYTES_BESIDE


def read_path(path: Path, label: str, max_pixels: int) -> bytes:
    """All bytes of a file, or of a named pipe. Raises ImageError."""
    try:
        path = spelled(path)
        if is_folder(path):
            raise ImageError(f"{label}: is a folder, not an image; name a file in it, or use `attnviz batch`")
        with path.open("rb") as file:
            return read_stream(file, label, max_pixels)
    except FileNotFoundError:
        raise ImageError(f"{label}: {absent(label)}") from None
    except PermissionError:
        raise ImageError(f"{label}: no permission to read it; change its permissions or copy it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ImageError(
            f"{label}: cannot be read ({getattr(error, 'strerror', None) or error}); check the path"
        ) from error


def read_stream(stream: Any, label: str, max_pixels: int) -> bytes:
    """All bytes, up to what a photo of `max_pixels` may need. Raises ImageError."""
    limit = most_bytes(max_pixels)
    try:
        data = stream.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a closed stream
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{label}: reading stopped ({reason}); give it once more, from its beginning") from error
    if not isinstance(data, bytes):
        raise ImageError(f"{label}: gives {type(data).__name__}, not bytes; open it in binary mode")
    if len(data) > limit:
        raise ImageSizeError(
            f"{label}: has more than {limit:,} bytes, too many for a photo; raise --max-pixels if it is one"
        )
    return data
