"""Kinds of files: told apart by what they are, named where they are not read, and bounded before they are decoded."""

from __future__ import annotations

import io
import logging
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from picture_files import encode, png
from PIL import Image

from attnviz.errors import ImageError
from attnviz.photo import kinds
from attnviz.photo.glance import peek
from attnviz.photo.image import load


def message(data: bytes, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        load(data, name="x", **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(24), "is a sound or video (RIFF)"),
        (b"BMW drives on, in plain text", "is not an image"),
        (b"BM\x1e\0\0\0\0\0\0\0\x1a\0\0\0\x63\0\0\0", "is not an image"),
        (b"\xff\x0a" + bytes(40), "is a JPEG XL file"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "is a JPEG 2000 file"),
        (b"8BPS" + bytes(40), "is a Photoshop file"),
        (b"%PDF-1.7", "is a PDF"),
        (b'<svg xmlns="x"/>', "is an SVG drawing"),
        (b"\n<!DOCTYPE html><title>404", "is a web page"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "is a camera's raw file (Canon)"),
        (b"FUJIFILMCCD-RAW 0201", "is a camera's raw file (Fujifilm)"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "is a video"),
        (bytes(128) + b"DICM", "is a DICOM file"),
    ],
)
def test_other_kinds_are_named(data: bytes, words: str) -> None:
    text = message(data)
    assert text.startswith(f"x: {words}")
    assert "cut off" not in text
    assert kinds.READ in text


