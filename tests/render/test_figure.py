"""Figures: what is on the page, at which size, on which scale, and that saved files keep their promises."""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

import attnviz
from attnviz import Frame, Trace
from attnviz.errors import ConfigError, ImageError, TraceError
from attnviz.render.figure import FigureOptions, Page, figure
from attnviz.render.figure.layout import TALLEST, Block, Measures, arrange
from attnviz.render.figure.options import inches
from attnviz.render.figure.panels import Arms
from attnviz.render.heatmap import Scale

WORDS = ("a", "dog", "chases", "another", "dog")
SIZE = (40, 60)

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")


def trace(words: tuple[str, ...] = WORDS, mode: str = "concat", seed: int = 0, **changes: Any) -> Trace:
    weights = np.random.default_rng(seed).dirichlet(np.full(12, 0.2), len(words)).astype(np.float32)
    made = Trace(weights.reshape(-1, 3, 4), words, frame=Frame.stretch(SIZE, (32, 32), (3, 4)), mode=mode, model="m")
    return dataclasses.replace(made, **changes)


def panels(page: Page) -> list[Any]:
    """The axes that show a photo, without the bars."""
    return [axes for axes in page.axes if list(axes.images[0].get_extent()) == [0, SIZE[1], SIZE[0], 0]]


def picture(axes: Any) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def texts(page: Page) -> list[str]:
    return [text.get_text() for text in page.texts]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def saved(page: Page, name: str) -> Path:
        page.savefig(tmp_path / name)
        return tmp_path / name

    return saved


def run(*command: object) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def test_the_photo_and_a_panel_a_word_with_the_word_above_it(pixels: np.ndarray) -> None:
    page = attnviz.figure(trace(), pixels, columns=3)
    assert [axes.get_title() for axes in panels(page)] == ["photo", *WORDS]
    places = [axes.get_position() for axes in panels(page)]
    assert len({round(place.y0, 6) for place in places}) == 2
    assert [place.x0 for place in places[:3]] == [place.x0 for place in places[3:]]
    assert len(page.axes) == len(places) + 1  # and one colour bar
    assert "attention, times uniform" in texts(page)


def test_panels_are_painted_as_the_pictures_of_draw_are(pixels: np.ndarray) -> None:
    """At the photo's own size a panel is the overlay that `draw` writes, bit for bit."""
    from attnviz.photo.image import Photo
    from attnviz.render import DrawOptions
    from attnviz.render.pictures import Pictures

    for style in ("heat", "spotlight", "contour"):
        page = figure(trace(), pixels, width=1.0, dpi=60, columns=1, style=style)
        drawn = Pictures(trace(), Photo(pixels, "p", None), DrawOptions(style=style))
        assert (picture(panels(page)[0]) == pixels).all()
        for index, axes in enumerate(panels(page)[1:]):
            np.testing.assert_array_equal(picture(axes), drawn.overlay(index))


def test_a_panel_has_as_many_dots_as_were_asked_for(pixels: np.ndarray) -> None:
    page = figure(trace(), pixels, width="85mm", dpi=300, columns=3)
    for axes in panels(page):
        box = axes.get_window_extent()
        assert picture(axes).shape[:2] == (round(box.height), round(box.width))
        np.testing.assert_allclose(box.extents, np.rint(box.extents), atol=1e-3)  # on whole dots: nothing is resampled
    image = np.asarray(Image.open(io.BytesIO(page.to_bytes("png"))))
    box = panels(page)[1].get_window_extent()
    top, left = round(image.shape[0] - box.y1), round(box.x0)
    shown = image[top : top + round(box.height), left : left + round(box.width), :3]
    np.testing.assert_array_equal(shown, picture(panels(page)[1]))


def test_one_scale_for_all_photos_and_rows(pixels: np.ndarray) -> None:
    one, sharp = trace(), trace(seed=1, mode="dot")
    alone = picture(panels(figure(one, pixels))[1])
    flat = trace(weights=np.full((5, 3, 4), 1 / 12, np.float32), mode="dot")
    top = max(float(one.density.max()), float(sharp.density.max()))
    page = figure([one, sharp], pixels, scale="shared")
    assert f"{top:.3g}" in texts(page)
    assert (picture(panels(figure([one, flat], [pixels, pixels]))[1]) == alone).all()
    both = figure([one, sharp], [pixels, pixels], scale="shared")
    assert f"{top:.3g}" in texts(both)
    assert len(both.axes) == 2 * (1 + len(WORDS)) + 1


