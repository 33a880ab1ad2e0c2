"""TIFFs of every kind: read as what they mean, or refused by name. Written by tifffile and Pillow."""

from __future__ import annotations

import io
import struct
import sys
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from attnviz.errors import ImageError
from attnviz.photo import deep, tiff
from attnviz.photo.glance import peek
from attnviz.photo.image import load

SIZE = (40, 60)


def shades() -> np.ndarray:
    """(40, 60, 3) from 0 to 1: a ramp along each axis and one across, alike under no flip or turn."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([x / 59, y / 39, (x + y) / 98], axis=-1)


def written(values: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    options = {"photometric": "minisblack" if values.ndim == 2 else "rgb", "metadata": None, **options}
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def check(data: bytes, expected: np.ndarray, off: float = 1, remarks: tuple[str, ...] = ()) -> None:
    """What is read is `expected`, 0 to 1, to so many of 255."""
    found = load(data)
    wanted = 255 * (expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=-1))
    assert found.size == wanted.shape[:2]
    assert np.abs(found.pixels - wanted).max() <= off
    assert found.remarks == remarks


ORDERS = pytest.mark.parametrize("order", ["<", ">"])


@ORDERS
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14, 16, 32])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_greys_of_any_depth(bits: int, photometric: str, order: str) -> None:
    grey = shades()[..., 2]
    most = 2**bits - 1
    values = np.rint(grey * most).astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)
    wanted = values / most if photometric == "minisblack" else 1 - values / most
    data = packed(values, bits, photometric, order) if bits % 8 and bits > 1 else b""
    check(
        data or written(values.astype(bool) if bits == 1 else values, photometric=photometric, byteorder=order), wanted
    )


def packed(values: np.ndarray, bits: int, photometric: str, order: Any) -> bytes:
    """Numbers of odd bits, the high ones first, each row from a whole byte on."""
    wide = values.astype(">u4").view(np.uint8).reshape(*SIZE, 4)
    rows = np.packbits(np.unpackbits(wide, axis=-1)[..., 32 - bits :].reshape(SIZE[0], -1), axis=-1)
    buffer = io.BytesIO(written(rows, photometric=photometric, byteorder=order))
    with tifffile.TiffFile(buffer, mode="r+") as file:
        tags = file.pages.first.tags
        tags["ImageWidth"].overwrite(SIZE[1])
        tags["BitsPerSample"].overwrite(bits)
        return buffer.getvalue()


@ORDERS
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_rgb_of_any_numbers_chunky_and_in_planes(dtype: str, planar: Any, order: Any) -> None:
    values = shades()
    numbers = values if dtype[0] == "f" else np.rint(values * (2.0 ** (8 * int(dtype[1])) - 1) * (1 - 1e-15))
    stored = numbers.astype(dtype)
    if planar == "separate":
        stored = np.moveaxis(stored, -1, 0)
    check(written(stored, planarconfig=planar, byteorder=order), values)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8"])
def test_signed_integers(dtype: str) -> None:
    """From 0 up, and over the whole range, 0 in the middle."""
    size = 8 * int(dtype[1])
    grey = shades()[..., 2]
    check(written(np.floor(grey * (2.0 ** (size - 1) - 1) * (1 - 1e-15)).astype(dtype)), grey, off=3)
    whole = np.clip(np.floor((grey - 0.5) * 2.0**size), -(2.0 ** (size - 1)), (2.0 ** (size - 1) - 1) * (1 - 1e-15))
    check(written(whole.astype(dtype)), grey, off=2)


def test_ranges_that_are_guessed_are_told() -> None:
    grey = shades()[..., 2]
    counts = np.rint(grey * 2_000_000).astype(np.uint32)
    check(written(counts), grey, remarks=(deep.GUESSED.format("0", "2,000,000"),))
    scan = np.rint(grey * 4000 - 1000).astype(np.int16)
    check(written(scan), grey, remarks=(deep.GUESSED.format("-1,000", "3,000"),))
    check(written((2 * grey - 1).astype(np.float32)), grey, remarks=(deep.GUESSED.format("-1", "1"),))
    check(written((grey * 255).astype(np.float32)), grey)
    check(written((grey * 200).astype(np.uint32)), grey * 200 / 255)  # 8 bits in a wide place
    check(written((1.02 * grey - 0.01).astype(np.float32)), grey, off=4)  # sharpened, say
    check(written((5 * grey).astype(np.float32)), grey, remarks=(deep.GUESSED.format("0", "5"),))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_floats_that_are_no_numbers_are_black(photometric: Any) -> None:
    values = np.full((2, 3), 0.25, np.float32)
    values[0] = np.nan, np.inf, -np.inf
    found = load(written(values, photometric=photometric)).pixels[..., 0]
    assert found[0].tolist() == [0, 0, 0]
    assert found[1].tolist() == [64 if photometric == "minisblack" else 191] * 3


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha", "unspecified"])
def test_alpha(extra: Any, colours: int, planar: Any, dtype: str) -> None:
    colour = shades()[..., :colours] * 0.9
    alpha = np.clip(shades()[..., 1:2] * 1.4 - 0.2, 0, 1)
    stored = colour * alpha if extra == "assocalpha" else colour
    most = {"u1": 255, "u2": 65535, "f4": 1}[dtype]
    values = np.concatenate([stored, alpha], axis=-1) * most
    values = (np.rint(values) if most > 1 else values).astype(dtype)
    if planar == "separate":
        values = np.moveaxis(values, -1, 0)
    data = written(
        values, photometric="rgb" if colours == 3 else "minisblack", planarconfig=planar, extrasamples=[extra]
    )
    expected = colour if extra == "unspecified" else colour * alpha + 1 - alpha
    check(data, np.broadcast_to(expected, (*SIZE, 3)) if colours == 1 else expected, off=3)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd", "lzma"])
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_compressions_predictors_and_tiles(dtype: str, tile: Any, predictor: bool, compression: Any) -> None:
    most = {"u1": 255, "u2": 65535, "f4": 1}[dtype]
    values = (np.rint(shades() * most) if most > 1 else shades()).astype(dtype)
    check(written(values, compression=compression, predictor=predictor, tile=tile), shades())


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_packbits(dtype: str) -> None:
    values = np.rint(shades() * (255 if dtype == "u1" else 65535)).astype(dtype)
    check(written(values, compression="packbits"), shades())


@pytest.mark.parametrize("compression", ["jpeg2000", "jpegxl", "png", "webp", "lerc"])
def test_compressions_that_libtiff_does_not_have(compression: Any) -> None:
    lossless = {} if compression in ("png", "lerc") else {"compressionargs": {"lossless": True}}
    if compression == "jpeg2000":
        lossless = {"compressionargs": {"reversible": True}}
    check(written(large(), compression=compression, **lossless), shades())


def test_bilevel_faxes() -> None:
    buffer = io.BytesIO()
    black = shades()[..., 2] > 0.5
    Image.fromarray(black).save(buffer, "TIFF", compression="group4")
    check(buffer.getvalue(), black.astype(float))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_cmyk_of_any_depth(dtype: str) -> None:
    inks = np.dstack([shades(), shades()[..., 0] * 0])
    values = inks if dtype == "f4" else np.rint(inks * (2.0 ** (8 * int(dtype[1])) - 1))
    check(written(values.astype(dtype), photometric="separated"), 1 - shades(), off=2)


@ORDERS
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_bigtiff(dtype: str, order: Any) -> None:
    most = {"u1": 255, "u2": 65535, "f4": 1}[dtype]
    values = (np.rint(shades() * most) if most > 1 else shades()).astype(dtype)
    check(written(values, bigtiff=True, byteorder=order), shades())


def test_palettes() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 256), np.uint16)
    indices = np.arange(2400, dtype=np.uint8).reshape(SIZE)
    data = written(indices, photometric="palette", colormap=colours * 257)
    check(data, np.moveaxis(colours[:, indices], 0, -1) / 255)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["cielab", "icclab"])
def test_lab(kind: Any, bits: int) -> None:
    from picture_files import lab

    numbers = lab(shades() * 200 + 20)
    scale, most = (1, 255) if bits == 8 else (256, 65535)
    values = np.rint(numbers * (most / 100, scale, scale))
    if kind == "icclab":
        values += (0, 128 * scale, 128 * scale)
    stored = (values.astype(np.int64) & most).astype(np.uint8 if bits == 8 else np.uint16)
    check(written(stored, photometric=kind), (shades() * 200 + 20) / 255, off=20)  # 8 bits of Lab are no finer


# Pages


def pages(*shown: tuple[np.ndarray, dict[str, Any]], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, **options) as file:
        for values, more in shown:
            file.write(values, photometric=more.pop("photometric", "rgb"), metadata=None, **more)
    return buffer.getvalue()


def small() -> np.ndarray:
    return np.full((16, 24, 3), 90, np.uint8)


def large(dtype: str = "u1") -> np.ndarray:
    return np.asarray(np.rint(shades() * (255 if dtype == "u1" else 65535)), dtype)


@ORDERS
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_thumbnail_in_front_is_passed_over(dtype: str, big: bool, order: Any) -> None:
    options = {"bigtiff": big, "byteorder": order}
    data = pages((small(), {"subfiletype": 1}), (large(dtype), {}), **options)
    check(data, shades())
    below = pages((small(), {"subfiletype": 1, "subifds": 1}), (large(dtype), {}), **options)
    check(below, shades())
    assert peek_of(below) == SIZE


def peek_of(data: bytes) -> tuple[int, int] | None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tif")
        path.write_bytes(data)
        return peek(path)


def test_the_first_of_several_pages_and_of_a_pyramid() -> None:
    other = np.zeros((80, 90, 3), np.uint8)
    check(pages((large(), {}), (other, {})), shades())
    check(pages((large(), {"subifds": 1}), (other, {"subfiletype": 1})), shades())
    mask = np.zeros((80, 90), bool)
    check(pages((mask, {"subfiletype": 4, "photometric": "minisblack"}), (large(), {})), shades())


def test_only_small_copies_leave_the_largest() -> None:
    check(pages((small(), {"subfiletype": 1}), (large(), {"subfiletype": 1})), shades())


def raw_file(preview: np.ndarray | None, orientation: int = 1) -> bytes:
    """As cameras write it: a thumbnail in front, below it a preview and what the sensor saw."""
    mosaic = np.zeros((600, 900), np.uint16)
    more: dict[str, Any] = {"extratags": [(50706, 1, 4, (1, 4, 0, 0), True), (274, 3, 1, orientation, True)]}
    children: list[tuple[np.ndarray, dict[str, Any]]] = [(mosaic, {"photometric": "cfa", "subfiletype": 0})]
    if preview is not None:
        children.append((preview, {"subfiletype": 1, "compression": "jpeg", "compressionargs": {"level": 95}}))
    return pages((small(), {"subfiletype": 1, "subifds": len(children), **more}), *children)


@pytest.mark.parametrize("orientation", [1, 6])
def test_of_a_cameras_raw_file_the_preview_is_read(orientation: int) -> None:
    preview = np.kron(large(), np.ones((8, 8, 1), np.uint8))
    found = load(raw_file(preview, orientation))
    upright = found.pixels if orientation == 1 else np.rot90(found.pixels)  # 6 stands for a turn to the right
    assert np.abs(upright[4::8, 4::8].astype(int) - large()).mean() < 6
    assert found.remarks == (tiff.CAMERA.format(480, 320),)


def directory(tags: dict[int, int]) -> bytes:
    """A directory of numbers, the last of its chain."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in sorted(tags.items()))
    return struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("orientation", [1, 8])
