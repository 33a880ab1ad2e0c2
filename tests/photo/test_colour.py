"""Colours of every space, in every kind of file, as the sRGB that they mean; by formulas of our own in numpy."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import (
    ADOBE,
    P3,
    PROPHOTO,
    SPACES,
    as_srgb,
    cmyk_profile,
    decoded,
    encode,
    encoded,
    grey_profile,
    ink_mix,
    lab,
    png,
    rgb_profile,
)
from PIL import Image, ImageCms

from attnviz.photo import colour
from attnviz.photo.glance import small
from attnviz.photo.image import load

LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True, "exact": True}}
LOSSY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 98, "subsampling": 0},
    "AVIF": {"quality": 98, "subsampling": "4:4:4"},
    "HEIF": {"quality": 98, "chroma": 444},
}


@pytest.fixture(scope="module", autouse=True)
def heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()  # so that Pillow writes it; what reads it here needs no such thing


def patches() -> np.ndarray:
    """(64, 96, 3): 24 flat colours, the primaries and greys among them."""
    steps = np.random.default_rng(3).integers(0, 256, (4, 6, 3), np.uint8)
    steps[0, :5] = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128, 128, 128)]
    return np.repeat(np.repeat(steps, 16, 0), 16, 1)


def middles(pixels: np.ndarray) -> np.ndarray:
    """The patches' colours, away from their edges."""
    return pixels[8::16, 8::16].astype(float)


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize("name", SPACES)
def test_rgb_spaces(kind: str, name: str) -> None:
    pixels, space = patches(), SPACES[name]
    data = encode(Image.fromarray(pixels), kind, icc_profile=rgb_profile(space), **{**LOSSLESS, **LOSSY}[kind])
    photo = load(data)
    expected = as_srgb(middles(pixels) / 255, space)
    # A slip of lossy kinds counts for more where the space is wider than sRGB.
    assert np.abs(middles(photo.pixels) - expected).max() <= (2 if kind in LOSSLESS else 14)
    assert np.abs(middles(photo.pixels) - expected).mean() <= (0.5 if kind in LOSSLESS else 2)
    assert photo.remarks == ()
    plain = load(encode(Image.fromarray(pixels), kind, **{**LOSSLESS, **LOSSY}[kind]))
    assert np.abs(middles(plain.pixels) - expected).mean() > 5  # the test tells them apart


def test_the_profile_of_a_pil_image_counts_too() -> None:
    with Image.open(io.BytesIO(encode(Image.fromarray(patches()), "PNG", icc_profile=rgb_profile(P3)))) as image:
        assert np.abs(middles(load(image).pixels) - as_srgb(middles(patches()) / 255, P3)).max() <= 2


def test_palettes_and_transparency() -> None:
    pixels = patches()
    palette = Image.fromarray(pixels).quantize(64)
    flat = np.asarray(palette.convert("RGB"))
    photo = load(encode(palette, "PNG", icc_profile=rgb_profile(PROPHOTO)))
    assert np.abs(middles(photo.pixels) - as_srgb(middles(flat) / 255, PROPHOTO)).max() <= 2
    clear = np.dstack([pixels, np.full(pixels.shape[:2], 102, np.uint8)])
    photo = load(encode(Image.fromarray(clear), "PNG", icc_profile=rgb_profile(PROPHOTO)))
    mixed = 0.4 * as_srgb(middles(pixels) / 255, PROPHOTO) + 0.6 * 255
    assert np.abs(middles(photo.pixels) - mixed).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    inks = np.array([[int(bit) for bit in f"{number:04b}"] for number in range(16)]).reshape(4, 4, 4)
    pixels = np.repeat(np.repeat(inks * 255, 16, 0), 16, 1).astype(np.uint8)
    image = Image.frombytes("CMYK", (64, 64), pixels.tobytes())
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    found = load(encode(image, kind, icc_profile=cmyk_profile(), **options))
    assert np.abs(middles(found.pixels) - ink_mix(inks)).max() <= 6
    assert found.remarks == ()
    assert np.abs(middles(load(encode(image, kind, **options)).pixels) - ink_mix(inks)).mean() > 10


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_grey(kind: str) -> None:
    grey = np.repeat(np.repeat(np.arange(0, 256, 17, dtype=np.uint8).reshape(4, 4), 16, 0), 16, 1)
    options = {"quality": 98} if kind == "JPEG" else {}
    photo = load(encode(Image.fromarray(grey), kind, icc_profile=grey_profile(1.0), **options))
    expected = encoded(middles(grey) / 255)[..., None]
    assert np.abs(middles(photo.pixels) - expected).max() <= 4
    # A grey photo that names an RGB space is the grey axis of that space.
    photo = load(encode(Image.fromarray(grey), kind, icc_profile=rgb_profile(PROPHOTO), **options))
    expected = as_srgb(np.repeat(middles(grey)[..., None] / 255, 3, axis=-1), PROPHOTO)
    assert np.abs(middles(photo.pixels) - expected).max() <= 4
    assert photo.remarks == ()


