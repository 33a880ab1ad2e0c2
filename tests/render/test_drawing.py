"""`draw` and `write` from end to end: what is in the folder, and what the pictures show."""

from __future__ import annotations

import errno
import io
import json
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from attnviz.errors import AttnvizError, ConfigError, ImageError, OutputError
from attnviz.photo.frame import Frame
from attnviz.photo.image import Photo
from attnviz.render import WRITERS, DrawOptions, draw, write
from attnviz.render.figure import FigureOptions
from attnviz.render.heatmap import BOTTOM
from attnviz.render.names import is_ours, slug, step_name
from attnviz.render.options import options_from
from attnviz.render.overlay import UNSEEN
from attnviz.render.pictures import Pictures
from attnviz.render.strip import BACKGROUND, MIN_WIDTH
from attnviz.render.writers import Job, Writer
from attnviz.trace import Trace
from attnviz.trace.meta import ImageInfo

WORDS = ("a", "dog", "runs")


def photo(size: tuple[int, int] = (60, 90), seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 of noise: any pixel that is painted shows."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


STILLS = ("png", "jpg", "webp-stills")  # a file for each step


def made_up(words: tuple[str, ...] = WORDS, size: tuple[int, int] = (60, 90), **fields: Any) -> Trace:
    """Steps of one bump each, on a 7x7 grid."""
    y, x = np.mgrid[:7, :7]
    maps = [np.exp(-((y - (1 + i) % 7) ** 2 + (x - (2 * i) % 7) ** 2) / 2) + 1e-4 for i in range(len(words))]
    weights = np.array([bump / bump.sum() for bump in maps], np.float32)
    return Trace(weights, words, **{"frame": Frame.stretch(size, (56, 56), (7, 7)), **fields})


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    files = draw(made_up(), photo(), out)
    stills = ["step-00-a.png", "step-01-dog.png", "step-02-runs.png"]
    expected = [*stills, "attention.gif", "overview.png", "trace.npz", "summary.json"]
    assert [path.name for path in files] == expected
    assert names(out) == set(expected)
    assert Trace.load(out / "trace.npz").tokens == WORDS
    with Image.open(out / "step-00-a.png") as image:
        assert image.size == (90, 60)


def test_the_summary(tmp_path: Path) -> None:
    draw(made_up(), photo(), tmp_path, formats=["gif"], scale="uniform", steps=[0, 2])
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["files"] == ["attention.gif", "trace.npz", "summary.json"]
    assert summary["trace"]["caption"] == "a dog runs"
    assert summary["options"]["scale"] == "linear"  # what "uniform" is called now
    assert summary["options"]["steps"] == [0, 2]
    assert str(tmp_path) not in json.dumps(summary)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    formats = [name for name in WRITERS if name != "mp4"]  # its own test needs PyAV
    one = draw(made_up(), photo(), tmp_path / "one", formats=formats, labels=True, fade=0.2, threads=1)
    many = draw(made_up(), photo(), tmp_path / "many", formats=formats, labels=True, fade=0.2, threads=4)
    assert [path.name for path in one] == [path.name for path in many]
    for left, right in zip(one, many, strict=True):
        assert left.read_bytes() == right.read_bytes(), left.name


def test_a_second_run_replaces_the_first_and_nothing_else(tmp_path: Path) -> None:
    draw(made_up(("one", "two", "three", "four")), photo(), tmp_path, formats=["png", "gif", "apng"])
    mine = {"notes.txt": b"mine", "step-07-mine.png": b"mine too", "attention.mp4": b"also mine"}
    for name, data in mine.items():
        (tmp_path / name).write_bytes(data)
    files = draw(made_up(), photo(), tmp_path)
    assert names(tmp_path) == {path.name for path in files} | set(mine)
    assert {name: (tmp_path / name).read_bytes() for name in mine} == mine


@pytest.mark.parametrize(
    "listed", ["../precious.txt", "/etc/passwd", "sub/step-00-a.png", "..", "", "notes.txt", 7, None, {}]
)
def test_a_tampered_list_deletes_nothing(tmp_path: Path, listed: object) -> None:
    out = tmp_path / "out"
    draw(made_up(), photo(), out)
    precious = [tmp_path / "precious.txt", out / "notes.txt", out / "sub" / "step-00-a.png"]
    (out / "sub").mkdir()
    for path in precious:
        path.write_text("keep")
    summary = json.loads((out / "summary.json").read_text())
    summary["files"].append(listed)
    (out / "summary.json").write_text(json.dumps(summary))
    draw(made_up(("x",)), photo(), out)
    assert all(path.read_text() == "keep" for path in precious)
    assert not (out / "step-01-dog.png").exists()


@pytest.mark.parametrize(
    "content", ["{}", "[]", "not json", '{"files": ["step-00-a.png"]}', '{"attnviz": 1, "files": 3}', ""]
)
def test_a_summary_of_another_program_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(OutputError, match="not written by attnviz"):
        draw(made_up(), photo(), tmp_path)
    assert names(tmp_path) == {"summary.json"}
    assert (tmp_path / "summary.json").read_text() == content


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format that runs out of disk after some bytes."""

    def fail(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setitem(WRITERS, "broken", Writer("fails", lambda pictures: iter([Job("attention.webp", fail)])))


@pytest.mark.usefixtures("broken")
def test_a_failure_leaves_the_earlier_run_as_it_was(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in draw(made_up(), photo(), tmp_path)}
    with pytest.raises(OutputError, match=r"attention\.webp: cannot be written: No space"):
        draw(made_up(("x", "y")), photo(), tmp_path, formats=["png", "gif", "broken"])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.usefixtures("broken")
def test_a_failure_leaves_no_new_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        draw(made_up(), photo(), tmp_path / "new" / "out", formats=["png", "broken"])
    assert names(tmp_path) == set()


def test_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        with pytest.raises(OutputError, match="file is a file; choose another") as caught:
            draw(made_up(), photo(), out)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_where_a_file_shall_be(tmp_path: Path) -> None:
    (tmp_path / "attention.gif").mkdir()
    with pytest.raises(OutputError, match=r"attention\.gif: is a folder"):
        draw(made_up(), photo(), tmp_path)
    assert names(tmp_path) == {"attention.gif"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            draw(made_up(), photo(), tmp_path / "out")
    finally:
        tmp_path.chmod(0o700)


@settings(deadline=None)
@given(token=st.text(max_size=400), step=st.integers(0, 200))
def test_file_names_are_safe_anywhere(token: str, step: int) -> None:
    name = step_name(step, token, 201, ".png")
    assert re.fullmatch(r"step-\d{3}-[^\x00-\x1f<>:\"/\\|?*. ]+\.png", name)
    assert len(name.encode()) <= 140
    assert name.startswith(f"step-{step:03d}-")
    assert is_ours(name)


def test_slugs() -> None:
    assert [slug(token) for token in ("dog", "C:\\con", "../..", "", "🐶", "na\u0308h", "it's")] == [
        "dog", "C-con", "word", "word", "word", "näh", "it-s",
    ]  # fmt: skip
    assert slug("नमस्ते") == "नमस्ते"
    assert len(slug("語" * 500).encode()) <= 100


@pytest.mark.parametrize(
    "name",
    ["../step-00-a.png", "step-00-a/b.png", "step-00-a.gif", "notes.txt", "STEP-00-a.png", "step-00-a.png\n", 3, None],
)
def test_what_is_not_ours(name: object) -> None:
    assert not is_ours(name)


def test_one_file_to_a_stream(tmp_path: Path) -> None:
    draw(made_up(), photo(), tmp_path, formats=["gif", "apng"])
    for name in ("gif", "apng"):
        out = io.BytesIO()
        write(made_up(), photo(), out, format=name)
        assert out.getvalue() == (tmp_path / f"attention.{name}").read_bytes()
    out = io.BytesIO()
    write(made_up(), photo(), out, format="png", steps=[1])
    assert Image.open(out).size == (90, 60)
    with pytest.raises(ConfigError, match="would be 3 files"):
        write(made_up(), photo(), io.BytesIO(), format="png")


class Pipe(io.RawIOBase):
    """A stream that cannot seek, such as a pipe."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(data)

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in (*STILLS, "mp4")])
def test_streams_need_not_seek(name: str) -> None:
    pipe = Pipe()
    write(made_up(), photo(), pipe, format=name)  # type: ignore[arg-type]
    assert len(pipe.data) > 1000


