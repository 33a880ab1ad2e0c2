"""JPEGs that are not whole: described where their rows are there, and never in silence."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from picture_files import encode
from PIL import Image

from attnviz.errors import ImageError
from attnviz.photo import jpeg
from attnviz.photo.image import load

KINDS: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"restart_marker_rows": 1},
    {"restart_marker_blocks": 3, "subsampling": 0},
]
END = b"\xff\xd9"


def photo() -> Image.Image:
    """320x240: shades with edges and noise, so that the data are long."""
    y, x = np.mgrid[:240, :320]
    shades = np.stack([x * 0.7, y, (x + y) / 2.5], axis=-1) + 40 * ((x // 30 + y // 20) % 2)[..., None]
    noise = np.random.default_rng(0).normal(0, 6, (240, 320, 1))
    return Image.fromarray(np.clip(shades + noise, 0, 255).astype(np.uint8))


def encoded(**options: Any) -> bytes:
    return encode(photo(), "JPEG", quality=90, **options)


@pytest.mark.parametrize("options", KINDS)
def test_whole_files_are_what_pillow_makes_of_them(options: dict[str, Any]) -> None:
    data = encoded(**options)
    found = load(data)
    np.testing.assert_array_equal(found.pixels, np.asarray(Image.open(io.BytesIO(data))))
    assert found.remarks == ()


@pytest.mark.parametrize("options", KINDS)
def test_without_its_end_marker(options: dict[str, Any]) -> None:
    data = encoded(**options)
    found = load(data.removesuffix(END))
    np.testing.assert_array_equal(found.pixels, load(data).pixels)
    assert found.remarks == (jpeg.NO_END,)


def test_without_its_last_rows_a_file_is_cut_off() -> None:
    for share in (0.3, 0.6, 0.95):
        data = encoded()
        with pytest.raises(ImageError, match="the JPEG file is cut off"):
            load(data[: int(len(data) * share)])


def damaged(data: bytes, how: str) -> bytes:
    """Around the middle: overwritten with zeros, with 255 or by chance, or a piece left out, doubled or put in."""
    middle, changed = len(data) // 2, bytearray(data)
    chance = np.random.default_rng(5).integers(0, 256, 1000, np.uint8).tobytes()
    match how:
        case "zeros":
            changed[middle : middle + 1000] = bytes(1000)
        case "ones":
            changed[middle : middle + 1000] = b"\xff" * 1000
        case "chance":
            changed[middle : middle + 1000] = chance
        case "left out":
            del changed[middle : middle + 1000]
        case "doubled":
            changed[middle:middle] = data[middle : middle + 1000]
        case "put in":
            changed[middle:middle] = chance
    return bytes(changed)


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("how", ["zeros", "ones", "chance", "left out", "doubled", "put in"])
def test_a_damaged_middle_is_told(how: str, options: dict[str, Any]) -> None:
    whole = encoded(**options)
    found = load(damaged(whole, how))
    assert found.remarks == (jpeg.DAMAGED,)
    assert found.size == (240, 320)
    if not options.get("progressive"):  # what stands in front of the damage is as it was
        np.testing.assert_array_equal(found.pixels[:60], load(whole).pixels[:60])


def test_padding_in_front_of_the_end_is_no_damage() -> None:
    data = encoded().removesuffix(END)
    for padding in (bytes(40), b"\xff" * 9):
        found = load(data + padding + END)
        assert found.remarks == ()
        np.testing.assert_array_equal(found.pixels, load(data + END).pixels)
    assert load(data + END + b"and what a phone writes behind it").remarks == ()


def test_unusual_sampling_is_read_all_the_same() -> None:
    """Factors that libjpeg-turbo's own interface has no name for are left to Pillow."""
    data = bytearray(encode(photo().resize((96, 96)), "JPEG", subsampling=0, quality=95))
    at = data.index(b"\xff\xc0") + 11
    read = 0
    for factors in (b"\x11\x21\x11", b"\x12\x11\x22", b"\x31\x11\x11"):
        for number, factor in enumerate(factors):
            data[at + 3 * number] = factor
        try:
            expected = np.asarray(Image.open(io.BytesIO(bytes(data))))
        except OSError:
            continue
        assert load(bytes(data)).pixels.shape == expected.shape
        read += 1
    assert read


def test_grey_and_cmyk_are_heard_too() -> None:
    for mode in ("L", "CMYK"):
        data = encode(photo().convert(mode), "JPEG", quality=90)
        np.testing.assert_array_equal(load(data).pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        assert load(damaged(data, "zeros")).remarks == (jpeg.DAMAGED,)
        assert load(data.removesuffix(END)).remarks == (jpeg.NO_END,)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS), st.integers(1, 300))
def test_any_damage_ends_in_a_photo_or_in_one_line(seed: int, options: dict[str, Any], count: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(encode(photo().resize((64, 48)), "JPEG", **options))
    start = int(random.integers(0, len(data)))
    data[start : start + count] = random.integers(0, 256, count, np.uint8).tobytes()
    try:
        found = load(bytes(data), max_pixels=10**7)
    except ImageError:
        return  # any other kind of error fails the test
    assert found.pixels.shape == (*found.size, 3)


def test_markers_that_belong_there_are_left_alone() -> None:
    for options in KINDS:
        assert jpeg.without_stray_markers(encoded(**options)) == encoded(**options)


def test_peculiar_kinds_are_named() -> None:
    """Of 12 bits, lossless, JPEG-LS: sound files, but not of a kind that is read."""
    import imagecodecs

    deep = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)
    for data, words in (
        (imagecodecs.jpeg8_encode(np.dstack([deep] * 3), bitspersample=12), "is a JPEG of 12 bits a channel"),
        (imagecodecs.ljpeg_encode(deep, bitspersample=12), "is a lossless JPEG"),
        (imagecodecs.jpegls_encode((deep >> 4).astype(np.uint8)), "is a JPEG-LS file"),
    ):
        with pytest.raises(ImageError, match=f"a.jpg: {words}, which is not read; save it as PNG"):
            load(bytes(data), name="a.jpg")
    assert jpeg.peculiar(encoded()) is None