def test_a_scale_of_its_own_is_said_in_every_panel(pixels: np.ndarray) -> None:
    page = figure(trace(), pixels, scale="step", width=4)
    said = [axes.texts[0].get_text() for axes in panels(page)[1:]]
    assert said == [f"≤ {peak:.3g}" for peak in trace().density.max(axis=(1, 2))]
    assert any("panel's" in text for text in texts(page))
    assert any(text.endswith("10") for text in texts(figure(trace(), pixels, scale="linear")))
    assert {"≤1", "2", "4", "32", "64"} <= set(texts(figure(trace(), pixels)))


@pytest.mark.parametrize("scale", ["shared", "linear", "step"])
def test_no_mark_of_a_bar_runs_through_its_title(pixels: np.ndarray, scale: str) -> None:
    rows = [[trace(), trace(mode="dot", seed=1)]]
    page = figure(rows, [pixels], difference=True, scale=scale, width="6.5in")
    page.draw_without_rendering()
    marks = [line.get_window_extent() for axes in page.axes for line in axes.lines]
    titles = [text for text in page.texts if "attention" in text.get_text() or "difference" in text.get_text()]
    assert len(titles) == 2 or scale == "step"
    assert marks or scale == "shared"
    assert not [text for text in titles for mark in marks if text.get_window_extent().overlaps(mark)]


def test_modes_are_compared_row_by_row_with_differences(pixels: np.ndarray) -> None:
    first, second = trace(), trace(mode="general", seed=5)
    page = figure([first, second], pixels, difference=True, width=4, columns=6)
    assert len(panels(page)) == 1 + 3 * len(WORDS)
    assert {"concat", "general", "− concat"} <= set(texts(page))
    assert [axes.get_title() for axes in panels(page)].count("dog") == 2  # above the first row alone
    assert "difference from concat, times uniform" in texts(page)
    rows = sorted({round(axes.get_position().y0, 6) for axes in panels(page)}, reverse=True)
    assert len(rows) == 3
    same = figure([first, dataclasses.replace(first, mode="dot")], pixels, difference=True)
    photo = picture(panels(same)[0])
    assert all((picture(axes) == photo).all() for axes in panels(same)[-len(WORDS) :])


@pytest.mark.parametrize("scale", ["log", "shared"])
def test_more_is_pink_and_less_is_blue(scale: str) -> None:
    base = np.full((2, 3, 3), 120, np.uint8)
    difference = np.array([[-4, 0.05, 4], [-0.05, np.nan, 2]], np.float32)
    out = Arms(base, None).paint(difference, Scale(scale, 4.0)).astype(int)
    assert out[0, 0, 2] > out[0, 0, 0] + 40
    assert out[0, 2, 0] > out[0, 2, 2] + 40
    assert (out[0, 1] == 120).all()
    assert (out[1, :2] == 120).all()
    assert out[0, 2, 0] - out[0, 2, 2] > out[1, 2, 0] - out[1, 2, 2] > 0


def test_grids_of_different_size_are_compared_on_the_pixels(pixels: np.ndarray) -> None:
    coarse = Trace(np.full((5, 1, 1), 1.0, np.float32), WORDS, frame=Frame.stretch(SIZE, (32, 32), (1, 1)), mode="dot")
    even = trace(weights=np.full((5, 3, 4), 1 / 12, np.float32))
    page = figure([even, coarse], pixels, difference=True)
    photo = picture(panels(page)[0])
    assert all((picture(axes) == photo).all() for axes in panels(page)[-5:])


def test_words_and_steps_choose_panels(pixels: np.ndarray) -> None:
    chosen = figure(trace(), pixels, words="DOG, chases")
    assert [axes.get_title() for axes in panels(chosen)] == ["photo", "dog", "chases", "dog"]
    assert [axes.get_title() for axes in panels(figure(trace(), pixels, steps=[0, 3]))] == ["photo", "a", "another"]
    with pytest.raises(ConfigError, match="'zebra' is not in the caption"):
        figure(trace(), pixels, words=["dog", "zebra"])
    with pytest.raises(ConfigError, match="not both"):
        figure(trace(), pixels, words="dog", steps=[0])