def test_previews_that_leave_their_size_to_their_jpeg(orientation: int) -> None:
    """As in NEF and ARW: a thumbnail, and below it a JPEG without a size, the sensor's mosaic, and a lossless JPEG."""
    import imagecodecs

    preview = np.kron(large(), np.ones((8, 8, 1), np.uint8))
    whole = io.BytesIO()
    Image.fromarray(preview).save(whole, "JPEG", quality=95)
    lossless = bytes(imagecodecs.ljpeg_encode(np.zeros((800, 900), np.uint16), bitspersample=14))
    data = bytearray(b"II*\0" + bytes(4))
    places = []
    for stream in (bytes(24 * 16 * 3), whole.getvalue(), lossless):
        places.append(len(data))
        data += stream + bytes(len(stream) % 2)
    below = (
        {254: 1, 259: 6, 513: places[1], 514: len(whole.getvalue())},
        {254: 0, 256: 900, 257: 600, 258: 16, 259: 1, 262: 32803, 273: places[0], 279: 1},
        {254: 0, 259: 6, 273: places[2], 279: len(lossless)},
    )
    starts = []
    for tags in below:
        starts.append(len(data))
        data += directory(tags)
    children = len(data)
    data += struct.pack("<3I", *starts)
    struct.pack_into("<I", data, 4, len(data))
    size = {254: 1, 256: 24, 257: 16, 258: 8, 259: 1, 262: 2, 273: places[0], 274: orientation, 277: 3, 279: 1152}
    first = directory({**size, 330: 0})
    data += first.replace(struct.pack("<HHII", 330, 4, 1, 0), struct.pack("<HHII", 330, 4, 3, children))
    found = load(bytes(data))
    upright = found.pixels if orientation == 1 else np.rot90(found.pixels, -1)  # 8 stands for a turn to the left
    assert np.abs(upright[4::8, 4::8].astype(int) - large()).mean() < 6
    assert found.remarks == (tiff.CAMERA.format(480, 320),)


