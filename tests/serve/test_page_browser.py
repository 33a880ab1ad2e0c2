"""The page in a browser, driven as a person would, on a desk and on a phone."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import CHROMIUM
from PIL import Image
from served import Echo, Listening, jpeg

import attnviz
from attnviz.captioner import Captioner

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

pytest.importorskip("uvicorn", reason="attnviz[serve] is not installed")

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SECONDS = 30_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def running() -> Iterator[Listening]:
    found = Listening()
    yield found
    found.stop()


@pytest.fixture(params=[DESK, PHONE], ids=["1280", "390"])
def window(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


Visit = Callable[..., Any]


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Opens a server's page; in the end nothing may have been complained of, nor asked of anybody else."""
    complaints: list[str] = []
    contexts = []
    own: set[str] = set()

    def opened(server: Listening, **window: Any) -> Any:
        own.add(server.url)
        context = browser.new_context(**{**DESK, "accept_downloads": True, **window})
        context.set_default_timeout(SECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda asked: None if _is_own(asked.url, own) else complaints.append(asked.url))
        page.goto(server.url)
        page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    # That a request was refused, or found nobody, is what the tests of errors are about.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def _is_own(url: str, own: set[str]) -> bool:
    return url.startswith(("data:", "blob:", *own))


def answers(page: Any) -> int:
    return int(page.evaluate("document.documentElement.dataset.answer || 0"))


def after(page: Any, act: Callable[[], Any]) -> None:
    """Does something, and waits for the answer that it brings."""
    count = answers(page)
    act()
    page.wait_for_selector(f'html[data-answer="{count + 1}"]')


def give(page: Any, data: bytes, name: str = "park.jpg") -> None:
    """Chooses a file."""
    file = {"name": name, "mimeType": "image/jpeg", "buffer": data}
    after(page, lambda: page.set_input_files("#choose", file))


def ask(page: Any, words: str) -> None:
    page.fill("#words", words)
    after(page, lambda: page.press("#words", "Enter"))


def sentence(page: Any) -> str:
    return " ".join(page.locator("#sentence > *").all_inner_texts())


def said(photo: bytes, mode: str = "concat", **asked: Any) -> attnviz.Trace:
    (trace,) = attnviz.explain(Captioner.tiny(mode), [photo], **asked)
    return trace


DROP = """([text, name, zeros]) => {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0)), transfer = new DataTransfer();
  transfer.items.add(new File([bytes, new Uint8Array(zeros)], name, { type: "image/jpeg" }));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
    document.querySelector("h1, main").dispatchEvent(event);
    if (kind !== "dragenter" && !event.defaultPrevented) throw new Error(`${kind} is left to the browser`);
  }
}"""
PASTE = """async (text) => {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
}"""


def drop(page: Any, data: bytes, name: str, zeros: int = 0) -> None:
    """Drops a file, with so many bytes of 0 behind `data`."""
    page.evaluate(DROP, [base64.b64encode(data).decode(), name, zeros])


def test_a_photo_that_is_dropped(visit: Visit, running: Listening, window: dict[str, Any]) -> None:
    page = visit(running, **window)
    photo = jpeg(1)
    after(page, lambda: drop(page, photo, "Park <img src=x onerror=alert(1)>.jpg"))
    assert sentence(page) == said(photo).caption
    assert page.inner_text("#name") == "Park <img src=x onerror=alert(1)>.jpg"
    assert page.inner_text("#about") == "tiny, concat"
    assert page.evaluate("[overlay.height, overlay.width]") == [48, 64]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    after(page, lambda: drop(page, jpeg(2), "next.jpg"))  # the next one takes its place
    assert page.inner_text("#name") == "next.jpg"
    assert page.locator("#photo").count() == 1