def test_words_that_carry_content(pixels: np.ndarray) -> None:
    made = trace(("a", "brown", "dog", "runs", "."))
    shown = [axes.get_title() for axes in panels(figure(made, pixels, words="content"))]
    assert shown == ["photo", "brown", "dog", "runs"]
    with pytest.raises(ConfigError, match="has none that carry content"):
        figure(trace(("a", "the", "of", "in", "on")), pixels, words="content")


def test_the_sentence_stands_under_its_photo(pixels: np.ndarray) -> None:
    one, two = trace(), trace(("the", "cat", "is", "not", "here"))
    page = figure([one, two], [pixels, pixels])
    spoken = {text.get_text(): text.get_position()[1] for text in page.texts}
    first, second = one.caption, two.caption
    lowest = [min(axes.get_position().y0 for axes in some) for some in (panels(page)[:6], panels(page)[6:])]
    assert lowest[0] > spoken[first] > panels(page)[6].get_position().y1
    assert lowest[1] > spoken[second] > 0
    assert [axes.get_title() for axes in panels(page)][::6] == ["(a)", "(b)"]
    assert one.caption not in texts(figure(one, pixels, sentence=False))
    long = trace(tuple(f"word{number}" for number in range(60)))
    page = figure(long, pixels, width=3.25, steps=[0])
    lines = [text.get_text() for text in page.texts if text.get_text().startswith("word")]
    assert len(lines) > 3
    assert " ".join(lines).split() == list(long.tokens)
    for text in page.texts:
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= page.bbox.width * 1.005


def test_unsure_words_are_marked_in_their_own_row(pixels: np.ndarray) -> None:
    sure = np.log(np.array([0.9, 0.5, 0.2, 0.11, 0.9], np.float32))
    unsure = np.log(np.array([0.9, 0.5, 0.09, 0.5, 0.001], np.float32))
    note = "word? had a probability below 0.1"
    plain = figure(trace(logprobs=sure), pixels)
    assert note not in texts(plain)
    assert not any("?" in axes.get_title() for axes in panels(plain))
    page = figure([trace(logprobs=unsure), trace(logprobs=sure, mode="dot")], pixels, width=4, columns=6)
    assert [axes.get_title() for axes in panels(page)][:6] == ["photo", "a", "dog", "chases?", "another", "dog?"]
    assert {note, "a dog chases? another dog?"} <= set(texts(page))
    assert [axes.get_label() for axes in panels(page)][:6] == ["photo", *WORDS]
    other = figure([trace(logprobs=sure), trace(logprobs=unsure, mode="dot")], pixels, width=4, columns=6)
    assert [bool(axes.texts) for axes in panels(other)[6:]] == [False, False, True, False, True]
    assert note in texts(other)