def test_without_a_preview_a_raw_file_is_refused_by_name() -> None:
    for preview in (None, small()):
        with pytest.raises(ImageError, match="is a camera's raw file without a preview"):
            load(raw_file(preview), name="a.dng")


# Refused


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (np.zeros((5, *SIZE), np.uint16), {"photometric": "minisblack", "planarconfig": "separate"}, "5 x 16 bits"),
        (np.zeros((*SIZE, 3), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "3 x 8 bits"),
        (np.zeros(SIZE, np.complex64), {"photometric": "minisblack"}, "complex"),
        (np.zeros((4, *SIZE), np.uint8), {"photometric": "minisblack", "volumetric": True}, "4 layers deep"),
        (np.zeros((*SIZE, 3), np.uint16), {"photometric": "logluv"}, "LogLuv"),
        (np.zeros((*SIZE, 3), np.uint8), {"photometric": "ycbcr", "compression": "jpeg2000"}, "compression 34712"),
    ],
)
def test_what_is_no_photo_is_refused_with_what_it_is(values: np.ndarray, options: dict[str, Any], words: str) -> None:
    if options.pop("volumetric", False):
        options |= {"volumetric": True, "tile": (4, 16, 16)}
    with pytest.raises(ImageError) as caught:
        load(written(values, **options), name="a.tif")
    text = str(caught.value)
    assert text.startswith("a.tif: this kind of TIFF (")
    assert words in text
    assert text.endswith("is not supported; save it as PNG")