def test_a_closed_pipe_is_told_as_such() -> None:
    class Closed(io.BytesIO):
        def write(self, data: Any) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        write(made_up(), photo(), Closed())


@pytest.mark.parametrize(
    "options",
    [
        {"scale": "minmax"}, {"style": "jet"}, {"cmap": "nope"}, {"opacity": 1.5}, {"opacity": "x"}, {"size": 0},
        {"size": -3}, {"size": "big"}, {"size": 1.5}, {"steps": "3"}, {"steps": "2-1"}, {"steps": "4"}, {"steps": "a"},
        {"steps": ""}, {"steps": [3]}, {"steps": []}, {"steps": [-1]}, {"steps": [0.5]}, {"duration": 0},
        {"duration": float("nan")}, {"duration": 1e9}, {"last": -1}, {"fade": 5}, {"threads": 0}, {"colour": "red"},
        {"formats": ["bmp"]}, {"opacity": True}, {"steps": 3}, {"cmap": ["a"]},
        {"loop": "no"}, {"labels": "yes"}, {"cells": None}, {"loop": 1},
    ],
)  # fmt: skip
def test_bad_options_are_one_clear_line_and_write_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        draw(made_up(), photo(), tmp_path / "out", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_is_told_with_the_close_one() -> None:
    with pytest.raises(ConfigError, match=r"^draw has no option 'opasity'; did you mean opacity\?$"):
        options_from(DrawOptions, {"scale": "step", "opasity": 1}, "draw")
    with pytest.raises(ConfigError, match=r"^figure has no option 'zzz'; it has width, dpi, .*, difference$"):
        options_from(FigureOptions, {"zzz": 1}, "figure")  # and not `drawing`, which it makes itself
    assert options_from(DrawOptions, {"scale": "step"}, "draw") == DrawOptions(scale="step")


def test_numbers_of_numpy_are_as_good_as_any(tmp_path: Path) -> None:
    numbers: dict[str, Any] = {
        "opacity": np.float32(0.5),
        "duration": np.float32(0.5),
        "last": np.float64(1),
        "fade": np.int64(0),
    }
    draw(made_up(), photo(), tmp_path, formats=["png"], size=np.int64(45), threads=np.int32(1), **numbers)  # type: ignore[arg-type]
    options = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["options"]
    assert [options[name] for name in (*numbers, "size")] == [0.5, 0.5, 1.0, 0.0, 45]
    with Image.open(tmp_path / "step-00-a.png") as image:
        assert image.size == (45, 30)


def test_a_fade_longer_than_a_word_names_both() -> None:
    with pytest.raises(ConfigError, match=r"^fade: 0\.9 s is longer than duration, 0\.8 s"):
        DrawOptions(fade=0.9)


@pytest.mark.parametrize(
    ("steps", "chosen"),
    [(None, (0, 1, 2)), ("0-2", (0, 1, 2)), ("2,0", (0, 2)), ("1-", (1, 2)), (" 0 , 1-1 ", (0, 1)), ("1-9", (1, 2)),
     ([2, 0, 2], (0, 2)),
     (range(1, 3), (1, 2)), (np.array([1]), (1,))],
)  # fmt: skip
def test_chosen_steps(steps: Any, chosen: tuple[int, ...]) -> None:
    assert DrawOptions(steps=steps).chosen(3) == chosen


def test_only_chosen_steps_are_drawn_and_scaled(tmp_path: Path) -> None:
    trace = made_up()
    weights = trace.weights.copy()
    weights[1] = 0
    weights[1, 3, 3] = 1
    trace = Trace(weights, WORDS, frame=trace.frame)
    files = draw(trace, photo(), tmp_path, formats=["png"], steps="0,2")
    assert [path.name for path in files][:2] == ["step-00-a.png", "step-02-runs.png"]
    options = DrawOptions(steps=(0, 2), scale="shared")
    assert Pictures(trace, Photo(photo(), "x", None), options).scales[0].top < 49


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (10, 3000), (3000, 10), (37, 41)])
@pytest.mark.parametrize("style", ["heat", "spotlight", "contour"])
def test_photos_of_any_shape(tmp_path: Path, size: tuple[int, int], style: str) -> None:
    trace = made_up(size=size)
    formats = ["png", "gif", "apng", "webp"]
    draw(trace, photo(size), tmp_path, formats=formats, style=style, size=400, scale="step")
    scale = min(1, 400 / max(size))
    expected = max(round(size[1] * scale), 1), max(round(size[0] * scale), 1)
    for name in ("attention.gif", "attention.apng", "attention.webp", "step-01-dog.png"):
        with Image.open(tmp_path / name) as image:
            assert image.width == max(expected[0], MIN_WIDTH)
            assert image.height > expected[1]