def test_pages_are_split_between_photos_on_one_scale(pixels: np.ndarray) -> None:
    from attnviz.render.figure import figures

    made = [trace(seed=number) for number in range(5)]
    whole = figure(made, [pixels] * 5, width=3, dpi=100, columns=6, height=20, scale="shared")
    pages = figures(made, [pixels] * 5, width=3, dpi=100, columns=6, height=2.2, scale="shared")
    assert len(pages) > 1
    assert sum(page.photos for page in pages) == 5
    assert all(page.get_size_inches()[1] <= 2.2 for page in pages)
    shown = [picture(axes) for page in pages for axes in panels(page)]
    for mine, theirs in zip(shown, map(picture, panels(whole)), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [axes.get_title() for page in pages for axes in panels(page)][::6] == ["(a)", "(b)", "(c)", "(d)", "(e)"]
    with pytest.raises(ConfigError, match=r"would take . pages of at most 2.2 inches"):
        figure(made, [pixels] * 5, width=3, dpi=100, columns=6, height=2.2)
    with pytest.raises(ConfigError, match=r"would be .* inches high, more than 0.5"):
        figures(made, [pixels] * 5, width=3, dpi=100, height=0.5)


@pytest.mark.parametrize("shape", [(40, 60), (90, 30), (20, 200)])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("words", [1, 14])
def test_a_fitted_page_has_its_height_and_all_on_it(shape: tuple[int, int], count: int, words: int) -> None:
    frame = Frame.stretch(shape, (32, 32), (3, 4))
    made = [trace(tuple("dog" for _ in range(words)), frame=frame)] * count
    photo = np.full((*shape, 3), 90, np.uint8)
    page = figure(made, [photo] * count, width=13.333, height=7.5, fit=True, font_size=18, dpi=72)
    assert page.get_size_inches() == pytest.approx((13.333, 7.5), abs=0.01)
    places = [axes.get_position() for axes in page.axes]
    assert len(places) == count * (words + 1) + 1
    assert min(place.x0 for place in places) >= 0.01
    assert max(place.x1 for place in places) <= 0.99
    assert min(place.y0 for place in places[:-1]) > places[-1].y1
    assert max(place.y1 for place in places) < 1
    sizes = {(round(place.width, 4), round(place.height, 4)) for place in places[:-1]}
    assert len(sizes) == 1


def test_a_font_that_was_just_installed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import font_manager

    from attnviz.render import fonts
    from attnviz.render.figure import words as letters

    manager = font_manager.fontManager
    serif = next(entry for entry in manager.ttflist if entry.name == "DejaVu Serif Display" or "cmex" in entry.fname)
    monkeypatch.setattr(manager, "ttflist", [entry for entry in manager.ttflist if entry.name != serif.name])
    monkeypatch.setattr(fonts, "font_files", _cached(lambda: ()))
    with pytest.raises(ConfigError, match="no font is called"):
        letters.find(serif.name)
    monkeypatch.setattr(fonts, "font_files", _cached(lambda: (tmp_path / "broken.ttf", Path(serif.fname))))
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert Path(letters.find(serif.name)) == Path(serif.fname)


def _cached(function: Callable[[], tuple[Path, ...]]) -> Any:
    from functools import lru_cache

    return lru_cache(maxsize=1)(function)


def test_boxes_are_outlined_where_their_word_is(pixels: np.ndarray) -> None:
    page = figure(trace(), pixels, boxes={"dog": [(5, 10, 20, 30)], "ball": [(0, 0, 4, 4)]})
    drawn = {axes.get_label(): axes.patches for axes in panels(page)}
    assert {name: len(patches) for name, patches in drawn.items()} == {
        "photo": 4,  # two boxes of two strokes
        "a": 0,
        "dog": 2,
        "chases": 0,
        "another": 0,
    }
    box = drawn["dog"][0].get_bbox()
    assert (box.y0, box.x0, box.y1, box.x1) == (5, 10, 20, 30)
    everywhere = figure(trace(), pixels, boxes=np.array([[1, 2, 3, 4]]))
    assert all(len(axes.patches) == 2 for axes in panels(everywhere))
    two = figure([trace(), trace()], [pixels, pixels], boxes=[None, np.array([[1, 2, 3, 4]])])
    assert [len(axes.patches) for axes in panels(two)] == [0] * 6 + [2] * 6


def test_what_cannot_be_drawn_is_told_in_one_line(pixels: np.ndarray) -> None:
    wrong: list[tuple[type[Exception], str, Any, Any, dict[str, Any]]] = [
        (ConfigError, "columns", trace(), pixels, {"columns": 0}),
        (ConfigError, "3parsecs", trace(), pixels, {"width": "3parsecs"}),
        (ConfigError, "dpi", trace(), pixels, {"dpi": 1}),
        (ConfigError, "no font is called", trace(), pixels, {"font": "No Such Font"}),
        (ConfigError, "did you mean columns", trace(), pixels, {"colums": 3}),
        (ConfigError, "different words", [trace(), trace(("x",) * 5)], pixels, {}),
        (ConfigError, "for 2 photos", [trace()], [pixels, pixels], {}),
        (ConfigError, "x0 <= x1", trace(), pixels, {"boxes": [(9, 9, 1, 1)]}),
        (ConfigError, "in pixels", trace(), pixels, {"boxes": "nonsense"}),
        (ConfigError, "inches high", trace(("a",) * 900), pixels, {"columns": 1}),
        (ConfigError, "1 name for 2 rows", [trace(), trace()], pixels, {"labels": ["x"]}),
        (ImageError, "give that photo", trace(), np.zeros((50, 20, 3), np.uint8), {}),
        (TraceError, "no steps", Trace(np.zeros((0, 3, 4), np.float32), ()), pixels, {}),
    ]
    for kind, words, traces, images, options in wrong:
        with pytest.raises(kind, match=words) as error:
            figure(traces, images, **options)
        assert "\n" not in str(error.value)


@given(
    st.lists(
        st.tuples(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 30), st.integers(1, 5)),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 12),
    st.integers(40, 3000),
)
def test_panels_never_overlap_nor_leave_the_page(
    blocks: list[tuple[int, int, int, int]], columns: int, width: int
) -> None:
    made = [Block((height, wide), count, rows) for height, wide, count, rows in blocks]
    layout = arrange(made, columns, Measures(width, gap=6, word=20, label=12))
    places, below = layout.places, layout.below
    assert len(places) == sum(1 + (block.panels - 1) * block.rows for block in made)
    boxes = np.array([(place.left, place.top, place.left + place.width, place.top + place.height) for place in places])
    assert (boxes[:, :2] >= 0).all()
    if width >= 12 + columns:
        assert boxes[:, 2].max() <= width
        assert boxes[:, 3].max() <= below
        assert (boxes[:, 3] - boxes[:, 1] <= TALLEST * (boxes[:, 2] - boxes[:, 0] + width) + 1).all()
        for index in range(1, len(boxes)):
            before, now = boxes[:index], boxes[index]
            apart = (
                (before[:, 2] <= now[0])
                | (now[2] <= before[:, 0])
                | (before[:, 3] <= now[1])
                | (now[3] <= before[:, 1])
            )
            assert apart.all()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3.25in", 3.25),
        ("85mm", 85 / 25.4),
        ("8.5 cm", 8.5 / 2.54),
        ("246pt", 246 / 72.27),
        ("6", 6),
        (4, 4),
        (".8in", 0.8),
    ],
)
def test_widths(text: str | float, wanted: float) -> None:
    assert inches(text) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("text", ["3parsecs", "", "mm", "-3in", "0", "1e9in", "in 3", "nan"])
