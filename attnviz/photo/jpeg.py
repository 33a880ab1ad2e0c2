"""JPEG, by libjpeg-turbo with its warnings heard: they alone tell that the middle of a file is damaged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Pixels = npt.NDArray[np.uint8]

END = b"\xff\xd9"
NO_END = "The JPEG file lacks its end marker: it may have been cut off, and the last rows may be wrong."
DAMAGED = "The JPEG file is damaged: parts of the picture may be wrong."

_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
# Said of files that are whole: cameras fill up the end of the data, and number the versions of their headers freely.
_HARMLESS = re.compile(r"JFIF revision|Adobe color transform|(?P<count>\d+) extraneous bytes before marker 0xd9")


class CutOffError(ValueError):
    """Rows are missing."""


def decode(data: bytes, bands: int, otherwise: Callable[[], Pixels], least: int = 0) -> tuple[Pixels, str | None]:
    """(H, W, bands) of a JPEG, and a remark where the file is not whole.

    Args:
        bands: 1 for grey, 3 for RGB, 4 for CMYK as it is in the file.
        otherwise: decodes the file with another library, which takes some kinds that this one refuses.
        least: a smaller copy will do, if both its sides have so many pixels; 0 for full size.

    Raises:
        CutOffError: the file ends before its last row.
        ValueError: it cannot be decoded at all.
    """
    try:
        return _strictly(data, bands, least), None
    except ValueError as error:
        trouble = str(error)
    if not trouble.startswith("Premature end"):
        return _mended(data, bands, otherwise, least, trouble)
    # There is no end marker. With one, the decoder says whether rows are missing too.
    try:
        return _strictly(data + END, bands, least), NO_END
    except ValueError as error:
        raise CutOffError(str(error)) from error


def peculiar(data: bytes) -> str | None:
    """What kind of JPEG a file is, where it is one of those that hardly anybody reads; None for the others."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 5 <= len(data):
        marker = data[at + 1]
        if marker == 0xF7:
            return "a JPEG-LS file"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if marker in (0xC3, 0xC7, 0xCB, 0xCF):
                return "a lossless JPEG"
            return f"a JPEG of {data[at + 4]} bits a channel" if data[at + 4] != 8 else None
        at = _after_segment(data, at)
    return None


def _strictly(data: bytes, bands: int, least: int) -> Pixels:
    pixels: Pixels = _decoder()(data, _SPACES[bands], min_height=least, min_width=least, strict=True)
    return pixels


def _mended(
    data: bytes, bands: int, otherwise: Callable[[], Pixels], least: int, trouble: str
) -> tuple[Pixels, str | None]:
    """What can be had of a damaged file."""
    harmless = _HARMLESS.search(trouble)
    sound = harmless is not None and (harmless["count"] is None or _is_padding(data, int(harmless["count"])))
    try:
        return _leniently(data, bands, least), None if sound else DAMAGED
    except ValueError:
        pass
    try:
        return otherwise(), None
    except Exception:  # it is damaged, then
        return _leniently(without_stray_markers(data), bands, least), DAMAGED


def _leniently(data: bytes, bands: int, least: int) -> Pixels:
    pixels: Pixels = _decoder()(data, _SPACES[bands], min_height=least, min_width=least, strict=False)
    return pixels


def _decoder() -> Any:
    import simplejpeg

    return simplejpeg.decode_jpeg


def _is_padding(data: bytes, count: int) -> bool:
    """Whether the last `count` bytes of the picture are all the same."""
    end = data.rfind(END)
    return len(set(data[max(end - count, 0) : end])) == 1


def without_stray_markers(data: bytes) -> bytes:
    """The file with those markers amid the picture's data made harmless that can only come from damage.

    In that data the byte 255 is followed by 0 or by a restart marker. Any other marker ends it, and then a segment
    follows, and after it another marker. One that keeps no such order becomes 255, 0.
    """
    mended = bytearray(data)
    for at in _markers(data):
        if not _is_in_order(data, at):
            mended[at + 1] = 0
    return bytes(mended)


def _markers(data: bytes) -> Iterator[int]:
    """Where, after the first start of scan, 255 stands before anything but 0, 255 and restart markers."""
    start = data.find(b"\xff\xda")
    pattern = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
    position = _after_segment(data, start) if start >= 0 else len(data)
    while match := pattern.search(data, position):
        at = match.start()
        yield at
        position = _after_segment(data, at) if _is_in_order(data, at) else at + 2


def _is_in_order(data: bytes, at: int) -> bool:
    marker = data[at + 1]
    if marker == 0xD9:
        return True
    # Tables, a further scan, a number of lines, a comment or an application's own.
    if marker not in (0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE) and not 0xE0 <= marker <= 0xEF:
        return False
    after = _after_segment(data, at)
    return marker == 0xDA or data[after : after + 1] == b"\xff"


def _after_segment(data: bytes, at: int) -> int:
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") if data[at + 1] != 0xD9 else at + 2
