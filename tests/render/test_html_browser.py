"""The page in a browser, driven as a person would: it must show what Python draws, and ask for nothing."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import CHROMIUM
from PIL import Image

import attnviz
from attnviz import Frame, Trace
from attnviz.photo.image import Photo
from attnviz.render import DrawOptions
from attnviz.render.pictures import Pictures

WORDS = ("a", "dog", "chases", "another", "dog")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

Open = Callable[..., Any]


@pytest.fixture
def explore(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of traces from a file, offline; in the end nothing may have been complained of or asked for."""
    complaints: list[str] = []
    contexts = []

    def opened(
        traces: Trace | list[Trace], pixels: Any, *, window: dict[str, Any] | None = None, **options: Any
    ) -> Any:
        first, *others = [traces] if isinstance(traces, Trace) else traces
        attnviz.draw(first, pixels, tmp_path / "page", formats=("html",), compare=others, **options)
        return visit((tmp_path / "page" / "attention.html").as_uri(), **(window or {}))

    def visit(address: str, **window: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "offline": True, **window})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda asked: complaints.append(asked.url) if _outside(asked.url, address) else None)
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        return page

    opened.visit = visit  # type: ignore[attr-defined]
    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _outside(url: str, address: str) -> bool:
    return not url.startswith(("data:", "blob:", address))


def trace(words: tuple[str, ...] = WORDS, frame: Frame | None = None, seed: int = 0, **changes: Any) -> Trace:
    frame = frame or Frame.stretch((120, 180), (32, 32), (3, 4))
    weights = np.random.default_rng(seed).dirichlet(np.full(frame.grid[0] * frame.grid[1], 0.2), len(words))
    logprobs = np.linspace(-0.1, -3, len(words)).astype(np.float32)
    shaped = weights.astype(np.float32).reshape(-1, *frame.grid)
    return dataclasses.replace(Trace(shaped, words, logprobs, frame=frame, mode="concat", model="m"), **changes)