def test_what_is_no_width(text: str) -> None:
    with pytest.raises(ConfigError, match="width"):
        FigureOptions(width=text)


@needs_poppler
@pytest.mark.parametrize("width", ["3.25in", "85mm", "246pt", "6.875in"])
def test_pages_have_the_width_asked_for_to_a_tenth_of_a_millimetre(
    width: str, pixels: np.ndarray, save: Callable[..., Path]
) -> None:
    path = save(figure(trace(), pixels, width=width, dpi=150), "f.pdf")
    found = re.search(r"Page size:\s+([\d.]+) x", run("pdfinfo", path))
    assert found is not None
    assert abs(float(found[1]) / 72 - inches(width)) * 25.4 < 0.1


@needs_poppler
def test_text_stays_text_in_embedded_truetype_fonts(pixels: np.ndarray, save: Callable[..., Path]) -> None:
    words = ("ein", "Straße", "$x^2$", "собака", "<b>", "A&B")
    page = figure([trace(words), trace(words, mode="general")], pixels, width=5, columns=4, font="DejaVu Serif")
    path = save(page, "f.pdf")
    assert set(words) | {"concat", "general"} <= set(run("pdftotext", path, "-").split())
    lines = run("pdffonts", path).splitlines()[2:]
    assert lines
    for line in lines:
        assert re.search(r"\b(TrueType|CID TrueType|CID Type 0C.*?)\s+\S+\s+yes\b", line), line
        assert "Serif" in line
    svg = save(page, "f.svg").read_text()
    assert "собака" in svg
    assert "&lt;b&gt;" in svg


@needs_poppler
def test_a_photo_is_embedded_once_a_panel_at_the_resolution_asked_for(
    pixels: np.ndarray, save: Callable[..., Path]
) -> None:
    page = figure(trace(), pixels, width=3, dpi=200, columns=3)
    rows = [line.split() for line in run("pdfimages", "-list", save(page, "f.pdf")).splitlines()[2:]]
    sizes = [(int(row[4]), int(row[3])) for row in rows if row[2] == "image"]
    wanted = [picture(axes).shape[:2] for axes in page.axes]
    assert sorted(sizes) == sorted(wanted)
    assert all(abs(int(row[12]) - 200) <= 1 for row in rows if (int(row[4]), int(row[3])) != wanted[-1])