def test_a_photo_that_is_pasted(visit: Visit, running: Listening, window: dict[str, Any]) -> None:
    page = visit(running, **window)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    out = io.BytesIO()
    Image.open(io.BytesIO(jpeg(3))).save(out, "PNG")
    page.evaluate(PASTE, base64.b64encode(out.getvalue()).decode())
    after(page, lambda: page.keyboard.press("Control+V"))
    assert sentence(page) == said(out.getvalue()).caption
    page.evaluate("navigator.clipboard.writeText('https://example.org/photo.jpg')")
    page.keyboard.press("Control+V")
    assert "no photo to paste" in page.inner_text("#trouble")
    page.focus("#words")
    page.keyboard.press("Control+V")
    assert page.input_value("#words") == "https://example.org/photo.jpg"  # words are pasted as ever


def test_photos_to_choose_to_take_and_to_try(visit: Visit, running: Listening, window: dict[str, Any]) -> None:
    page = visit(running, **window)
    assert page.locator("#snap").is_visible() == ("has_touch" in window)
    assert page.get_attribute("#camera", "capture") == "environment"
    file = {"name": "shot.jpg", "mimeType": "image/jpeg", "buffer": jpeg(4)}
    after(page, lambda: page.set_input_files("#camera", file))
    assert sentence(page) == said(jpeg(4)).caption
    after(page, lambda: page.click("[data-sample='horses.jpg']"))
    sample = Path(attnviz.__file__).parent / "serve" / "samples" / "horses.jpg"
    assert sentence(page) == said(sample.read_bytes()).caption


def test_a_question_to_a_network_that_takes_one(visit: Visit, running: Listening, window: dict[str, Any]) -> None:
    assert not visit(running, **window).is_visible("#prompt")
    server = Listening(load=lambda model, mode: Echo())
    page = visit(server, **window)
    assert not page.is_visible("#prompt")
    give(page, jpeg(6))
    page.wait_for_selector("#prompt", state="visible")
    assert page.get_attribute("#prompt", "placeholder") == "a dog"
    assert sentence(page) == "a dog"
    page.fill("#prompt", "the cat runs")
    after(page, lambda: page.press("#prompt", "Enter"))
    assert sentence(page) == "the cat runs"
    ask(page, "grass")  # words of one's own are read over the same question
    assert sentence(page) == "grass"
    assert page.input_value("#prompt") == "the cat runs"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.fill("#prompt", "")
    after(page, lambda: page.press("#prompt", "Enter"))
    after(page, lambda: page.click("#own"))
    assert sentence(page) == "a dog"
    server.stop()


def test_a_photo_that_is_given_before_anything_else_has_come(browser: Any, running: Listening) -> None:
    page = browser.new_page()
    held: list[Any] = []
    page.route("**/api/status", lambda route: held.append(route))
    page.goto(running.url)
    page.click("[data-sample='cat.jpg']")
    page.wait_for_selector("html[data-answer='1']")
    assert page.inner_text("#about") == "tiny, concat"
    for route in held:
        route.continue_()
    page.wait_for_selector("#mode option:checked", state="attached")
    assert page.input_value("#mode") == "concat"
    page.close()


def test_words_that_are_asked_for_cost_the_decoder_alone(
    visit: Visit, running: Listening, window: dict[str, Any]
) -> None:
    page = visit(running, **window)
    photo = jpeg(5)
    give(page, photo)
    before = len(running.seen)
    for words in ("a dog", "the cat runs", "grass"):
        ask(page, words)
        assert sentence(page) == words
        assert page.inner_text("#sentence .shown") == words.split()[-1]  # the word that it is about
    assert len(running.seen) == before
    page.check("#cells")
    ask(page, "dog")
    assert page.is_checked("#cells")  # how it is looked at stays
    after(page, lambda: page.click("#own"))
    assert sentence(page) == said(photo).caption
    assert page.input_value("#words") == ""