def test_lab_without_and_with_a_profile_that_does_not_fit() -> None:
    pixels = patches()
    numbers = np.rint(lab(pixels) * (2.55, 1, 1)).astype(np.int16)
    image = Image.frombytes("LAB", (96, 64), numbers.astype(np.uint8).tobytes())  # a and b with their signs
    photo = load(encode(image, "TIFF"))
    assert np.abs(middles(photo.pixels) - middles(pixels)).mean() <= 3  # 8 bits of Lab are no finer
    odd = load(encode(image, "TIFF", icc_profile=rgb_profile(ADOBE)))
    np.testing.assert_array_equal(odd.pixels, photo.pixels)
    assert odd.remarks == (colour.MISFIT.format("RGB", "Lab"),)


def test_srgb_profiles_change_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in LOSSLESS:
        data = encode(Image.fromarray(pixels), kind, icc_profile=own, **LOSSLESS[kind])
        np.testing.assert_array_equal(load(data).pixels, pixels)
    plain = encode(Image.fromarray(pixels), "JPEG")
    marked = encode(Image.fromarray(pixels), "JPEG", icc_profile=own)
    np.testing.assert_array_equal(load(marked).pixels, load(plain).pixels)


def test_each_profile_has_its_own_intent() -> None:
    """Under the absolute intent white paper stays as yellow as it is; under the others it becomes white."""
    yellowish = rgb_profile(P3, intent=3, kind=b"scnr")
    paper = struct.pack(">iii", 62000, 65536, 40000)  # the media's white
    at = yellowish.index(b"XYZ \0\0\0\0", 132)
    yellowish = yellowish[: at + 8] + paper + yellowish[at + 20 :]
    white = Image.new("RGB", (4, 4), "white")
    assert load(encode(white, "PNG", icc_profile=yellowish)).pixels[0, 0, 2] < 220
    relative = yellowish[:64] + struct.pack(">I", 1) + yellowish[68:]
    assert load(encode(white, "PNG", icc_profile=relative)).pixels.min() >= 254


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("profile", [b"no profile at all", rgb_profile(P3)[:200], rgb_profile(P3)[:128] + bytes(300)])
def test_broken_profiles_are_left_out_and_told(kind: str, profile: bytes) -> None:
    options = LOSSLESS.get(kind, {})
    plain = load(encode(Image.fromarray(patches()), kind, **options))
    photo = load(encode(Image.fromarray(patches()), kind, icc_profile=profile, **options))
    np.testing.assert_array_equal(photo.pixels, plain.pixels)
    assert photo.remarks == (colour.BROKEN,)


def test_large_profiles_of_pngs_are_read() -> None:
    """As printers and scanners have them; Pillow by itself refuses a file with more than a megabyte."""
    large = rgb_profile(PROPHOTO)
    large = struct.pack(">I", 2**21) + large[4:] + bytes(2**21 - len(large))
    photo = load(png(patches(), iCCP=b"p\0\0" + zlib.compress(large)))
    assert np.abs(middles(photo.pixels) - as_srgb(middles(patches()) / 255, PROPHOTO)).max() <= 2


def test_profiles_in_pieces_that_do_not_fit_together() -> None:
    data = encode(Image.fromarray(patches()), "JPEG", icc_profile=rgb_profile(P3))
    at = data.index(b"ICC_PROFILE\0") + 12
    assert load(data[: at + 1] + b"\7" + data[at + 2 :]).remarks == (colour.BROKEN,)


