"""Photos in every shape users have them, and what they are told when there is none."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageFile

from attnviz.errors import ImageError
from attnviz.photo.glance import peek
from attnviz.photo.image import Photo, load

Pixels = npt.NDArray[np.uint8]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int = 24, width: int = 40, channels: int = 3) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG of one-bit pixels with a true header and no pixels at all."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    end = b"IEND"
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (body, b"IDAT" + zlib.compress(b""), end)
    )


def message(source: Any, **options: Any) -> str:
    """The one line that loading ends in."""
    with pytest.raises(ImageError) as caught:
        load(source, **options)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text.splitlines()) == 1
    return text


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_from_path_bytes_and_stream(kind: str, tmp_path: Path) -> None:
    flat = np.full((24, 40, 3), (200, 30, 90), np.uint8)
    flat[:, 20:] = (20, 180, 60)
    data = encode(Image.fromarray(flat), kind)
    path = tmp_path / "a photo.JPG"  # the content counts, not the name
    path.write_bytes(data)
    with path.open("rb") as stream:
        photos = [load(source) for source in (path, str(path), data, bytearray(data), io.BytesIO(data), stream)]
    for photo in photos:
        assert photo.size == (24, 40)
        assert photo.pixels.dtype == np.uint8
        assert photo.sha256 == hashlib.sha256(data).hexdigest()
        assert np.abs(photo.pixels.astype(int) - flat)[:, [2, 10, 30, 37]].max() <= 8
    assert load(path).name == "a photo.JPG"
    assert load(data).name == "image"
    assert load(data, name="mine").name == "mine"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(kind: str, orientation: int) -> None:
    """Each value of the EXIF tag, as the standard words it: where the stored row 0 and column 0 belong."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16], upright[:8, 16:], upright[8:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stored = {
        1: upright,
        2: upright[:, ::-1],  # row 0 at the top, column 0 at the right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.transpose(1, 0, 2),  # row 0 is the left side, column 0 the top
        6: upright.transpose(1, 0, 2)[::-1],  # row 0 is the right side, column 0 the top
        7: upright.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
        8: upright.transpose(1, 0, 2)[:, ::-1],  # left, bottom
    }[orientation]
    if orientation == 6:  # row 0 of the file is the right side: the rightmost column, from top to bottom
        np.testing.assert_array_equal(stored[0], upright[:, -1])
    if orientation == 8:  # row 0 is the left side, column 0 the bottom
        np.testing.assert_array_equal(stored[0], upright[::-1, 0])
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = load(encode(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, quality=95))
    assert photo.size == (16, 32)
    assert np.abs(photo.pixels.astype(int) - upright)[[3, 3, 12, 12], [5, 28, 5, 28]].max() <= 12


