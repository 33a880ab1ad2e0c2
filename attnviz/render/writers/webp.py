"""Animated WebP: smaller than the others, for the web."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, features

from attnviz.errors import ConfigError
from attnviz.render.parallel import ordered
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from attnviz.render.pictures import Pictures

MAX_SIDE = 16_383
QUALITY = 85
DISPOSE, OVERWRITE = 1, 2  # flags of a frame: clear its rectangle afterwards; replace pixels instead of blending
ALPHA = 0x10  # flag of the file: some frame has transparent pixels
METHOD = 2  # 0 is the fastest, 6 the smallest; more than 2 takes longer than it saves


def jobs(pictures: Pictures) -> Iterator[Job]:
    """`attention.webp`."""
    require()
    yield Job("attention.webp", lambda stream: write(pictures, stream))


def require() -> None:
    """Raises ConfigError unless Pillow was built with WebP."""
    if not features.check("webp"):
        raise ConfigError("webp: this build of Pillow cannot write it; install Pillow with WebP, or choose gif")


def write(pictures: Pictures, stream: BinaryIO) -> None:
    """Writes the animation.

    Raises:
        ConfigError: the picture is larger than a WebP can be, or Pillow was built without WebP.
    """
    require()
    longest = max(pictures.empty_still.shape)
    if longest > MAX_SIDE:
        raise ConfigError(f"webp: a side of {longest} pixels is more than {MAX_SIDE}; give a smaller size")
    images = (Image.fromarray(pixels) for pixels in ordered(pictures.still, pictures.stills, pictures.options.threads))
    out = io.BytesIO()  # Pillow wants a seekable file
    next(images).save(
        out,
        "WEBP",
        save_all=True,
        append_images=images,
        duration=[still.milliseconds for still in pictures.stills],
        loop=0 if pictures.options.loop else 1,
        quality=QUALITY,
        method=METHOD,
    )
    stream.write(with_all_frames(out.getvalue(), [still.milliseconds for still in pictures.stills]))


def with_all_frames(data: bytes, durations: Sequence[int]) -> bytes:
    """An animation with a frame for each of `durations`, in milliseconds.

    libwebp leaves out a frame that differs too little from the one before for its quality (by 3 of 255 at 85) and shows
    that one longer. Here such a frame is one in which nothing changes: the same rectangle once more, all transparent.
    """
    durations = list(durations)
    parts = []
    added = False
    for kind, body in _chunks(data[12:]):
        if kind != b"ANMF":
            parts.append((kind, body))
            continue
        lasting = int.from_bytes(body[12:15], "little")
        shown = [durations.pop(0)] if durations else [lasting]
        while durations and sum(shown) < lasting:
            shown.append(durations.pop(0))
        flags, width, height = body[15], *(int.from_bytes(body[at : at + 3], "little") + 1 for at in (6, 9))
        for number, milliseconds in enumerate(shown):
            # The rectangle is cleared, where it is to be (DISPOSE), after the last one alone.
            kept = flags if number == len(shown) - 1 else flags & ~DISPOSE
            image = body[16:] if number == 0 else _clear(width, height)
            kept = kept if number == 0 else kept & ~OVERWRITE
            parts.append((kind, body[:12] + milliseconds.to_bytes(3, "little") + bytes([kept]) + image))
        added |= len(shown) > 1
    if added and parts[0][0] == b"VP8X":
        parts[0] = b"VP8X", bytes([parts[0][1][0] | ALPHA]) + parts[0][1][1:]
    whole = b"".join(kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in parts)
    return b"RIFF" + struct.pack("<I", 4 + len(whole)) + b"WEBP" + whole


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of the chunks of a RIFF file, after its header."""
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _clear(width: int, height: int) -> bytes:
    """The image chunk of a transparent picture: a few bytes at any size."""
    out = io.BytesIO()
    Image.new("RGBA", (width, height)).save(out, "WEBP", lossless=True)
    return next(
        kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        for kind, body in _chunks(out.getvalue()[12:])
        if kind == b"VP8L"
    )
