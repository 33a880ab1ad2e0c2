"""The strip under a picture: nothing cut off, the right word marked, numbers that do not touch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from PIL import Image

from attnviz.render import colorbar, fonts, strip, text
from attnviz.render.contour import KEYS
from attnviz.render.heatmap import THRESHOLD, Scale
from attnviz.render.overlay import heat_table
from attnviz.render.palette import DEFAULT
from attnviz.render.strip import BACKGROUND, MARK, MIN_WIDTH, Legend, Strip, note, visual_order

TABLE = heat_table(DEFAULT, 0.8)
SHARED = Scale("shared", 17.3)
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunter"[:60]


def drawn(tokens: list[str], step: int, width: int = 640, scale: Scale = SHARED) -> np.ndarray:
    """(H, W, 3): a strip with made-up probabilities."""
    logprobs = np.log(np.linspace(0.1, 0.9, len(tokens))).astype(np.float32)
    return Strip(tokens, logprobs, width, TABLE).draw(step, scale)


def share_of(colour: tuple[int, int, int], pixels: np.ndarray) -> float:
    return float((pixels == colour).all(axis=2).mean())


SAYINGS = [
    ["a"],
    ["a", LONG, "runs"],
    [LONG] * 60,
    ["a", "man", "rides", "a", "horse"] * 12,
    ["كلب", "بني", "يجري", "dog", "runs", "على", "العشب"],
    ["ילד", "רץ", "🐶", "狗在跑", "कुत्ता", "👩\u200d🚀", "❤️"],
    ["", " ", "\n", "\x07", "\ud800", "\u202eabc", "a\u0301\u0302", "\u0301"],
    ["x" * 100_000, "W" * 60],
]


@pytest.mark.parametrize("width", [MIN_WIDTH, 640, 1280])
@pytest.mark.parametrize("tokens", SAYINGS, ids=range(len(SAYINGS)))
def test_nothing_is_cut_off(tokens: list[str], width: int) -> None:
    """The outermost rows and columns stay empty for every word, whatever the words are."""
    for step in {0, len(tokens) // 2, len(tokens) - 1}:
        pixels = drawn(tokens, step, width)
        assert pixels.shape[1] == width
        for edge in (pixels[0], pixels[-1], pixels[:, :2], pixels[:, -2:]):
            assert (edge == BACKGROUND).all()
        assert share_of(MARK, pixels) > 0, "the current word is marked"


@settings(max_examples=40, deadline=None)
@given(tokens=st.lists(st.text(max_size=70), min_size=1, max_size=12), width=st.integers(MIN_WIDTH, 700))
@example(tokens=["\u200d", "\ufe0f"], width=MIN_WIDTH)
def test_any_text_can_be_drawn(tokens: list[str], width: int) -> None:
    layout = Strip(tokens, None, width, TABLE)
    first, last = layout.draw(0, SHARED), layout.draw(len(tokens) - 1, SHARED)
    assert first.shape == last.shape == (layout.height, width, 3)
    assert (last[:, :2] == BACKGROUND).all()
    assert (last[:, -2:] == BACKGROUND).all()


def test_words_do_not_move_as_the_sentence_grows() -> None:
    tokens = ["a", "man", "rides", "a", "horse", "along", "the", "beach"]
    before, after = drawn(tokens, 3), drawn(tokens, 6)
    layout = Strip(tokens, None, 640, TABLE)
    first = layout._places[0]
    box = (slice(None, layout._pad + layout._pitch), slice(first.x, first.x + first.word.width))
    np.testing.assert_array_equal(before[box], after[box])


def test_later_words_are_not_shown() -> None:
    """The strip of a step is the same whatever comes after, as long as it takes the same lines."""
    here = Strip(["a", "dog", "runs"], None, 640, TABLE).draw(1, SHARED)
    there = Strip(["a", "dog", "eats"], None, 640, TABLE).draw(1, SHARED)
    np.testing.assert_array_equal(here, there)


def test_a_long_sentence_scrolls_to_the_current_word() -> None:
    tokens = [LONG] * 60
    layout = Strip(tokens, None, MIN_WIDTH, TABLE)
    assert layout.height < 400
    assert share_of(MARK, layout.draw(59, SHARED)) > 0


def test_a_strip_without_a_sentence_is_lower() -> None:
    tokens = ["a", "dog"]
    assert Strip(tokens, None, 640, TABLE, sentence=False).height < Strip(tokens, None, 640, TABLE).height
    assert share_of(MARK, Strip(tokens, None, 640, TABLE, sentence=False).draw(1, SHARED)) == 0


def test_the_note() -> None:
    assert note(1, 12, float(np.log(0.834))) == "p = 0.83 · 2/12"
    assert note(0, 1, 1e-4) == "p = 1.00 · 1/1"
    assert note(0, 3, -20) == note(0, 3, float("-inf")) == "p < 0.005 · 1/3"
    assert note(2, 3, None) == note(2, 3, float("nan")) == "3/3"


@pytest.mark.parametrize(
    ("rtl", "base", "order"),
    [
        ([False] * 3, False, [0, 1, 2]),
        ([True] * 3, True, [2, 1, 0]),
        ([True, False, False, True], True, [3, 1, 2, 0]),
        ([False, True, True, False], False, [0, 2, 1, 3]),
        ([], True, []),
    ],
)
def test_visual_order(rtl: list[bool], base: bool, order: list[int]) -> None:
    assert visual_order(rtl, base) == order


@pytest.mark.skipif(not fonts.has_raqm(), reason="right-to-left text needs libraqm")
def test_a_right_to_left_sentence_begins_at_the_right() -> None:
    pixels = drawn(["שלום", "עולם"], 0)
    marked = np.flatnonzero((pixels == MARK).all(axis=2).any(axis=0))
    assert marked.min() > 320


def test_right_to_left_words_are_drawn_without_libraqm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "has_raqm", lambda: False)
    monkeypatch.setattr(strip, "has_raqm", lambda: False)
    text.word.cache_clear()
    pixels = drawn(["שלום", "كلب", "👩\u200d🚀"], 0)
    text.word.cache_clear()
    marked = np.flatnonzero((pixels == MARK).all(axis=2).any(axis=0))
    assert marked.min() < 60, "in plain order, from the left"


@pytest.mark.skipif(not fonts.has_raqm(), reason="shaping needs libraqm")
def test_arabic_letters_are_joined() -> None:
    """A word's letters, joined, take less room than the same letters one by one."""
    word = "يجري"
    assert text.word(word, 40).width < 0.9 * sum(text.word(char, 40).width for char in word)


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that has no fonts of its own."""
    caches = (fonts.default_path, fonts.path_for, text.word)
    monkeypatch.setattr(fonts, "font_files", lambda: ())
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("bare_machine")
def test_a_bare_machine_has_the_font_that_comes_with_matplotlib() -> None:
    path = fonts.default_path()
    assert path is not None
    assert path.name == "DejaVuSans.ttf"
    assert path.is_file()
    for tokens in SAYINGS[:7]:
        assert share_of(MARK, drawn(tokens, len(tokens) - 1)) > 0
    assert np.asarray(text.word("dog", 20).mask).any()


@pytest.mark.usefixtures("bare_machine")
def test_not_even_matplotlib_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "find_spec", lambda name: None)
    fonts.default_path.cache_clear()
    assert fonts.default_path() is None
    assert np.asarray(text.word("dog", 20).mask).any()
    fonts.default_path.cache_clear()


def test_damaged_font_files_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "NotoSansThai-Regular.ttf"
    bad.write_bytes(b"no font")
    monkeypatch.setattr(fonts, "font_files", lambda: (bad,))
    fonts.path_for.cache_clear()
    assert fonts.path_for("\u0e01") == fonts.default_path()
    fonts.path_for.cache_clear()


def test_characters_are_drawn_in_a_font_that_has_them() -> None:
    """Each of these has a glyph of its own in DejaVu Sans, unlike the box of a character that it lacks."""
    box = text.word("\ufdd0", 40).mask.tobytes()
    for char in "aÄžжאع✓→":
        assert text.word(char, 40).mask.tobytes() != box


@pytest.mark.parametrize(
    ("token", "shown"),
    [("dog", "dog"), ("", "␣"), (" \t\n", "␣"), ("a\nb", "a b"), ("a\x00b", "a\ufffdb"), ("\u202eabc", "abc")],
)
def test_printable(token: str, shown: str) -> None:
    assert text.printable(token) == shown


@settings(deadline=None)
@given(st.text())
def test_printable_is_one_short_line(token: str) -> None:
    shown = text.printable(token)
    assert 1 <= len(shown) <= text.MAX_CHARS
    assert len(shown.splitlines()) == 1


@given(width=st.integers(30, 300), size=st.integers(14, 30), letters=st.text("abcdefWMil", min_size=1, max_size=80))
@settings(max_examples=40, deadline=None)
def test_long_words_are_made_to_fit(width: int, size: int, letters: str) -> None:
    word = text.fitted(letters, size, width, 12)
    assert word.width <= width
    assert word.mask.height == text.line_height(size)


@settings(deadline=None)
@given(top=st.floats(0.02, 5000), clipped=st.booleans(), width=st.integers(200, 1300))
def test_numbers_on_the_bar(top: float, clipped: bool, width: int) -> None:
    marks = colorbar.ticks(Scale("shared", top, clipped))
    positions = [position for position, _ in marks]
    assert positions[0] == 0
    assert positions[-1] == 1
    assert positions == sorted(positions)
    assert 3 <= len(marks) <= 8
    assert marks[0][1] == "0"
    assert float(marks[-1][1].removeprefix("≥")) == pytest.approx(top, rel=6e-3)
    assert marks[-1][1].startswith("≥") == clipped
    for position, label in marks[:-1]:
        assert float(label) == pytest.approx(position * top, rel=1e-5, abs=1e-9)

    def measure(label: str) -> int:
        return 8 * len(label)

    placed = colorbar.spread(marks, width, measure, gap=6)
    assert placed[0][1] == "0"
    assert placed[-1][1] == marks[-1][1]
    for (x, label), (following, _) in itertools.pairwise(placed):
        assert x + measure(label) + 6 <= following
    assert placed[0][0] >= 0
    assert placed[-1][0] + measure(placed[-1][1]) <= width


@pytest.mark.parametrize(
    ("scale", "labels"),
    [
        (Scale("shared", 4.0), ["0", "1", "2", "3", "4"]),
        (Scale("linear", 10.0), ["0", "2", "4", "6", "8", "10"]),
        (Scale("linear", 10.0, clipped=True), ["0", "2", "4", "6", "8", "≥10"]),
        (Scale("step", 17.3), ["0", "5", "10", "15", "17.3"]),
    ],
)
def test_labels(scale: Scale, labels: list[str]) -> None:
    assert [label for _, label in colorbar.ticks(scale)] == labels


def test_the_bar_shows_what_is_painted() -> None:
    """Grey up to the threshold, then the colours of the table over that grey, up to the last."""
    bar = colorbar.gradient(SHARED, TABLE, (3, 1000))
    clear = (bar == colorbar.GREY).all(axis=(0, 2))
    assert clear[: round(1000 * THRESHOLD)].all()
    np.testing.assert_array_equal(bar[0, -1], TABLE[:, 255, colorbar.GREY])
    np.testing.assert_array_equal(bar[0], bar[2])


@pytest.mark.parametrize("legend", [TABLE, KEYS], ids=["heat", "contour"])
@pytest.mark.parametrize("width", [MIN_WIDTH, 480, 1280])
def test_every_scale_has_a_title_that_fits(width: int, legend: Legend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also beside the longest note; and the title of "step" says that each step has a scale of its own."""
    pasted: list[str] = []

    class Watched(NamedTuple):
        """A word that notes when it is pasted."""

        content: str
        real: text.Word

        @property
        def width(self) -> int:
            return self.real.width

        def paste(self, *args: Any) -> None:
            pasted.append(self.content)
            self.real.paste(*args)

    monkeypatch.setattr(strip, "word", lambda content, size: Watched(content, text.word(content, size)))
    for name, titles in colorbar.TITLES.items():
        pasted.clear()
        Strip(["a"] * 60, np.full(60, -30, np.float32), width, legend).draw(59, Scale(name, 8.0), (1.0, 2.0))
        shown = [title for title in titles if title in pasted]
        assert len(shown) == 1
        assert name != "step" or "own scale" in shown[0]


def test_coloured_emoji_bring_their_own_colours() -> None:
    if not any("emoji" in path.name.lower() and fonts.bitmap_size(path) for path in fonts.font_files()):
        pytest.skip("this machine has no font with coloured emoji")
    word = text.word("🐶", 30)
    assert word.colour is not None
    canvas = Image.new("RGB", (60, 60), BACKGROUND)
    word.paste(canvas, (0, 0), (1, 2, 3))
    assert np.ptp(np.asarray(canvas).astype(int), axis=2).max() > 60


def test_contour_pictures_have_numbers_and_a_pin_for_each_line() -> None:
    layout = Strip(["a", "dog"], None, 640, KEYS, sentence=False)
    with_lines, without = layout.draw(1, SHARED, (3.0, 9.0)), layout.draw(1, SHARED, ())
    for key, level in zip(KEYS, (3.0, 9.0), strict=True):
        columns = np.flatnonzero((with_lines == key.colour).all(axis=2)[-layout._bar - 30 :].any(axis=0))
        pin = layout._pad + level / SHARED.top * layout._room
        assert np.abs(columns - pin).min() <= 2
        assert share_of(key.colour, without) == 0