def test_the_size_is_a_limit_and_never_enlarges(tmp_path: Path) -> None:
    for size, expected in (
        (45, (45, 30)),
        (1280, (90, 60)),
        ("original", (90, 60)),
        (None, (90, 60)),
        ("30", (30, 20)),
    ):
        path = draw(made_up(), photo(), tmp_path, formats=["png"], size=size)[0]
        with Image.open(path) as image:
            assert image.size == expected


def test_a_large_photo_is_drawn_at_its_own_size_if_asked(tmp_path: Path) -> None:
    size = (900, 1500)
    path = draw(made_up(("a",), size=size), photo(size), tmp_path, formats=["png"], size="original")[0]
    with Image.open(path) as image:
        assert image.size == (1500, 900)


def test_unlabelled_pictures_are_the_overlay_alone_and_untouched_below_the_threshold(tmp_path: Path) -> None:
    pixels = photo()
    trace = made_up()
    path = draw(trace, pixels, tmp_path, formats=["png"])[0]
    drawn = np.asarray(Image.open(path))
    clear = trace.heatmap(0) < BOTTOM
    assert 0 < clear.mean() < 1
    np.testing.assert_array_equal(drawn[clear], pixels[clear])
    assert (drawn[~clear] != pixels[~clear]).any(axis=1).mean() > 0.8