@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
def test_the_same_input_gives_the_same_bytes(kind: str, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    first = figure([trace(), trace(seed=2, mode="dot")], pixels, difference=True, width=4, dpi=100).to_bytes(kind)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    second = figure([trace(), trace(seed=2, mode="dot")], pixels, difference=True, width=4, dpi=100).to_bytes(kind)
    assert first == second
    assert b"1970" not in second
    assert b"CreationDate" not in first


def test_figures_leave_matplotlibs_settings_alone(pixels: np.ndarray) -> None:
    import sys

    import matplotlib

    before = dict(matplotlib.rcParams)
    page = figure(trace(), pixels, width=2, dpi=72)
    page.savefig(io.BytesIO(), format="pdf", metadata={"Title": "mine"})
    assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
    assert isinstance(page, matplotlib.figure.Figure)
    assert page._repr_png_().startswith(b"\x89PNG")


def test_figures_do_not_depend_on_the_programs_own_style(pixels: np.ndarray) -> None:
    import matplotlib

    plain = figure(trace(), pixels, width=2, dpi=72).to_bytes("svg")
    style: dict[Any, Any] = {
        "image.origin": "lower",
        "axes.grid": True,
        "text.usetex": True,
        "axes.titlelocation": "left",
    }
    with matplotlib.rc_context({**style, "savefig.bbox": "tight", "svg.fonttype": "path"}):
        assert figure(trace(), pixels, width=2, dpi=72).to_bytes("svg") == plain


def test_words_too_long_get_smaller_and_in_the_end_are_cut(pixels: np.ndarray) -> None:
    page = figure(trace(("a", "unbelievably", "x" * 90, "", "tab\tbed")), pixels, width=4, columns=6)
    shown = [axes.title for axes in panels(page)[1:]]
    sizes = [title.get_fontsize() for title in shown]
    assert sizes[0] == 8 > sizes[1] > sizes[2] == 4
    assert shown[2].get_text().startswith("xxx")
    assert shown[2].get_text().endswith("…")
    assert [title.get_text() for title in shown[3:]] == ["␣", "tab bed"]


def right_edges(page: Page, dpi: int, kind: str) -> list[float]:
    """Where each text on a page ends, as a share of its width, as matplotlib itself draws it."""
    from matplotlib.backends import backend_agg, backend_pdf

    agg: Any = backend_agg.RendererAgg
    pdf: Any = backend_pdf
    width, height = page.get_size_inches()
    page.set_dpi(dpi)
    dots = int(width * dpi) + 1, int(height * dpi) + 1
    renderer = agg(*dots, dpi) if kind == "png" else pdf.RendererPdf(pdf.PdfFile(io.BytesIO()), dpi, height, width)
    return [text.get_window_extent(renderer).x1 / (width * dpi) for text in page.texts]


@pytest.mark.parametrize(("width", "dpi"), [("85mm", 150), ("2in", 150), ("3.3in", 72)])
def test_no_text_runs_over_the_page(pixels: np.ndarray, width: str, dpi: int) -> None:
    """Letters in dots are up to a few per cent wider than their outlines, which sums up along a line."""
    choice = np.random.default_rng(5)
    words = tuple(map(str, choice.choice(["WAVE", "a", "water", "black-and-white", "illustration", "in"], 16)))
    unsure = trace((*words, "i" * 400), logprobs=np.full(17, -4.0, np.float32))
    page = figure(unsure, pixels, width=width, dpi=dpi, columns=6, height=30)
    lines = [text for text in texts(page) if ("?" in text or "…" in text) and "probability" not in text]
    assert " ".join(lines).split()[:16] == [f"{word}?" for word in words]
    assert lines[-1].endswith("…")
    for dots, kind in ((dpi, "png"), (110, "png"), (72, "pdf")):
        assert 0.9 < max(right_edges(page, dots, kind)) <= 1.0


@pytest.mark.filterwarnings("error::UserWarning")  # as matplotlib tells of missing letters
def test_words_of_any_script_and_emoji(pixels: np.ndarray) -> None:
    from attnviz.render import fonts

    words = ("🐶", "dog🐶", "犬", "כלב", "หมา", "\ud800", "\U000f0000")
    page = figure(trace(words), pixels, width=3, dpi=100)
    for kind in ("pdf", "svg", "png"):
        assert page.to_bytes(kind)
    titles = [axes.get_title() for axes in panels(page)[1:]]
    known = [any(path and path != fonts.default_path() for path in map(fonts.path_for, word)) for word in words]
    if known[0]:  # in colours, which text cannot have: a picture instead
        assert titles[:2] == ["", ""]
        assert len(page.artists) == 2
    else:
        assert titles[:2] == ["\ufffd", "dog\ufffd"]
    assert titles[2] == ("犬" if known[2] else "\ufffd")
    assert titles[5:] == ["\ufffd", "\ufffd"]


def test_the_unseen_border_of_a_crop_is_dimmed_and_the_photo_is_not(pixels: np.ndarray) -> None:
    made = trace(frame=Frame.crop(SIZE, (32, 32), (3, 4)))
    page = figure(made, pixels, width=1, dpi=60, columns=1)
    photo, *maps = (picture(axes).astype(int) for axes in panels(page))
    seen = made.frame.seen() if made.frame else None
    assert seen is not None
    assert (photo == pixels).all()
    for shown in maps:
        assert (shown[~seen] <= pixels[~seen] * 0.36 + 1).all()


@pytest.mark.parametrize("size", [(1, 1), (4, 4000), (4000, 4), (10, 9)])
def test_photos_of_any_shape(size: tuple[int, int]) -> None:
    made = trace(frame=Frame.stretch(size, (32, 32), (3, 4)))
    page = figure(made, np.full((*size, 3), 90, np.uint8), width=3, dpi=80)
    assert Image.open(io.BytesIO(page.to_bytes("png"))).width == 240


def test_figures_may_be_made_on_several_threads(pixels: np.ndarray) -> None:
    made: list[Page] = []
    workers = [threading.Thread(target=lambda: made.append(figure(trace(), pixels, width=2, dpi=72))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({page.to_bytes("png") for page in made}) == 1


def test_the_figure_among_the_formats_is_as_high_as_it_has_to_be(pixels: np.ndarray) -> None:
    """Nobody can choose its words or pages there."""
    from attnviz.render import write

    stream = io.BytesIO()
    many = tuple(f"w{number}" for number in range(40))
    write(trace(many), pixels, stream, format="svg", compare=[trace(many, "dot", 1), trace(many, "general", 2)])
    found = re.search(rb'<svg height="([\d.]+)pt"|height="([\d.]+)pt"', stream.getvalue())
    assert found is not None
    assert float(found[1] or found[2]) > 9 * 72


def test_captions_for_latex_say_who_looks_at_what(pixels: np.ndarray) -> None:
    from attnviz.render.figure.latex import caption, escaped, snippet

    one, other = trace(), trace(mode="dot", seed=1, logprobs=np.full(5, -9, np.float32))
    plain = caption([[one]], FigureOptions())
    assert plain.startswith("Where m (concat) looks while it writes each word of ``a dog chases another dog''. Colour:")
    assert "?" not in plain
    both = caption([[one, other], [one, other]], FigureOptions(difference=True, style="contour"))
    assert "(a) ``a dog" in both
    assert "(b) ``a dog" in both
    assert "Rows: concat, dot, and differences from concat." in both
    assert "Lines enclose" in both
    assert "A mark (?)" in both
    assert "(c) ``" in caption([[one]], FigureOptions(), first=2, total=5)
    assert escaped("50% _#&$ {x}") == r"50\% \_\#\&\$ \{x\}"
    assert escaped(r"\ ~ ^") == r"\textbackslash{} \textasciitilde{} \textasciicircum{}"
    assert escaped('<b> a|b "') == r"\textless{}b\textgreater{} a\textbar{}b ''"
    assert r"{\detokenize{my figs/a b.pdf}}" in snippet("my figs/a b.pdf", [[one]], FigureOptions())
