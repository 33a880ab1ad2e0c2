"""Every format read back: by Pillow, numpy and PyAV, and by FFmpeg and ImageMagick where the machine has them."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from attnviz.errors import ConfigError
from attnviz.photo.frame import Frame
from attnviz.photo.image import Photo
from attnviz.render import WRITERS, DrawOptions
from attnviz.render.pictures import Pictures
from attnviz.render.writers import _palette, _png, gif, mp4
from attnviz.render.writers._png import AVERAGE, SUB, UP, Encoder, chunk, filter_rows, header
from attnviz.trace import Trace

SIZE = (150, 330)


def scenery(size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3) uint8: smooth shades with edges and a little noise, as photos are."""
    y, x = np.mgrid[: size[0], : size[1]]
    shades = np.stack([120 + 90 * np.sin(x / 40), 110 + 80 * np.cos(y / 30), 100 + 60 * np.sin((x + y) / 50)], axis=-1)
    shades[(y // 37 + x // 53) % 3 == 0] += 30
    return np.clip(shades + np.random.default_rng(0).normal(0, 2, shades.shape), 0, 255).astype(np.uint8)


def made_up(count: int = 4, size: tuple[int, int] = SIZE) -> Trace:
    random = np.random.default_rng(1)
    y, x = np.mgrid[:7, :7]
    maps = [np.exp(-((y - random.uniform(0, 6)) ** 2 + (x - random.uniform(0, 6)) ** 2)) + 1e-4 for _ in range(count)]
    weights = np.array([bump / bump.sum() for bump in maps], np.float32)
    logprobs = np.full(count, -0.5, np.float32)
    return Trace(
        weights, tuple(f"word{i}" for i in range(count)), logprobs, frame=Frame.stretch(size, (56, 56), (7, 7))
    )


def pictures(count: int = 4, shape: tuple[int, int] = SIZE, **options: Any) -> Pictures:
    return Pictures(made_up(count, shape), Photo(scenery(shape), "x", None), DrawOptions(**options))


def encoded(name: str, shown: Pictures) -> bytes:
    """The one file of a format."""
    (job,) = WRITERS[name].jobs(shown)
    out = io.BytesIO()
    job.write(out)
    return out.getvalue()


def frames(data: bytes) -> list[tuple[np.ndarray, float]]:
    """(pixels, milliseconds) of an animation's frames, by Pillow."""
    found = []
    with Image.open(io.BytesIO(data)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append((np.asarray(image.convert("RGB")), image.info["duration"]))
    return found


@pytest.mark.parametrize("name", ["gif", "apng", "webp"])
@pytest.mark.parametrize("fade", [0.0, 0.2])
def test_frames_and_durations(name: str, fade: float) -> None:
    shown = pictures(duration=0.7, last=1.83, fade=fade)
    found = frames(encoded(name, shown))
    assert [duration for _, duration in found] == [still.milliseconds for still in shown.stills]
    assert sum(duration for _, duration in found) == 3 * 700 + 1830
    assert len(found) == (4 if fade == 0 else 4 + 3 * 4)


@pytest.mark.parametrize("name", ["gif", "apng", "webp"])
def test_loops(name: str) -> None:
    for loop, expected in ((True, 0), (False, {"gif": None, "apng": 1, "webp": 1}[name])):
        with Image.open(io.BytesIO(encoded(name, pictures(loop=loop)))) as image:
            assert image.info.get("loop") == expected


def test_apng_holds_every_frame_exactly() -> None:
    shown = pictures(fade=0.1)
    for still, (pixels, _) in zip(shown.stills, frames(encoded("apng", shown)), strict=True):
        np.testing.assert_array_equal(pixels, shown.still(still))


def test_webp_holds_every_frame_nearly() -> None:
    shown = pictures()
    for still, (pixels, _) in zip(shown.stills, frames(encoded("webp", shown)), strict=True):
        error = pixels.astype(float) - shown.still(still)
        assert np.sqrt((error**2).mean()) < 8


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_webp_keeps_frames_that_hardly_differ(share: float) -> None:
    one, other = made_up(2).weights
    mixed = (1 - share) * one + share * other
    trace = Trace(np.stack([one, mixed, one, other, mixed]), ("a", "a", "a", "b", "a"))
    shown = Pictures(trace, Photo(scenery(), "x", None), DrawOptions(fade=0.4, duration=0.55, last=0.3))
    data = encoded("webp", shown)
    found = frames(data)
    assert [duration for _, duration in found] == [still.milliseconds for still in shown.stills]
    for still, (pixels, _) in zip(shown.stills, found, strict=True):
        error = pixels.astype(float) - shown.still(still)
        assert np.sqrt((error**2).mean()) < 8
    with Image.open(io.BytesIO(data)) as image:  # nothing shows through
        for number in range(len(found)):
            image.seek(number)
            assert image.convert("RGBA").getchannel("A").getextrema() == (255, 255)


def test_arrays_hold_the_heatmaps() -> None:
    shown = pictures(steps="1-2", size=165)
    with np.load(io.BytesIO(encoded("arrays", shown)), allow_pickle=False) as arrays:
        assert arrays["tokens"].tolist() == ["word1", "word2"]
        assert arrays["steps"].tolist() == [1, 2]
        assert arrays["density"].dtype == np.float32
        np.testing.assert_array_equal(arrays["density"], made_up().heatmaps([1, 2], (75, 165)))


def test_arrays_have_no_date() -> None:
    with zipfile.ZipFile(io.BytesIO(encoded("arrays", pictures()))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


# PNG


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 20)),
    seed=st.integers(0, 2**32 - 1),
    changed=st.tuples(st.integers(0, 69), st.integers(0, 69)),
)
def test_png_is_lossless_whatever_changed(size: tuple[int, int], seed: int, changed: tuple[int, int]) -> None:
    """Bands taken over from the base picture and bands encoded anew make one picture."""
    random = np.random.default_rng(seed)
    base = random.integers(0, 256, (*size, 3), np.uint8)
    pixels = base.copy()
    pixels[slice(*sorted(changed))] = random.integers(0, 256, 3)
    out = header(size) + chunk(b"IDAT", Encoder(base).idat(pixels)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(out))), pixels)