def test_broken_exif_is_no_obstacle() -> None:
    data = encode(Image.fromarray(noise()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(data).size == (24, 40)


def test_grey_and_palette() -> None:
    grey = noise()[..., 0]
    for kind in ("PNG", "TIFF", "BMP", "GIF"):
        np.testing.assert_array_equal(load(encode(Image.fromarray(grey), kind)).pixels, np.stack([grey] * 3, axis=-1))
    bilevel = Image.fromarray(grey).convert("1")
    assert set(np.unique(load(encode(bilevel, "PNG")).pixels)) == {0, 255}
    palette = Image.fromarray(noise()).quantize(16)
    np.testing.assert_array_equal(load(encode(palette, "PNG")).pixels, np.asarray(palette.convert("RGB")))


def test_transparency_lies_on_white() -> None:
    pixels = noise(channels=4)
    pixels[0], pixels[1, :, 3], pixels[2, :, 3] = 0, 0, 255
    share = pixels[..., 3:] / 255
    expected = pixels[..., :3] * share + 255 * (1 - share)
    for kind in ("PNG", "TIFF"):
        result = load(encode(Image.fromarray(pixels), kind)).pixels
        assert np.abs(result - expected).max() <= 1
        assert (result[:2] == 255).all()
        np.testing.assert_array_equal(result[2], pixels[2, :, :3])
    np.testing.assert_array_equal(load(pixels).pixels, load(Image.fromarray(pixels)).pixels)
    grey = load(encode(Image.fromarray(pixels).convert("LA"), "PNG")).pixels
    assert (grey[:2] == 255).all()


def test_transparent_colours_of_palettes_and_of_plain_pngs() -> None:
    palette = Image.fromarray(np.repeat(np.arange(2, dtype=np.uint8), 8).reshape(2, 8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    for kind, options in (
        ("PNG", {"transparency": 0}),
        ("GIF", {"transparency": 0}),
        ("PNG", {"transparency": b"\0\xff"}),
    ):
        result = load(encode(palette, kind, **options)).pixels
        assert (result[0] == 255).all(), kind
        assert (result[1] == (40, 50, 60)).all()
    solid = Image.new("RGB", (4, 2), (1, 2, 3))
    assert (load(encode(solid, "PNG", transparency=(1, 2, 3))).pixels == 255).all()


def test_cmyk() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for kind in ("JPEG", "TIFF"):
        assert np.abs(load(encode(image, kind)).pixels.astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV", "LAB", "I", "F", "1"])
def test_every_mode_of_pil_images(mode: str) -> None:
    assert load(Image.new(mode, (5, 3))).pixels.shape == (3, 5, 3)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    deep = np.linspace(0, 65535, 24 * 40).reshape(24, 40).astype(np.uint16)
    expected = np.stack([np.rint(deep / 257.0)] * 3, axis=-1)
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(load(encode(Image.fromarray(deep), kind)).pixels, expected)
    big_endian = Image.frombytes("I;16B", (40, 24), deep.astype(">u2").tobytes())
    np.testing.assert_array_equal(load(big_endian).pixels, expected)
    np.testing.assert_array_equal(load(Image.fromarray(deep.astype(np.int32))).pixels, expected)
    dark = Image.fromarray(np.full((2, 2), 257, np.uint16))
    assert (load(dark).pixels == 1).all()  # a dark photo stays dark


def test_wider_numbers_and_floats() -> None:
    assert load(Image.fromarray(np.array([[-5, 0, 10**6, 2 * 10**6]], np.int32))).pixels[0, :, 0].tolist() == [
        0,
        0,
        128,
        255,
    ]
    fraction = np.array([[0, 0.5, 1, np.nan]], np.float32)
    assert load(encode(Image.fromarray(fraction), "TIFF")).pixels[0, :, 0].tolist() == [0, 128, 255, 0]
    assert load(Image.fromarray(np.array([[0, 100, 255]], np.float32))).pixels[0, :, 0].tolist() == [0, 100, 255]
    assert load(Image.fromarray(np.array([[0, 500, 1000]], np.float32))).pixels[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_many(kind: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((250, 10, 10), (10, 250, 10), (10, 10, 250))]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(load(data).pixels.astype(int) - (250, 10, 10)).max() <= 8


def test_arrays() -> None:
    pixels = noise()
    photo = load(pixels)
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert (photo.name, photo.sha256) == ("array", None)
    assert load(photo) is photo
    np.testing.assert_array_equal(load(pixels[..., 0]).pixels[..., 2], pixels[..., 0])
    np.testing.assert_array_equal(load(pixels[:, ::-1]).pixels, pixels[:, ::-1])
    for wrong in (pixels / 255, pixels[..., :2], pixels[None], np.zeros((3, 4), bool), pixels.astype(np.int64)):
        assert "uint8" in message(wrong)
    assert "no pixels" in message(pixels[:0])


def test_pil_images_keep_their_files_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encode(Image.fromarray(noise()), "PNG"))
    with Image.open(path) as image:
        assert load(image).name == "photo.png"
    assert load(Image.new("RGB", (2, 2))).name == "image"


def test_one_pixel_and_strips() -> None:
    assert load(encode(Image.new("RGB", (1, 1)), "PNG")).size == (1, 1)
    assert load(encode(Image.new("RGB", (10, 10_000)), "JPEG")).size == (10_000, 10)


def test_missing_folder_empty_and_text(tmp_path: Path) -> None:
    for name, words in (
        ("gone.jpg", "no such file"),
        ("folder", "is a folder"),
        ("empty.jpg", "is empty"),
        ("text.jpg", "is not an image"),
    ):
        path = tmp_path / name
        if name == "folder":
            path.mkdir()
        elif name == "empty.jpg":
            path.touch()
        elif name == "text.jpg":
            path.write_text("Dear all,\nplease find no photo attached.\n")
        text = message(path)
        assert text.startswith(f"{path}: ")
        assert words in text
    below = tmp_path / "text.jpg" / "photo.jpg"
    assert str(below) in message(below)
    assert "in.png: no such file" in message("/no/such", name="in.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(encode(Image.new("RGB", (2, 2)), "PNG"))
    path.chmod(0)
    assert "no permission" in message(path)


def test_no_permission_told_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "no permission" in message(tmp_path / "locked.png")


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_off_files_are_never_silently_grey(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.fromarray(noise(60, 80)), kind)
    for pillow_would_fill in (False, True):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", pillow_would_fill)
        for share in (0.02, 0.3, 0.5, 0.9, 0.99):
            text = message(data[: max(int(len(data) * share), 12)], name="x")
            assert "cut off" in text
            assert "x: the " in text
        assert ImageFile.LOAD_TRUNCATED_IMAGES is pillow_would_fill


def test_progressive_jpegs_too() -> None:
    data = encode(Image.fromarray(noise(200, 300)), "JPEG", progressive=True)
    assert "cut off" in message(data[: len(data) * 3 // 4])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMATS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_bytes_end_in_a_photo_or_in_one_line(kind: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(encode(Image.fromarray(noise(20, 20)), kind))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # libraries have nothing to say to users
        try:
            photo = load(bytes(data), max_pixels=10**6)
        except ImageError:
            return  # any other kind of error fails the test
    assert photo.pixels.shape == (*photo.size, 3)


def test_bombs_are_refused_by_their_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(30_000, 30_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = message(path)
    for part in (str(path), "30,000 pixels high", "900,000,000", "100,000,000", "--max-pixels"):
        assert part in text
    assert "cut off" in message(path, max_pixels=10**9)  # allowed, it is looked into
    assert "--max-pixels" in message(noise(), max_pixels=24 * 40 - 1)
    assert load(noise(), max_pixels=24 * 40).size == (24, 40)


def test_pillows_own_limit_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.fromarray(noise()), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(data).size == (24, 40)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_streams_that_stop_or_give_text() -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise BrokenPipeError(32, "Broken pipe")

    assert "Broken pipe" in message(Broken(), name="standard input")
    assert "binary" in message(io.StringIO("text"))
    closed = io.BytesIO(b"")
    closed.close()
    assert "closed" in message(closed)
    assert "NoneType" in message(None)
    assert "is empty" in message(io.BytesIO(b""))


def test_streams_are_read_only_so_far() -> None:
    class Endless(io.RawIOBase):
        asked = 0

        def read(self, size: int = -1) -> bytes:
            self.asked = size
            return bytes(size)

    stream = Endless()
    assert "too many for a photo" in message(stream, max_pixels=1)
    assert stream.asked < 2**27


@pytest.mark.skipif(os.name == "nt", reason="such names do not exist there")
@pytest.mark.parametrize("name", ["two\nlines.jpg", "\x1b[31mred.jpg", "tab\t.jpg", "\u202egpj.exe", "\u2028.jpg"])
def test_messages_stay_one_line_whatever_the_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert "no such file" in message(path)
    path.write_bytes(encode(Image.new("RGB", (2, 2)), "PNG"))
    assert load(path).name == name


def test_names_of_any_script_are_shown_as_they_are() -> None:
    assert "Straße/写真/صورة.jpg: no such file" in message("Straße/写真/صورة.jpg")


@pytest.mark.parametrize("url", ["https://x.org/a.jpg", "http:/x.org/a.jpg", "s3://bucket/a.jpg"])
def test_a_url_is_told_apart_and_shown_as_it_was_typed(url: str) -> None:
    assert message(url) == f"{url}: is a URL, not a file; download it first, and name the file"


def test_a_photo_is_read_by_either_unicode_form_of_its_name(tmp_path: Path, pixels: np.ndarray) -> None:
    for disk, asked in (("caf\u00e9.png", "cafe\u0301.png"), ("fu\u0308r.png", "f\u00fcr.png")):
        Image.fromarray(pixels).save(tmp_path / disk)
        found = load(tmp_path / asked)
        assert np.array_equal(found.pixels, pixels)
        assert found.name == asked
    message(os.fsdecode(b"\xff\xfe.jpg"))  # no text at all
    assert "cannot be read" in message("a\0b.jpg")


def test_threads_decode_at_once() -> None:
    data = [encode(Image.fromarray(noise(100 + i, 100)), "JPEG") for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        photos: list[Photo] = list(pool.map(load, data))
    assert [photo.size for photo in photos] == [(100 + i, 100) for i in range(24)]
    assert Image.MAX_IMAGE_PIXELS is not None


def test_peek_reads_the_size_and_nothing_more(tmp_path: Path, photo: Path) -> None:
    assert peek(photo) == (40, 60)
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:60])
    assert peek(tmp_path / "cut.png") == (40, 60)
    (tmp_path / "text.png").write_text("no photo")
    assert peek(tmp_path / "text.png") is peek(tmp_path / "missing.png") is None