def test_modes_to_switch_and_to_compare(visit: Visit, running: Listening, window: dict[str, Any]) -> None:
    page = visit(running, **window)
    photo = jpeg(6)
    give(page, photo)
    after(page, lambda: page.select_option("#mode", "dot"))
    assert sentence(page) == said(photo, "dot").caption
    assert page.inner_text("#about") == "tiny, dot"
    page.click("#beside summary")
    assert page.locator("#others label").all_inner_texts() == ["concat", "general", "other"]
    after(page, lambda: page.check("#others [data-mode='general']"))
    assert sentence(page) == said(photo, "dot").caption  # the first one's words
    assert page.locator("#rows label").all_inner_texts() == ["dot", "general"]
    page.check("#views [value='word']")
    assert page.locator("#grid .cell").count() == 2
    ask(page, "a dog")
    assert page.locator("#grid .cell").count() == 2  # the view stays
    after(page, lambda: page.check("#others [data-model='other']"))
    assert page.locator("#rows label").count() == 3
    after(page, lambda: page.select_option("#model", "other"))
    assert page.locator("#mode").is_hidden()


def test_files_to_keep(visit: Visit, running: Listening, window: dict[str, Any], tmp_path: Path) -> None:
    page = visit(running, **window)
    photo = jpeg(7)
    give(page, photo, "Grün.jpg")
    ask(page, "a dog")
    page.check("#scales [value='linear']")
    starts = {"overview": b"\x89PNG", "gif": b"GIF89a", "pdf": b"%PDF", "npz": b"PK", "html": b"<!DOCTYPE html>"}
    for kind, start in starts.items():
        with page.expect_download() as waiting:
            page.click(f"#take [data-format='{kind}']")
        assert waiting.value.suggested_filename.startswith("Grün-")
        waiting.value.save_as(tmp_path / kind)
        assert (tmp_path / kind).read_bytes().startswith(start)
    trace = attnviz.Trace.load(tmp_path / "npz")
    assert np.array_equal(trace.weights, said(photo, text="a dog").weights)
    assert '"scale":"linear"' in (tmp_path / "html").read_text()  # as it was looked at
    with page.expect_download() as waiting:
        page.click("#download")
    assert waiting.value.suggested_filename == "step-01-dog.png"


def test_photos_that_are_none(visit: Visit, running: Listening, window: dict[str, Any]) -> None:
    page = visit(running, **window)
    give(page, jpeg(8))
    before = sentence(page)
    for data, zeros, words in (
        (b"hello", 0, "is not an image that can be read"),
        (jpeg(8)[:300], 0, "cut off"),
        (huge_png(), 0, "the limit is 100,000,000"),
        (b"", 0, "there is no photo"),
        (b"", 33 * 2**20, "is larger than 32 MiB"),
    ):
        drop(page, data, "odd.jpg", zeros)
        page.wait_for_function("(words) => document.getElementById('trouble').textContent.includes(words)", arg=words)
        assert page.locator("#trouble[role='alert']").is_visible()
        assert page.locator("#progress").is_hidden()
        assert sentence(page) == before
    after(page, lambda: page.select_option("#mode", "dot"))  # of the photo that is shown
    assert page.inner_text("#about") == "tiny, dot"
    assert page.locator("#trouble").is_hidden()
    after(page, lambda: page.select_option("#mode", "concat"))
    give(page, jpeg(9))  # it goes on
    assert page.locator("#trouble").is_hidden()
    assert sentence(page) == said(jpeg(9)).caption
    page.fill("#words", "?!")
    page.press("#words", "Enter")
    page.wait_for_selector("#trouble")
    assert "no word" in page.inner_text("#trouble")


def huge_png() -> bytes:
    """100,000 by 100,000 pixels, as its header says."""
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, "PNG")
    data = bytearray(out.getvalue())
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def test_a_server_that_is_stopped_and_comes_back(visit: Visit, window: dict[str, Any]) -> None:
    first = Listening()
    page = visit(first, **window)
    photo = jpeg(10)
    give(page, photo)
    first.stop()
    page.fill("#words", "a dog")
    page.press("#words", "Enter")
    page.wait_for_selector("#trouble")
    assert "does not answer" in page.inner_text("#trouble")
    again = Listening(first.server.address.port)
    page.wait_for_selector("#trouble", state="hidden")
    ask(page, "a dog")  # it has never seen the photo, which is sent once more
    assert sentence(page) == "a dog"
    assert again.seen == [1]
    again.stop()