def photo_of(size: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([60 + x * 60 / size[1], 60 + y * 60 / size[0], np.full(size, 90)], axis=-1).astype(np.uint8)


READ = """() => {
  const shown = document.getElementById("overlay");
  const copy = Object.assign(document.createElement("canvas"), { width: shown.width, height: shown.height });
  const pen = copy.getContext("2d", { willReadFrequently: true });
  pen.drawImage(shown, 0, 0);
  const bytes = pen.getImageData(0, 0, shown.width, shown.height).data;
  return [[shown.height, shown.width], btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))];
}"""


def layer_of(page: Any) -> np.ndarray:
    """(H, W, 4): the pixels of the page's overlay."""
    size, flat = page.evaluate(READ)
    return np.frombuffer(base64.b64decode(flat), np.uint8).reshape(*size, 4)


def laid_over(pixels: np.ndarray, layer: np.ndarray) -> np.ndarray:
    alpha = layer[..., 3:].astype(float) / 255
    return pixels * (1 - alpha) + layer[..., :3] * alpha


FRAMES = {
    "stretch": Frame.stretch((120, 180), (32, 32), (3, 4)),
    "letterbox": Frame.letterbox((90, 200), (224, 224), (7, 7)),
    "crop": Frame.crop((100, 240), (64, 64), (4, 4), 72),
    "portrait": Frame.crop((300, 77), (224, 224), (14, 14), 256),
    "small cells": Frame.stretch((20, 31), (224, 224), (14, 14)),
    "one cell": Frame.stretch((33, 20), (8, 8), (1, 1)),
}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("cells", [False, True])
def test_the_page_paints_what_python_paints(explore: Open, kind: str, cells: bool) -> None:
    frame = FRAMES[kind]
    pixels, made = photo_of(frame.photo), trace(("a", "b"), frame)
    page = explore(made, pixels, cells=cells)
    drawn = Pictures(made, Photo(pixels, "p", None), DrawOptions(cells=cells))
    for index in range(2):
        found = laid_over(pixels, layer_of(page))
        off = np.abs(found - drawn.overlay(index).astype(float))
        # A level may fall to the other side of a step, and a browser keeps colours times alpha in bytes.
        assert np.quantile(off, 0.999) <= 3
        assert off.max() <= 8
        page.keyboard.press("ArrowRight")


@pytest.mark.parametrize("kind", ["stretch", "letterbox", "crop", "portrait"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_hottest_pixel_on_the_screen_is_where_python_has_it(explore: Open, kind: str, width: int) -> None:
    frame = FRAMES[kind]
    pixels = np.full((*frame.photo, 3), 40, np.uint8)
    weights = np.zeros((1, *frame.grid), np.float32)
    weights[0, frame.grid[0] // 2, frame.grid[1] // 2 - (frame.grid[1] > 4)] = 1
    made = trace(("here",), frame, weights=weights)
    # Dark, since the stage's corners are round and show the page behind.
    page = explore(made, pixels, window={"viewport": {"width": width, "height": 900}, "color_scheme": "dark"})
    python = hottest(Pictures(made, Photo(pixels, "p", None), DrawOptions()).overlay(0))
    page.mouse.move(1, 1)
    screen = np.asarray(Image.open(io.BytesIO(page.locator("#stage").screenshot())).convert("RGB"))
    factor = page.locator("#stage").bounding_box()["width"] / frame.photo[1]
    assert np.abs(hottest(screen) - python * factor).max() <= 2


def hottest(picture: np.ndarray) -> np.ndarray:
    """The middle (y, x) of the brightest pixels: the default colours get brighter from end to end."""
    light = picture.astype(int).sum(axis=2)
    middle: np.ndarray = np.argwhere(light >= light.max() - 2).mean(axis=0) + 0.5
    return middle


def shown(page: Any) -> str:
    return str(page.locator("#sentence button.shown").inner_text())


def current(page: Any) -> int:
    marked = page.locator("#sentence button[aria-current=step]")
    assert marked.count() == 1
    return int(
        page.evaluate("() => [...document.querySelectorAll('#sentence button')].findIndex((b) => b.ariaCurrent)")
    )


def test_hover_shows_a_word_and_click_keeps_it(explore: Open) -> None:
    page = explore(trace(), photo_of((120, 180)))
    before = layer_of(page)
    page.get_by_role("button", name="chases").hover()
    assert (shown(page), current(page)) == ("chases", 0)
    assert (layer_of(page) != before).any()
    page.mouse.move(2, 2)
    assert (shown(page), (layer_of(page) == before).all()) == ("a", True)
    page.get_by_role("button", name="another").click()
    page.mouse.move(2, 2)
    assert (shown(page), current(page)) == ("another", 3)
    assert "Word 4 of 5: “another”, p = 0.1" in page.locator("#status").inner_text()


def test_keys_step_through_the_words(explore: Open) -> None:
    page = explore(trace(), photo_of((120, 180)))
    for key, wanted in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("End", 4),
        ("ArrowRight", 4),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert current(page) == wanted
    page.get_by_role("button", name="chases").focus()
    page.keyboard.press("Enter")
    assert current(page) == 2
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.textContent") == "another"
    page.get_by_role("slider", name="Opacity").focus()
    page.keyboard.press("ArrowLeft")
    assert current(page) == 3  # the slider has the arrows to itself
    assert page.locator("#opacityvalue").inner_text() == "87 %"
    for name in ("Next word", "Previous word", "Previous word"):
        page.get_by_role("button", name=name).click()
    assert current(page) == 2


def test_play_goes_round_until_it_is_paused(explore: Open) -> None:
    page = explore(trace(), photo_of((120, 180)), duration=0.05)
    page.get_by_role("button", name="Play").click()
    seen = {current(page)}
    for _ in range(60):
        page.wait_for_timeout(20)
        seen.add(current(page))
    assert seen == set(range(5))
    page.get_by_role("button", name="Pause").click()
    stopped = current(page)
    page.wait_for_timeout(200)
    assert current(page) == stopped
    page.locator("h1").click()
    page.keyboard.press(" ")
    assert page.locator("#play").get_attribute("aria-pressed") == "true"
    page.keyboard.press("ArrowRight")
    assert page.locator("#play").get_attribute("aria-pressed") == "false"


def test_less_motion_plays_slowly_and_once(explore: Open) -> None:
    page = explore(trace(("a", "b")), photo_of((120, 180)), duration=0.05, window={"reduced_motion": "reduce"})
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(600)
    assert current(page) == 0
    page.wait_for_function("() => document.querySelectorAll('#sentence button')[1].ariaCurrent")
    page.wait_for_function("() => document.getElementById('play').ariaPressed === 'false'")
    assert current(page) == 1


def test_switches_for_opacity_scale_and_cells(explore: Open) -> None:
    made = trace()
    pixels = photo_of((120, 180))
    page = explore(made, pixels)
    slider = page.get_by_role("slider", name="Opacity")
    slider.fill("0")
    assert (layer_of(page)[..., 3] == 0).all()
    slider.fill("88")
    for name, scale in (("linear", "linear"), ("own, each word", "step"), ("shared", "shared"), ("log", "log")):
        page.get_by_role("radio", name=name).check()
        drawn = Pictures(made, Photo(pixels, "p", None), DrawOptions(scale=scale))
        assert np.quantile(np.abs(laid_over(pixels, layer_of(page)) - drawn.overlay(0)), 0.999) <= 3
        top = drawn.scales[0].top
        assert page.locator("#ticks span").last.inner_text().removeprefix("≥ ") == f"{float(f'{top:.3g}'):g}"
    page.get_by_role("checkbox", name="Show the bare cells").check()
    drawn = Pictures(made, Photo(pixels, "p", None), DrawOptions(cells=True))
    assert np.quantile(np.abs(laid_over(pixels, layer_of(page)) - drawn.overlay(0)), 0.999) <= 3


def test_the_mode_is_switched_on_one_scale(explore: Open) -> None:
    one, other = trace(), trace(mode="general", seed=4, logprobs=None)
    pixels = photo_of((120, 180))
    page = explore([one, other], pixels, scale="shared")
    page.keyboard.press("ArrowRight")
    first, top = layer_of(page), page.locator("#ticks span").last.inner_text()
    assert page.locator("#chart svg rect.value").count() == 5
    page.get_by_role("radio", name="general").check()
    assert current(page) == 1
    assert (layer_of(page) != first).any()
    assert page.locator("#ticks span").last.inner_text() == top == f"{max(one.density.max(), other.density.max()):.3g}"
    assert page.locator("#chart svg rect.value").count() == 0  # no probabilities are known
    assert page.locator("#chart svg rect.entropy").count() == 5
    assert "mode general" in page.locator("#status").inner_text()
    page.get_by_role("radio", name="concat").check()
    assert (layer_of(page) == first).all()


def test_the_weight_under_the_pointer(explore: Open) -> None:
    made = trace(frame=FRAMES["crop"])
    page = explore(made, photo_of((100, 240)))
    box = page.locator("#stage").bounding_box()
    assert made.frame is not None
    for row, column in ((0, 0), (2, 3), (3, 1)):
        y, x = made.frame.centres()[row, column]
        page.mouse.move(box["x"] + x / 240 * box["width"], box["y"] + y / 100 * box["height"])
        said = page.locator("#pointer").inner_text()
        weight = made.weights[0, row, column]
        assert said.startswith(f"Here (row {row}, column {column}): {100 * weight:.2f} % of the weight")
        assert said.endswith(f"{16 * weight:.2f} times uniform")
    page.mouse.move(box["x"] + 2, box["y"] + 50)
    assert page.locator("#pointer").inner_text() == "The model did not see this part."
    page.mouse.move(2, 2)
    assert page.locator("#pointer").inner_text().startswith("Point at")


def test_the_chart_follows_the_numbers(explore: Open) -> None:
    made = trace()
    page = explore(made, photo_of((120, 180)))
    heights = page.eval_on_selector_all("#chart rect.value", "all => all.map((r) => Number(r.getAttribute('height')))")
    assert made.logprobs is not None
    np.testing.assert_allclose(np.array(heights) / 44, np.exp(made.logprobs), atol=0.001)
    heights = page.eval_on_selector_all(
        "#chart rect.entropy", "all => all.map((r) => Number(r.getAttribute('height')))"
    )
    np.testing.assert_allclose(np.array(heights) / 44 * np.log(12), [step.entropy for step in made.steps], atol=0.001)
    page.locator("#chart .hit").nth(3).click()
    assert current(page) == 3


def test_the_picture_is_downloaded_as_it_stands(explore: Open, tmp_path: Path) -> None:
    pixels = photo_of((120, 180))
    made = trace()
    page = explore(made, pixels)
    page.keyboard.press("ArrowRight")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    assert waiting.value.suggested_filename == "step-01-dog.png"
    waiting.value.save_as(tmp_path / "d.png")
    saved = np.asarray(Image.open(tmp_path / "d.png").convert("RGB"))
    assert saved.shape[1] == 180
    assert saved.shape[0] > 150
    drawn = Pictures(made, Photo(pixels, "p", None), DrawOptions()).overlay(1)
    assert np.abs(saved[:120].astype(int) - drawn).mean() < 2  # the photo went through JPEG
    assert (saved[120:] == (255, 204, 77)).all(axis=2).sum() > 50  # the word is marked in the sentence


def test_markup_in_captions_and_names_shows_as_text(explore: Open, tmp_path: Path) -> None:
    words = ("<script>alert(1)</script>", "</script>", "<b>bold</b>", "\"'`", "<!--", "&amp;", "${1}")
    name = "<img src=x onerror=alert(1)> \"'.png"
    Image.fromarray(photo_of((120, 180))).save(tmp_path / name)
    made = trace(words, model="<i>m</i>", mode="</title>")
    page = explore(made, Photo(photo_of((120, 180)), name, None))
    assert page.locator("#sentence button").all_inner_texts() == list(words)
    assert page.locator("h1").inner_text() == name
    assert name in page.title()
    assert page.locator("#about").inner_text() == "<i>m</i>, </title>"
    assert page.locator("main img").count() == 1
    assert page.locator("script").count() == 2
    page.keyboard.press("ArrowRight")
    assert "“</script>”" in page.locator("#status").inner_text()


def test_everything_has_a_name_for_screen_readers(explore: Open) -> None:
    page = explore([trace(), trace(mode="dot")], photo_of((120, 180)))
    for role, names in {
        "button": ["Previous word", "Play", "Next word", "Download"],
        "radio": ["concat", "dot", "log", "linear", "shared", "own"],
        "slider": ["Opacity"],
        "checkbox": ["Show the bare cells"],
        "group": ["The caption; each word is a button", "Mode", "Scale", "View"],
        "heading": ["array"],
    }.items():
        for name in names:
            assert page.get_by_role(role, name=name).count() == 1, (role, name)
    assert page.locator("#photo").get_attribute("alt") == "array: a dog chases another dog"
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    unnamed = "() => [...document.querySelectorAll('button')].filter((b) => !b.textContent.trim()).length"
    assert page.evaluate(unnamed) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_sideways_scrolling(explore: Open, scheme: str) -> None:
    window = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": scheme, "is_mobile": True}
    words = (*WORDS, "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", "كلب") * 2
    page = explore([trace(words), trace(words, mode="channel-general")], photo_of((120, 180)), window=window)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="chases").first.tap()
    assert current(page) == 2
    back, ink = page.evaluate(
        "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]; }"
    )
    light = [np.mean([int(value) for value in colour[4:-1].split(",")]) for colour in (back, ink)]
    assert (light[0] > 200 and light[1] < 60) if scheme == "light" else (light[0] < 60 and light[1] > 200)


def test_only_chosen_steps_are_buttons(explore: Open) -> None:
    page = explore(trace(), photo_of((120, 180)), steps=[1, 3])
    assert page.locator("#sentence button").all_inner_texts() == ["dog", "another"]
    assert page.locator("#sentence > *").all_inner_texts() == list(WORDS)
    page.keyboard.press("ArrowRight")
    assert shown(page) == "another"


def test_a_notebook_frame_works(explore: Open, tmp_path: Path) -> None:
    view = attnviz.show(trace(), photo_of((120, 180)))
    outer = f"<!DOCTYPE html><html data-ready='yes'><title>n</title>{view._repr_html_()}</html>"
    (tmp_path / "notebook.html").write_text(outer, encoding="utf-8")
    page = explore.visit((tmp_path / "notebook.html").as_uri())  # type: ignore[attr-defined]
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="chases").click()
    assert "“chases”" in frame.locator("#status").inner_text()
    with page.expect_download() as waiting:
        frame.get_by_role("button", name="Download").click()
    assert waiting.value.suggested_filename == "step-02-chases.png"


CELL = """(index) => {
  const canvas = document.querySelectorAll("#grid .cell .picture")[index];
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const pen = copy.getContext("2d", { willReadFrequently: true });
  pen.drawImage(canvas, 0, 0);
  const bytes = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  return [[canvas.height, canvas.width], btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))];
}"""


def cell_of(page: Any, index: int) -> np.ndarray:
    size, flat = page.evaluate(CELL, index)
    return np.frombuffer(base64.b64decode(flat), np.uint8).reshape(*size, 4)[..., :3]


def three() -> list[Trace]:
    """Rows of different grids."""
    fine = Frame.stretch((120, 180), (32, 32), (6, 5))
    return [trace(), trace(mode="general", seed=4), trace(mode="dot", seed=5, frame=fine)]


def test_all_modes_and_words_side_by_side_are_what_python_paints(explore: Open) -> None:
    made, pixels = three(), photo_of((120, 180))
    page = explore(made, pixels)
    page.get_by_role("radio", name="all words, all modes").check()
    assert page.locator("#stage").is_hidden()
    assert page.locator("#grid .cell").count() == 15
    assert page.locator("#grid .head").all_inner_texts() == list(WORDS)
    assert page.locator("#grid .label").all_inner_texts() == ["concat", "general", "dot"]
    for row, one in enumerate(made):
        drawn = Pictures(one, Photo(pixels, "p", None), DrawOptions())
        for word in range(5):
            off = np.abs(cell_of(page, 5 * row + word).astype(float) - drawn.overlay(word))
            assert np.quantile(off, 0.99) <= 8, (row, word)  # the photo went through JPEG
    page.get_by_role("button", name="chases, dot").click()
    assert page.locator("#stage").is_visible()
    assert (current(page), page.get_by_role("radio", name="dot", exact=True).is_checked()) == (2, True)
    drawn = Pictures(made[2], Photo(pixels, "p", None), DrawOptions())
    assert np.quantile(np.abs(laid_over(pixels, layer_of(page)) - drawn.overlay(2)), 0.999) <= 3


def test_this_word_in_all_modes_follows_the_words_and_keys_go_from_cell_to_cell(explore: Open) -> None:
    page = explore(three(), photo_of((120, 180)))
    page.get_by_role("radio", name="this word, all modes").check()
    assert page.locator("#grid .title").all_inner_texts() == ["concat", "general", "dot"]
    before = [cell_of(page, index) for index in range(3)]
    page.get_by_role("button", name="another", exact=True).click()
    assert all((cell_of(page, index) != one).any() for index, one in enumerate(before))
    page.get_by_role("radio", name="all words, all modes").check()
    page.get_by_role("button", name="a, concat").focus()
    for key, wanted in (
        ("ArrowRight", "dog, concat"),
        ("ArrowDown", "dog, general"),
        ("ArrowDown", "dog, dot"),
        ("ArrowDown", "dog, dot"),
        ("ArrowLeft", "a, dot"),
        ("ArrowLeft", "a, dot"),
        ("ArrowUp", "a, general"),
    ):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == wanted
    page.keyboard.press("Enter")
    assert page.get_by_role("radio", name="general", exact=True).is_checked()


def test_each_picture_has_a_bar_where_it_has_a_scale(explore: Open) -> None:
    made = three()
    page = explore(made, photo_of((120, 180)))
    page.get_by_role("radio", name="all words, all modes").check()
    assert page.locator("#grid .own:visible").count() == 0
    page.get_by_role("radio", name="own, each word").check()
    assert page.locator("#grid .own:visible").count() == 15
    tops = [float(text) for text in page.locator("#grid .own .number").all_inner_texts()]
    assert tops == pytest.approx([peak for one in made for peak in one.density.max(axis=(1, 2))], rel=0.01)


def test_unsure_words_are_marked_by_the_row_that_is_shown(explore: Open) -> None:
    sure = np.log(np.array([0.9, 0.5, 0.2, 0.11, 0.9], np.float32))
    unsure = np.log(np.array([0.9, 0.5, 0.09, 0.5, 0.001], np.float32))
    page = explore([trace(logprobs=sure), trace(mode="dot", logprobs=unsure)], photo_of((120, 180)))
    assert page.locator("#sentence .unsure").count() == 0
    places = [box_of(page, index) for index in range(5)]
    page.get_by_role("radio", name="dot", exact=True).check()
    assert page.locator("#sentence .unsure").all_inner_texts() == ["chases", "dog"]
    assert page.locator("#sentence .unsure").first.get_attribute("title") == "unsure: p = 0.09"
    mark = "(w) => getComputedStyle(w, '::after').content"
    assert page.locator("#sentence .unsure").first.evaluate(mark) == '"?"'
    assert [box_of(page, index) for index in range(5)] == places
    page.locator("h1").click()
    page.keyboard.press("End")
    assert "p = 0.00 (unsure)" in page.locator("#status").inner_text()
    page.get_by_role("radio", name="all words, all modes").check()
    marked = page.locator("#grid .cell.unsure")
    assert [cell.get_attribute("aria-label") for cell in marked.all()] == ["chases, dot", "dog, dot"]


def box_of(page: Any, index: int) -> tuple[float, ...]:
    box = page.locator("#sentence > *").nth(index).bounding_box()
    return tuple(box[key] for key in ("x", "y", "width", "height"))


def test_no_word_moves_while_they_are_stepped_through(explore: Open) -> None:
    page = explore(trace(WORDS * 4), photo_of((120, 180)), window={"viewport": {"width": 500, "height": 800}})
    places = [box_of(page, index) for index in range(20)]
    photo = page.locator("#stage").bounding_box()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
        assert [box_of(page, index) for index in range(20)] == places
        assert page.locator("#stage").bounding_box() == photo


@pytest.mark.parametrize("size", [(480, 640), (640, 427), (900, 300), (300, 900)])
@pytest.mark.parametrize("words", [WORDS, WORDS * 6])
def test_the_colour_bar_is_above_the_fold(explore: Open, size: tuple[int, int], words: tuple[str, ...]) -> None:
    made = trace(words, Frame.stretch(size, (32, 32), (3, 4)))
    page = explore(made, photo_of(size), window={"viewport": {"width": 1280, "height": 800}})
    box = page.locator("#ticks").bounding_box()
    assert box["y"] + box["height"] <= 800
    assert page.locator("#stage").bounding_box()["height"] >= 199


def test_the_file_is_named_after_the_picture_when_the_click_comes(explore: Open, tmp_path: Path) -> None:
    """Packing takes its time, and meanwhile the words play on."""
    pixels = photo_of((700, 1050))
    made = trace(frame=Frame.stretch((700, 1050), (32, 32), (3, 4)))
    page = explore(made, pixels, duration=0.05)
    slow = """() => {
      const plain = HTMLCanvasElement.prototype.toBlob;
      HTMLCanvasElement.prototype.toBlob = function (...rest) { setTimeout(() => plain.apply(this, rest), 400); };
    }"""
    page.evaluate(slow)
    page.get_by_role("button", name="Play").click()
    for _ in range(3):
        with page.expect_download() as waiting:
            shown_then = page.evaluate(
                "() => { document.getElementById('download').click();"
                " return [...document.querySelectorAll('#sentence button')].findIndex((b) => b.ariaCurrent); }"
            )
        assert waiting.value.suggested_filename == f"step-{shown_then:02d}-{WORDS[shown_then]}.png"
        assert current(page) != shown_then or page.locator("#play").get_attribute("aria-pressed") == "true"
        waiting.value.save_as(tmp_path / "d.png")
        saved = np.asarray(Image.open(tmp_path / "d.png").convert("RGB"))[:700].astype(int)
        off = [
            np.abs(saved - Pictures(made, Photo(pixels, "p", None), DrawOptions()).overlay(index)).mean()
            for index in range(5)
        ]
        assert int(np.argmin(off)) == shown_then


def test_pictures_side_by_side_are_downloaded_together(explore: Open, tmp_path: Path) -> None:
    page = explore(three(), photo_of((120, 180)))
    for view, name, size in (
        ("all words, all modes", "all-words.png", (5, 3)),
        ("this word, all modes", "step-00-a-all.png", (3, 1)),
    ):
        page.get_by_role("radio", name=view).check()
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download").click()
        assert waiting.value.suggested_filename == name
        waiting.value.save_as(tmp_path / "d.png")
        with Image.open(tmp_path / "d.png") as saved:
            saved.load()
        assert saved.width >= size[0] * 180
        assert saved.height >= size[1] * 120
    page.get_by_role("radio", name="one picture").check()
    page.get_by_role("radio", name="dot", exact=True).check()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    assert waiting.value.suggested_filename == "step-00-a-dot.png"


def test_fingers_have_words_of_their_own_and_leave_what_they_read(explore: Open) -> None:
    window = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = explore(three(), photo_of((120, 180)), window=window)
    pointer = page.locator("#pointer")
    assert pointer.inner_text() == "Touch the photo to read the weight there."
    page.locator("#stage").tap()
    assert pointer.inner_text().startswith("Here (row 1, column 2)")
    page.get_by_text("all words, all modes").tap()
    assert pointer.inner_text() == "Tap a picture to see it large."
    page.get_by_role("button", name="dog, general").first.tap()
    assert (page.locator("#stage").is_visible(), current(page)) == (True, 1)