def test_png_takes_over_what_did_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    base = scenery()
    encoder = Encoder(base)
    rows: list[int] = []
    real = _png.filter_rows

    def watched(pixels: np.ndarray, start: int, stop: int, kind: int) -> np.ndarray:
        rows.append(start)
        return real(pixels, start, stop, kind)

    monkeypatch.setattr(_png, "filter_rows", watched)
    pixels = base.copy()
    pixels[70, 5] ^= 1
    encoder.idat(pixels)
    assert rows == [64]
    pixels[63, 5] ^= 1  # the last row of a band, which the next band's first row is filtered with
    rows.clear()
    encoder.idat(pixels)
    assert rows == [32, 64]


def unfiltered_by_loops(rows: np.ndarray) -> np.ndarray:
    """The reconstruction functions of the PNG specification (9.2), byte by byte."""
    out = np.zeros((rows.shape[0], rows.shape[1] - 1), np.uint8)
    for y in range(rows.shape[0]):
        for x in range(out.shape[1]):
            a = int(out[y, x - 3]) if x >= 3 else 0
            b = int(out[y - 1, x]) if y else 0
            predicted = {SUB: a, UP: b, AVERAGE: (a + b) // 2}[int(rows[y, 0])]
            out[y, x] = (int(rows[y, x + 1]) + predicted) % 256
    return out


@pytest.mark.parametrize("kind", [SUB, UP, AVERAGE])
def test_filters(kind: int) -> None:
    pixels = np.random.default_rng(kind).integers(0, 256, (9, 5, 3), np.uint8)
    np.testing.assert_array_equal(unfiltered_by_loops(filter_rows(pixels, 0, 9, kind)).reshape(pixels.shape), pixels)
    np.testing.assert_array_equal(filter_rows(pixels, 4, 9, kind), filter_rows(pixels, 0, 9, kind)[4:])


def test_png_is_about_as_small_as_pillow_makes_it() -> None:
    image = scenery((600, 800))
    ours = len(Encoder(image).idat(image))
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    assert ours < 1.25 * out.tell()


def test_png_looks_for_runs_where_there_are_some() -> None:
    data = b"aaabbbbccd"  # one a, and two b, follow two of their own
    assert _png.runs(data) == 0.3
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    even = np.full((64, 64, 3), 7, np.uint8)
    assert len(Encoder(noise).idat(noise)) < 1.01 * noise.nbytes
    assert len(Encoder(even).idat(even)) < 0.03 * even.nbytes


# GIF


def dithered_by_loops(pixels: np.ndarray) -> np.ndarray:
    """The points of the grid, a multiple of 5 in each channel, by way of which pixels get their colours."""
    out = np.empty_like(pixels)
    for y, x, channel in np.ndindex(pixels.shape):
        value = int(pixels[y, x, channel])
        shift = (_palette.PATTERN[y % 8, x % 8] - 0.5) * (5 if min(value, 255 - value) < 5 else 10)
        out[y, x, channel] = 5 * math.floor((value + shift) / 5 + 0.5)
    return out


def nearest_by_loops(pixels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    distances = [((pixels.astype(int) - colour) ** 2).sum(axis=-1) for colour in colours.astype(int)]
    return np.asarray(np.stack(distances).argmin(axis=0))


def test_the_pattern_is_even() -> None:
    """All 64 thresholds once, and any 2x2 block spreads over the whole range."""
    assert sorted((_palette.PATTERN * 64 - 0.5).ravel().tolist()) == list(range(64))
    for y in range(7):
        for x in range(7):
            assert np.ptp(_palette.PATTERN[y : y + 2, x : x + 2]) >= 0.5


def test_dithering_has_no_bias() -> None:
    """Over the 64 places of the pattern, the mean of what a value becomes is that value."""
    means = 5 * _palette.grid_steps().mean(axis=0)
    assert np.abs(means - np.arange(256)).max() <= 0.07  # 64 places are no finer
    assert (_palette.grid_steps()[:, [0, 255]] == [0, 51]).all()


def test_gif_shows_each_pixel_in_its_nearest_colour() -> None:
    shown = pictures(fade=0.1)
    palette = gif.Indexer(shown).palette
    rows, columns = shown.film.places[0]
    for still, (pixels, _) in list(zip(shown.stills, frames(encoded("gif", shown)), strict=True))[::3]:
        wanted = shown.still(still)
        wanted[rows, columns] = dithered_by_loops(wanted[rows, columns])
        np.testing.assert_array_equal(pixels, palette.colours[nearest_by_loops(wanted, palette.colours[:255])])


def test_gif_never_uses_the_clear_entry_for_a_colour() -> None:
    black = Pictures(made_up(), Photo(np.zeros((*SIZE, 3), np.uint8), "x", None), DrawOptions())
    for shown in (pictures(), black):
        assert gif.Indexer(shown).indices(shown.stills[1]).max() < _palette.CLEAR


def on_photo(pixels: np.ndarray, **options: Any) -> tuple[Pictures, list[np.ndarray]]:
    """The pictures of a photo, and the GIF's frames without their strip."""
    size = (pixels.shape[0], pixels.shape[1])
    shown = Pictures(made_up(3, size), Photo(pixels, "x", None), DrawOptions(**options))
    return shown, [found[shown.film.places[0]] for found, _ in frames(encoded("gif", shown))]


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (128, 128, 128), (253, 2, 99), (17, 130, 201)])
def test_gif_keeps_flat_areas_flat_and_exact(colour: tuple[int, int, int]) -> None:
    """Flat photos, and flat halves of others: where nothing is painted, each pixel is what it was."""
    flat = np.full((*SIZE, 3), colour, np.uint8)
    half = scenery()
    half[:, SIZE[1] // 2 :] = colour
    for photo in (flat, half):
        shown, found = on_photo(photo)
        for index, pixels in enumerate(found):
            still = shown.scales[index].levels(shown.density(index)) == 0
            still[:, : 0 if photo is flat else SIZE[1] // 2] = False
            assert still.sum() > 500
            assert (pixels[still] == colour).all()


def flat_by_loops(keys: np.ndarray) -> np.ndarray:
    """Pixels with their own colour 8 pixels to a side, and 8 above or below."""
    out = np.zeros(keys.shape, bool)
    height, width = keys.shape
    for y, x in np.ndindex(keys.shape):
        aside = any(0 <= at < width and keys[y, at] == keys[y, x] for at in (x - 8, x + 8))
        upright = any(0 <= at < height and keys[at, x] == keys[y, x] for at in (y - 8, y + 8))
        out[y, x] = aside and upright
    return out


@settings(deadline=None, max_examples=30)
@given(st.tuples(*[st.tuples(st.integers(0, 39), st.integers(0, 39))] * 2), st.integers(0, 2**32 - 1))
def test_what_is_flat_in_a_part_is_flat_in_the_whole(ends: tuple[tuple[int, int], ...], seed: int) -> None:
    part = tuple(slice(min(pair), max(pair) + 1) for pair in ends)
    keys = np.random.default_rng(seed).integers(0, 2, (40, 40)).astype(np.uint32)
    assert (_palette.flat_part(keys, (part[0], part[1])) == flat_by_loops(keys)[part]).all()


def test_gif_keeps_cells_flat() -> None:
    """Of the bare grid on a flat photo, each cell is of one colour."""
    shown, found = on_photo(np.full((140, 140, 3), 200, np.uint8), cells=True)
    for still, pixels in zip(shown.stills, found, strict=True):
        wanted = shown.still(still)[shown.film.places[0]]
        assert np.abs(pixels.astype(int) - wanted).max() <= 12
        for y in range(0, 140, 20):
            for x in range(0, 140, 20):
                assert len(np.unique(pixels[y : y + 20, x : x + 20].reshape(-1, 3), axis=0)) == 1


def test_gif_is_as_bright_as_the_photo() -> None:
    path = Path(__file__).parents[2] / "sample_images" / "dog.jpg"
    with Image.open(path) as image:
        image.thumbnail((480, 480))
        photo = np.asarray(image.convert("RGB"))
    shown, found = on_photo(photo)
    for still, pixels in zip(shown.stills, found, strict=True):
        error = pixels.astype(float) - shown.still(still)[shown.film.places[0]]
        assert np.abs(error.mean(axis=(0, 1))).max() <= 0.5
        assert np.sqrt((error**2).mean()) < 8


def test_gif_does_not_flicker_where_the_model_does_not_look() -> None:
    shown = pictures(6)
    found = [pixels for pixels, _ in frames(encoded("gif", shown))]
    assert found[0].shape[1] == SIZE[1], "no margins beside the photo"
    clear = [shown.scales[i].levels(shown.density(i)) == 0 for i in range(6)]
    compared = 0
    for i in range(6):
        for j in range(i):
            both = clear[i] & clear[j]
            compared += int(both.sum())
            np.testing.assert_array_equal(found[i][: SIZE[0]][both], found[j][: SIZE[0]][both])
    assert compared > 1000


def test_gif_is_no_larger_than_pillows() -> None:
    shown = pictures(6)
    images = [Image.fromarray(shown.still(still)) for still in shown.stills]
    out = io.BytesIO()
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=800, loop=0)
    assert len(encoded("gif", shown)) <= out.tell()


@pytest.mark.parametrize("name", ["gif", "apng"])
def test_equal_frames_keep_their_places(name: str) -> None:
    weights = np.full((3, 7, 7), 1 / 49, np.float32)
    trace = Trace(weights, ("a", "a", "a"), frame=Frame.stretch(SIZE, (56, 56), (7, 7)))
    shown = Pictures(trace, Photo(scenery(), "x", None), DrawOptions(fade=0.1))
    assert len(frames(encoded(name, shown))) == len(shown.stills) == 7


@given(height=st.integers(1, 40), width=st.integers(1, 40), colours=st.integers(1, 256), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_lzw(height: int, width: int, colours: int, seed: int) -> None:
    indices = np.random.default_rng(seed).integers(0, colours, (height, width), np.uint8)
    screen = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    greys = bytes(value for value in range(256) for _ in range(3))
    data = b"GIF89a" + screen + b"\xf7\0\0" + greys + b"\x2c\0\0\0\0" + screen + b"\0" + gif.lzw(indices) + b"\x3b"
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("L")), indices)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="FFmpeg is not installed")
@pytest.mark.parametrize("name", ["gif", "apng"])
def test_ffmpeg_reads_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"attention.{name}"
    path.write_bytes(encoded(name, pictures(5)))
    command = [
        "ffprobe",
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
        str(path),
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip().strip(",") == "5"
    assert found.stderr == ""


@pytest.mark.skipif(shutil.which("identify") is None, reason="ImageMagick is not installed")
def test_imagemagick_reads_the_gif(tmp_path: Path) -> None:
    path = tmp_path / "attention.gif"
    path.write_bytes(encoded("gif", pictures(5, duration=0.6, last=2)))
    found = subprocess.run(["identify", "-format", "%T ", path], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["60", "60", "60", "60", "200"]


@pytest.mark.parametrize(("name", "limit"), [("gif", 65_535), ("webp", 16_383)])
def test_sides_beyond_the_format_are_refused(name: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = pictures()
    monkeypatch.setattr(Pictures, "empty_still", np.zeros((1, limit + 1, 3), np.uint8))
    with pytest.raises(ConfigError, match=f"{limit + 1} pixels is more than {limit}; give a smaller size"):
        encoded(name, shown)


# MP4


def test_without_pyav_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ConfigError, match=r"pip install 'attnviz\[video\]'"):
        encoded("mp4", pictures())


def of_bt709(frame: Any) -> np.ndarray:
    """(H, W, 3): a frame as the standard has it (ITU-R BT.709, limited range), whatever the reader takes it for."""
    height, width = frame.height, frame.width
    samples = frame.to_ndarray(format="yuv420p").ravel().astype(float)
    luma, blue, red = np.split(samples, [height * width, height * width * 5 // 4])
    y = (luma.reshape(height, width) - 16) / 219
    cb, cr = ((half.reshape(height // 2, width // 2).repeat(2, 0).repeat(2, 1) - 128) / 224 for half in (blue, red))
    rgb = np.stack([y + 1.5748 * cr, y - 0.1873 * cb - 0.4681 * cr, y + 1.8556 * cb], 2)
    return np.asarray(np.rint(rgb.clip(0, 1) * 255))


@pytest.mark.parametrize("size", [(150, 330), (151, 331)])
def test_mp4(size: tuple[int, int]) -> None:
    av = pytest.importorskip("av")
    shown = pictures(shape=size, duration=0.5, last=1.2)
    data = encoded("mp4", shown)
    with av.open(io.BytesIO(data)) as container:
        video = container.streams.video[0]
        assert video.width % 2 == video.height % 2 == 0
        found = [(float(frame.time), of_bt709(frame)) for frame in container.decode(video)]
        assert float(video.duration * video.time_base) == pytest.approx(3 * 0.5 + 1.2, abs=0.01)
    for index, still in enumerate(shown.stills):
        expected = shown.still(still)
        pixels = next(pixels for time, pixels in reversed(found) if time <= 0.5 * index + 0.25)
        error = pixels[: expected.shape[0], : expected.shape[1]].astype(float) - expected
        assert np.sqrt((error**2).mean()) < 9
        assert np.abs(error.mean(axis=(0, 1))).max() < 1, "no shift of colours"
    assert encoded("mp4", pictures(shape=size, duration=0.5, last=1.2, threads=1)) == data
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first"


def test_even_sides() -> None:
    pixels = scenery((5, 7))
    assert mp4.even(pixels).shape == (6, 8, 3)
    np.testing.assert_array_equal(mp4.even(pixels)[:5, :7], pixels)
    assert mp4.even(scenery((6, 8))).shape == (6, 8, 3)