def test_evidence_on_demand(visit: Visit, running: Listening, tmp_path: Path) -> None:
    page = visit(running)
    give(page, jpeg(11))
    ask(page, "a dog")
    assert page.locator("#report").is_hidden()
    page.click("#test")
    page.wait_for_selector("html[data-tested]")
    assert page.inner_text("#verdict").startswith("“dog”, tested:")  # the word that was shown
    with page.expect_download() as waiting:
        page.click("#report")
    assert waiting.value.suggested_filename == "park-evidence.html"


def test_evidence_can_be_cancelled(visit: Visit, running: Listening) -> None:
    page = visit(running)
    give(page, jpeg(12))
    page.click("#test")
    page.wait_for_function("() => / of /.test(document.getElementById('count').textContent)")
    assert page.get_attribute("#gauge", "max") is not None
    ask(page, "the dog")  # does not wait for it
    assert page.locator("#testing").is_visible()
    page.click("#stop")
    page.wait_for_selector("#test")
    assert page.locator("#testing").is_hidden()
    ask(page, "a dog")
    assert sentence(page) == "a dog"
    assert page.locator("#verdict").is_hidden()


def test_by_keyboard_alone(visit: Visit, running: Listening) -> None:
    page = visit(running)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    for _ in range(9):
        if page.evaluate("document.activeElement.dataset.sample") == "dog.jpg":
            break
        page.keyboard.press("Tab")
    after(page, lambda: page.keyboard.press("Enter"))
    page.focus("#words")
    page.keyboard.type("a dog ")  # the explorer's keys are not for a field
    assert page.input_value("#words") == "a dog "
    assert page.get_attribute("#play", "aria-pressed") == "false"
    after(page, lambda: page.keyboard.press("Enter"))
    assert page.inner_text("#sentence .shown") == "dog"
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#sentence .shown") == "dog"
    page.focus("#own")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#sentence .shown") == "a"
    page.focus("#mode")
    after(page, lambda: page.keyboard.press("ArrowDown"))
    assert page.inner_text("#about") == "tiny, general"
    assert page.evaluate("document.activeElement.id") == "mode"  # what has the focus keeps it


NAMELESS = """() => [...document.querySelectorAll("button, input, select, summary")].filter((one) => {
  const label = one.labels?.[0]?.textContent || one.getAttribute("aria-label") || one.textContent || one.title;
  return !label.trim();
}).map((one) => one.outerHTML)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_can_be_read(
    visit: Visit, running: Listening, window: dict[str, Any], scheme: str
) -> None:
    page = visit(running, **window, color_scheme=scheme)
    give(page, jpeg(13))
    page.click("#beside summary")
    assert page.evaluate(NAMELESS) == []
    assert page.get_attribute("#doing", "role") == page.get_attribute("#state", "role") == "status"
    assert page.get_attribute("html", "lang") == "en"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    drop(page, b"hello", "odd.jpg")
    page.wait_for_selector("#trouble")
    for place in ("#trouble", "#query .main", "#privacy", "#choices label", "#take button"):
        assert contrast(page, place) >= 4.5, place


CONTRAST = """(one) => {
  const own = getComputedStyle(one);
  let back = one;
  while (getComputedStyle(back).backgroundColor === "rgba(0, 0, 0, 0)" && back.parentElement) back = back.parentElement;
  const numbers = (text) => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
  return [numbers(own.color), numbers(getComputedStyle(back).backgroundColor)];
}"""


def contrast(page: Any, place: str) -> float:
    """As WCAG has it: 4.5 and more can be read."""

    def light(colour: list[float]) -> float:
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(colour) / 255]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted(map(light, page.locator(place).first.evaluate(CONTRAST)))
    return (high + 0.05) / (low + 0.05)