def test_cells_are_drawn_as_they_are(tmp_path: Path) -> None:
    """On a grey photo each cell is one colour."""
    size = (70, 70)
    grey = np.full((*size, 3), 128, np.uint8)
    drawn = np.asarray(Image.open(draw(made_up(size=size), grey, tmp_path, formats=["png"], cells=True)[0]))
    for row in range(7):
        for column in range(7):
            cell = drawn[10 * row : 10 * row + 10, 10 * column : 10 * column + 10].reshape(-1, 3)
            assert len(np.unique(cell, axis=0)) == 1


@pytest.mark.parametrize("style", ["heat", "contour"])
def test_the_border_outside_a_centre_crop_is_dimmed_and_uncoloured(tmp_path: Path, style: str) -> None:
    size = (60, 120)
    frame = Frame.crop(size, (56, 56), (7, 7))
    pixels = photo(size)
    weights = np.full((1, 7, 7), 1 / 49, np.float32)
    weights[0, :, 0] += 1
    trace = Trace(weights / weights.sum(), ("a",), frame=frame)
    drawn = np.asarray(Image.open(draw(trace, pixels, tmp_path, formats=["png"], style=style)[0]))
    seen = frame.seen()
    assert 0.4 < seen.mean() < 0.6
    np.testing.assert_array_equal(drawn[~seen], np.rint(pixels[~seen] * UNSEEN))
    assert (drawn[seen] != pixels[seen]).any()