def test_what_is_read_is_known_by_its_first_bytes() -> None:
    image = Image.new("RGB", (8, 8))
    found = {name: kinds.kind_of(encode(image, name)) for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")}
    assert found == {**{name: name for name in found}, "WEBP": "WebP"}
    for brand, kind in ((b"avif", "AVIF"), (b"heic", "HEIC"), (b"hevx", "HEIC"), (b"mif1", "HEIC"), (b"isom", None)):
        assert kinds.kind_of(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1miaf") == kind
    assert kinds.kind_of(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "AVIF"
    assert not set(kinds.SUFFIXES) & set(kinds.LIKE_PHOTOS)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_avif_and_heic_upright(kind: str, orientation: int) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32], pixels[32:, 48:] = (250, 20, 20), (20, 20, 250)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(pixels), kind, exif=exif, quality=95)
    # HEIC turns by a box of its own; what EXIF says there only repeats it.
    expected = np.rot90(pixels, {1: 0, 3: 2, 6: -1}[orientation] if kind == "AVIF" else 0)
    found = load(data)
    assert found.size == expected.shape[:2]
    assert np.abs(found.pixels.astype(int) - expected)[8:24, 8:24].max() <= 12
    assert np.abs(found.pixels.astype(int) - expected)[-24:-8, -24:-8].max() <= 12
    assert "cut off or damaged" in message(data[:60])


# Transparent colours of PNGs


def greys(depth: int) -> npt.NDArray[np.int64]:
    """(4, 64): every value of up to 6 bits, spread over the depth."""
    values = np.arange(256).reshape(4, 64)
    return np.asarray(values % 2**depth if depth < 8 else values * (2**depth - 1) // 255, np.int64)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_white_at_any_depth(depth: int) -> None:
    values = greys(depth)
    clear = int(values[0, 1])
    data = png(values, depth, 0, tRNS=struct.pack(">H", clear))
    expected = np.where(values == clear, 255, np.rint(values / (2**depth - 1) * 255))
    found = load(data).pixels
    assert np.abs(found - expected[..., None]).max() <= 1
    assert (found[values == clear] == 255).all()


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_is_white_and_its_neighbours_are_not(depth: int) -> None:
    """At 16 bits, colours that differ in the low byte alone differ."""
    colours = np.full((2, 3, 3), [0x1234 if depth == 16 else 0x12, 7, 200])
    colours[0, 1, 0] += 1
    colours[1, 2, 2] += 1
    data = png(colours, depth, 2, tRNS=struct.pack(">HHH", *colours[0, 0].tolist()))
    found = load(data).pixels
    clear = (colours == colours[0, 0]).all(axis=-1)
    assert (found[clear] == 255).all()
    assert np.abs(found[~clear] - colours[~clear] // (256 if depth == 16 else 1)).max() <= 1


def test_the_transparent_colour_of_a_cut_off_file() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 40))
    data = png(values, 16, 0, tRNS=b"\0\7")
    assert "the PNG file is cut off" in message(data[: len(data) // 2])


# Huge shapes of few bytes


def webp(chunk: bytes, content: bytes) -> bytes:
    body = b"WEBP" + chunk + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


PEAK = """
def peak():
    \"\"\"The most bytes of memory that this process has had; what getrusage tells includes those of its parent.\"\"\"
    with open("/proc/self/status") as status:
        return 1024 * int(status.read().split("VmHWM:")[1].split()[0])
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")

HUGE = {
    "png": png(np.zeros((1, 1)), 8, 0)[:16] + struct.pack(">II", 99_999_999, 1) + bytes(30),
    "webp": webp(b"VP8X", bytes(4) + (16_000).to_bytes(3, "little") * 2),
    "webp, lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 16_000 | 16_000 << 14)),
    "webp, lossy": webp(b"VP8 ", b"\x30\1\0\x9d\1\x2a" + struct.pack("<HH", 16_000, 16_000)),
    "gif": b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\x80\0\0" + bytes(6),
}


@on_linux
@pytest.mark.parametrize("name", HUGE)
def test_canvases_are_refused_before_memory_is_taken(name: str, tmp_path: Path) -> None:
    data = HUGE[name] if name != "png" else wide_png()
    path = tmp_path / f"huge.{name[:3]}"
    path.write_bytes(data)
    code = f"""
import sys
from attnviz.photo.image import load
from attnviz.photo.glance import peek
from PIL import Image, WebPImagePlugin, GifImagePlugin
import numpy, simplejpeg
{PEAK}
before = peak()
peek({str(path)!r})
try:
    load({str(path)!r})
except Exception as error:
    print(error)
print(peak() - before, file=sys.stderr)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "is 1 pixel high and 99,999,999 wide" in found.stdout if name == "png" else "pixels high" in found.stdout
    assert int(found.stderr) < 50 * 2**20


def wide_png() -> bytes:
    import zlib

    head = struct.pack(">IIBBBBB", 99_999_999, 1, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I4s", len(content), name) + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )


def test_frames_beyond_a_gifs_canvas_are_bounded_too() -> None:
    """A frame that is to be cleared again, for which Pillow takes memory as soon as it opens the file."""
    head = b"GIF89a" + struct.pack("<HH", 10, 10) + b"\x80\0\0" + bytes(6)
    control = b"\x21\xf9\x04\x08\0\0\0\0"
    data = head + control + b"\x2c" + struct.pack("<HHHH", 0, 0, 65_535, 65_535) + b"\0\x02\x02\x44\x01\0\x3b"
    assert "x: has a frame far above the limit of 100,000,000 pixels" in message(data)


@on_linux
def test_large_photos_take_no_more_than_a_few_bytes_a_pixel() -> None:
    """Bilevel, 16 bits, floats, palettes and transparency, of 36 megapixels each."""
    code = f"""
import io, sys
{PEAK}
import numpy as np
from PIL import Image
from attnviz.photo.image import load
side = 6000
mode = sys.argv[1]
kind = "TIFF" if mode == "F" else "PNG"
if mode in ("I;16", "F"):
    image = Image.fromarray(np.zeros((side, side), np.uint16 if mode == "I;16" else np.float32))
else:
    image = Image.new(mode, (side, side))
out = io.BytesIO()
image.save(out, kind, **(dict(compression="tiff_lzw") if kind == "TIFF" else dict(compress_level=1)))
del image
small = io.BytesIO()
Image.new("RGBA", (9, 9)).save(small, "PNG")
load(small.getvalue())
# What was at work before counts as well: the peak is that of both.
print(load(out.getvalue()).pixels.shape, peak())
"""
    for mode in ("1", "P", "RGBA", "I;16", "F"):
        found = subprocess.run([sys.executable, "-c", code, mode], capture_output=True, text=True, check=True).stdout
        assert found.startswith("(6000, 6000, 3)")
        assert int(found.split()[-1]) < 150 * 2**20 + 36_000_000 * 12


# Libraries keep silent


def test_no_warning_and_no_log_line_reaches_anybody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Odd EXIF, text, profiles and TIFF tags, which Pillow warns of and logs."""
    huge = b"II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\xff\x7f\x1a\0\0\0\0\0\0\0"
    image = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    files = [
        encode(image, "JPEG", exif=b"Exif\0\0" + huge),
        encode(image, "PNG", exif=huge),
        encode(image, "WEBP", exif=huge),
        png(np.zeros((2, 2)), 8, 3, PLTE=bytes(6), tRNS=b"\0\x80"),
    ]
    tiff = bytearray(encode(image, "TIFF"))
    tiff[tiff.index(struct.pack("<HHI", 277, 3, 1)) + 8] = 200  # samples a pixel: Pillow logs an error
    files.append(bytes(tiff))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, data in enumerate(files):
            path = tmp_path / str(number)
            path.write_bytes(data)
            peek(path)
            try:
                load(path)
            except ImageError:
                continue
    assert capfd.readouterr() == ("", "")


def test_who_listens_to_pillow_still_hears_it(caplog: pytest.LogCaptureFixture) -> None:
    load(encode(Image.new("RGB", (2, 2)), "PNG"))
    with caplog.at_level(logging.DEBUG, "PIL"):
        logging.getLogger("PIL.x").warning("heard")
    assert "heard" in caplog.text


def test_pils_own_images_are_left_as_they_are() -> None:
    image = Image.open(io.BytesIO(png(np.full((2, 2, 3), 9), 8, 2, tRNS=struct.pack(">HHH", 9, 9, 9))))
    before = dict(image.info)
    assert (load(image).pixels == 255).all()
    assert image.info == before