@pytest.mark.parametrize(
    ("mode", "profile", "words"),
    [
        ("RGB", cmyk_profile(), ("CMYK", "RGB")),
        ("RGB", grey_profile(1.0), ("grey", "RGB")),
        ("L", cmyk_profile(), ("CMYK", "grey")),
        ("CMYK", rgb_profile(P3), ("RGB", "CMYK")),
    ],
)
def test_profiles_of_the_wrong_space(mode: str, profile: bytes, words: tuple[str, str]) -> None:
    image = Image.fromarray(patches()).convert(mode)
    plain, photo = load(encode(image, "JPEG")), load(encode(image, "JPEG", icc_profile=profile))
    np.testing.assert_array_equal(photo.pixels, plain.pixels)
    assert photo.remarks == (colour.MISFIT.format(*words),)


def gama(value: float) -> bytes:
    return struct.pack(">I", round(value * 100000))


def chrm(*numbers: float) -> bytes:
    return struct.pack(">8I", *(round(number * 100000) for number in numbers))


def test_png_colours_by_numbers() -> None:
    pixels = patches()
    linear = encoded(middles(pixels) / 255)
    assert np.abs(middles(load(png(pixels, gAMA=gama(1.0))).pixels) - linear).max() <= 2
    wide = chrm(*P3.white, *P3.red, *P3.green, *P3.blue)
    found = load(png(pixels, gAMA=gama(1 / 1.8), cHRM=wide))
    assert np.abs(middles(found.pixels) - as_srgb(middles(pixels) / 255, P3._replace(gamma=1.8))).max() <= 2
    # The sRGB chunk goes before them, and 1 / 2.2 is how files without it say sRGB.
    usual = chrm(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
    same: list[dict[str, Any]] = [
        {"sRGB": b"\0", "gAMA": gama(1.0)},
        {"gAMA": gama(0.45455), "cHRM": usual},
        {"cHRM": usual},
    ]
    for chunks in same:
        np.testing.assert_array_equal(load(png(pixels, **chunks)).pixels, pixels)
    odd = load(png(pixels, gAMA=gama(0.5), cHRM=chrm(*[0.3] * 8)))
    np.testing.assert_array_equal(odd.pixels, pixels)
    assert odd.remarks == (colour.BROKEN,)


def test_code_points() -> None:
    pixels = patches()
    srgb_curve = as_srgb(decoded(middles(pixels)), P3._replace(gamma=1))
    assert np.abs(middles(load(png(pixels, cICP=bytes((12, 13, 0, 1)))).pixels) - srgb_curve).max() <= 2
    np.testing.assert_array_equal(load(png(pixels, cICP=bytes((1, 13, 0, 1)))).pixels, pixels)
    assert load(png(pixels, cICP=bytes((9, 16, 0, 1)))).remarks == (colour.HDR,)
    avif = bytearray(encode(Image.fromarray(pixels), "AVIF", **LOSSY["AVIF"]))
    at = avif.index(b"colrnclx") + 8
    plain = middles(load(bytes(avif)).pixels)
    avif[at : at + 4] = struct.pack(">HH", 12, 13)
    found = middles(load(bytes(avif)).pixels)
    assert np.abs(found - as_srgb(decoded(plain), P3._replace(gamma=1))).max() <= 2


def test_adobe_rgb_as_cameras_mark_it() -> None:
    pixels = patches()
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03", 2: b"0100"}
    photo = load(encode(Image.fromarray(pixels), "JPEG", exif=exif, **LOSSY["JPEG"]))
    assert np.abs(middles(photo.pixels) - as_srgb(middles(pixels) / 255, ADOBE)).mean() <= 2


def test_small_copies_have_the_photos_colours(tmp_path: Path) -> None:
    data = encode(Image.fromarray(patches()), "JPEG", icc_profile=rgb_profile(PROPHOTO), **LOSSY["JPEG"])
    (tmp_path / "a.jpg").write_bytes(data)
    found = small(tmp_path / "a.jpg", 96)
    assert found is not None
    assert np.abs(middles(found) - as_srgb(middles(patches()) / 255, PROPHOTO)).mean() <= 8