def test_wide_integers_of_odd_bits_are_refused() -> None:
    with pytest.raises(ImageError, match="grey, 24 bits"):
        load(packed(np.zeros(SIZE, np.uint32), 24, "minisblack", "<"))


def test_without_the_extra_the_rarer_kinds_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    check(written(large()), shades())
    check(written(large("u2")), shades())
    with pytest.raises(ImageError) as caught:
        load(written(shades().astype(np.float32)), name="a.tif")
    text = str(caught.value)
    assert "RGB, 3 x 32 floating-point bits" in text
    assert "pip install 'attnviz[tiff]'" in text


def test_a_sound_file_is_never_called_damaged() -> None:
    """Whatever tifffile can write is read or named."""
    for dtype in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"):
        for shape in (SIZE, (*SIZE, 2), (*SIZE, 3), (*SIZE, 4), (2, *SIZE), (3, *SIZE)):
            for photometric in ("minisblack", "miniswhite", "rgb", "separated"):
                planar = "separate" if shape[0] in (2, 3) else "contig"
                try:
                    data = written(np.zeros(shape, dtype), photometric=photometric, planarconfig=planar)
                except ValueError:
                    continue  # tifffile writes none of that
                try:
                    load(data)
                except ImageError as error:
                    assert "this kind of TIFF" in str(error), (dtype, shape, photometric)  # noqa: PT017


def test_libtiff_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(large()).save(buffer, "TIFF", compression="tiff_lzw")
    data = buffer.getvalue()
    for at in range(100, len(data), 61):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        try:
            load(bytes(damaged), max_pixels=10**7)
        except ImageError:
            continue
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