def test_a_step_scale_says_so_on_every_picture(tmp_path: Path) -> None:
    """PNGs get a strip with a colour bar even where no labels are asked for."""
    for scale, taller in (("log", False), ("linear", False), ("shared", False), ("step", True)):
        with Image.open(draw(made_up(), photo(), tmp_path, formats=["png"], scale=scale)[0]) as image:
            assert (image.height > 60) == taller


def test_labels_are_the_strip_of_the_animation(tmp_path: Path) -> None:
    draw(made_up(), photo(), tmp_path, formats=["png", "apng"], labels=True)
    with Image.open(tmp_path / "attention.apng") as moving, Image.open(tmp_path / "step-01-dog.png") as still:
        moving.seek(1)
        np.testing.assert_array_equal(np.asarray(moving.convert("RGB")), np.asarray(still))


def test_small_photos_stand_in_the_middle_of_the_strip(tmp_path: Path) -> None:
    size = (40, 50)
    with Image.open(draw(made_up(size=size), photo(size), tmp_path, formats=["png"], labels=True)[0]) as image:
        pixels = np.asarray(image)
    left = (MIN_WIDTH - 50) // 2
    assert (pixels[:40, :left] == BACKGROUND).all()
    assert (pixels[:40, left + 50 :] == BACKGROUND).all()


def test_a_trace_without_a_frame_covers_the_whole_photo() -> None:
    framed, bare = made_up(), made_up(frame=None)
    left, right = (Pictures(trace, Photo(photo(), "x", None), DrawOptions()) for trace in (framed, bare))
    np.testing.assert_array_equal(left.picture(1), right.picture(1))


def test_a_resized_copy_of_the_photo_will_do_but_not_another() -> None:
    trace = made_up(size=(600, 900))
    assert Pictures(trace, Photo(photo((60, 90)), "x", None), DrawOptions()).size == (60, 90)
    assert Pictures(made_up(size=(3024, 4032)), Photo(photo((53, 71)), "x", None), DrawOptions()).size == (53, 71)
    with pytest.raises(ImageError, match="90x70 pixels, but the trace was made from a photo of 900x600"):
        Pictures(trace, Photo(photo((70, 90)), "x", None), DrawOptions())


def test_fades_mix_neighbouring_steps() -> None:
    pictures = Pictures(made_up(), Photo(photo(), "x", None), DrawOptions(fade=0.2, duration=0.8, last=2))
    stills = pictures.stills
    assert [still.index for still in stills] == [0] + [1] * 5 + [2] * 5
    assert [still.milliseconds for still in stills if still.index == 1] == [50, 50, 50, 50, 600]
    assert sum(still.milliseconds for still in stills) == 800 + 800 + 2000
    half = pictures.density(1, 0.5)
    np.testing.assert_allclose(half, (pictures.density(0) + pictures.density(1)) / 2, rtol=1e-5, atol=1e-5)


def test_a_single_step_and_sixty(tmp_path: Path) -> None:
    for count in (1, 60):
        words = tuple(f"word{index}" for index in range(count))
        files = draw(made_up(words), photo(), tmp_path, formats=["png", "gif"])
        assert len(files) == count + 3
        with Image.open(tmp_path / "attention.gif") as image:
            assert getattr(image, "n_frames", 1) == count


def test_names_that_are_no_unicode_do_not_stop_the_summary(tmp_path: Path) -> None:
    """A file name of bytes that are no text reaches Python as lone surrogates."""
    trace = made_up(("🐶", "b"), image=ImageInfo("\udce9.jpg", (60, 90)))
    draw(trace, photo(), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["trace"]["caption"] == "🐶 b"


def test_bad_photos_raise_our_errors(tmp_path: Path) -> None:
    for source in (tmp_path / "missing.jpg", b"", b"no image", 3):
        with pytest.raises(AttnvizError):
            draw(made_up(), source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
