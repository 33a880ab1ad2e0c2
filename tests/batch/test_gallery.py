"""The gallery in a browser, as somebody looks through it: from a disk, offline, by mouse, finger and keys."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import json
import re
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import CHROMIUM
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import attnviz
from attnviz import Frame, Trace
from attnviz.batch.gallery.tiles import LEAST, MOST, MOST_CELLS, coarse, codes, maps, read
from attnviz.batch.manifest import Record, lines
from attnviz.batch.outs import Folder
from attnviz.batch.report import write_report
from attnviz.batch.sources import Files
from attnviz.photo.image import Photo
from attnviz.render import DrawOptions
from attnviz.render.pictures import Pictures

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

SIZE = (120, 180)
SURE, UNSURE = np.log(np.float32(0.9)), np.log(np.float32(0.05))
PHOTOS: dict[str, tuple[tuple[str, ...], set[int]]] = {  # path -> words, and which the first network was unsure of
    "a.png": (("a", "brown", "dog", "runs"), set()),
    "b/<i>&'\".png": (("two", "<b>cats</b>", "</script>", "sit"), {1}),
    "c.png": (("people", "on", "a", "street"), {0, 3}),
    "d.png": (("a", "bird"), set()),
}


def photo_of(seed: int) -> np.ndarray:
    low = np.random.default_rng(seed).integers(60, 200, (4, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(low).resize(SIZE[::-1]))


def trace(
    words: tuple[str, ...], seed: int, unsure: set[int], mode: str = "concat", frame: Frame | None = None
) -> Trace:
    frame = frame or Frame.stretch(SIZE, (32, 32), (4, 6))
    count = frame.grid[0] * frame.grid[1]
    weights = np.random.default_rng(seed).dirichlet(np.full(count, 0.15), len(words)).astype(np.float32)
    logprobs = np.array([UNSURE if index in unsure else SURE for index in range(len(words))], np.float32)
    return Trace(weights.reshape(-1, *frame.grid), words, logprobs, frame=frame, mode=mode, model="m")


def traces() -> dict[str, list[Trace]]:
    """Of each photo one of the mode concat, sure or not; of the first three another, on another grid, sure of all."""
    other = Frame.letterbox(SIZE, (32, 32), (5, 5))
    made = {}
    for seed, (path, (words, unsure)) in enumerate(PHOTOS.items()):
        made[path] = [trace(words, seed, unsure)]
        if path != "d.png":
            made[path].append(trace(words, 10 + seed, set(), "dot", other))
    return made


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with its gallery, as `attnviz batch --report` leaves it."""
    folder = tmp_path_factory.mktemp("gallery")
    records = {"z.jpg": Record("z.jpg", "failed", error="is <em>empty</em>")}
    for seed, (path, (first, *others)) in enumerate(traces().items()):
        results = f"{path}-attention"
        (folder / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo_of(seed)).save(folder / "photos" / path)
        files = attnviz.draw(first, photo_of(seed), folder / "out" / results, formats=("png",))
        for one in others:
            one.save(folder / "out" / results / f"trace-{one.mode}.npz")
        names = [file.name for file in files] + [f"trace-{one.mode}.npz" for one in others]
        digest = hashlib.sha256(files[-1].read_bytes()).hexdigest()
        records[path] = Record(
            path,
            "done",
            first.caption,
            results,
            tuple(names),
            probability=0.5 + 0.1 * seed,
            entropy=2.0 - seed,
            sha256=str(seed),
            summary=digest,
        )
    (folder / "out" / "manifest.jsonl").write_bytes(lines(records))
    write_report(Folder(folder / "out"), Files(folder / "photos").finder(), 1)
    return folder / "out"


def test_each_photo_has_a_thumbnail_and_a_script_beside_the_page(out: Path) -> None:
    page = (out / "index.html").read_text(encoding="utf-8")
    beside = {path.name for path in (out / "index-files").iterdir()}
    keys = re.findall(r'data-key="([0-9a-f]{16})"', page)
    assert len(set(keys)) == len(PHOTOS)
    assert beside == {f"{key}.{kind}" for key in keys for kind in ("js", "webp")}
    for key in keys:
        assert f'src="index-files/{key}.webp"' in page
        call = re.fullmatch(r'attnvizPhoto\("(\w+)",(\{.*\})\)\n', (out / "index-files" / f"{key}.js").read_text())
        assert call is not None
        assert call[1] == key
        data = json.loads(call[2])
        assert data["photo"].startswith("data:image/webp;base64,")
        assert not set("<>&") & set(call[2])
    page = page.replace("http://www.w3.org/2000/svg", "")  # the name of SVG, which nobody fetches
    assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|XMLHttp", page)


def test_what_is_there_already_is_not_made_again_and_what_is_no_longer_wanted_goes(out: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(out, tmp_path / "out")
    (copy / "index-files" / "0123456789abcdef.js").write_text("of an earlier run")
    (copy / "index-files" / "mine.txt").write_text("not ours")
    page = (copy / "index.html").read_bytes()
    written: list[str] = []

    class Watched(Folder):
        def write(self, name: str, data: bytes) -> None:
            written.append(name)
            super().write(name, data)

    write_report(Watched(copy), Files(tmp_path / "nowhere").finder())  # the photos are gone, their small copies are not
    assert sorted(written) == ["captions.csv", "index.html"]
    assert (copy / "index.html").read_bytes() == page
    names = {path.name for path in (copy / "index-files").iterdir()}
    assert names == {path.name for path in (out / "index-files").iterdir()} | {"mine.txt"}


def test_results_that_are_gone_are_told_in_words_alone(out: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(out, tmp_path / "out")
    (copy / "a.png-attention" / "trace.npz").write_bytes(b"damaged")
    shutil.rmtree(copy / "d.png-attention")
    shutil.rmtree(copy / "index-files")
    write_report(Folder(copy), Files(tmp_path / "nowhere").finder())
    page = (copy / "index.html").read_text(encoding="utf-8")
    assert "<img src=" not in page.split("<template")[0]
    assert "a brown dog runs" in page


@given(arrays.arrays(np.float32, (3, 4), elements=st.floats(0, 4096, width=32)))
def test_a_code_is_a_density_to_a_few_percent(density: np.ndarray) -> None:
    found = codes(density).astype(float)
    factor = (MOST / LEAST) ** (1 / 254)
    back = np.where(found > 0, LEAST * factor ** (found - 1), 0)
    seen = density >= LEAST
    assert (np.abs(np.log(back[seen] / density[seen])) <= np.log(factor) / 2 + 1e-4).all()
    assert (back[~seen] <= LEAST).all()


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_coarse_grid_has_few_cells_that_are_about_square(height: int, width: int) -> None:
    rows, columns = coarse((height, width))
    assert 1 <= rows * columns <= MOST_CELLS
    if min(height, width) > 100 and 0.2 < height / width < 5:
        assert rows * columns > MOST_CELLS / 2
        assert 0.8 < (height / rows) / (width / columns) < 1.25


def test_fine_maps_are_averaged_for_tiles_and_small_ones_kept() -> None:
    fine = trace(("a", "b"), 1, set(), frame=Frame.stretch((400, 600), (640, 960), (40, 60)))
    made = maps(fine, [0, 1])
    grid = tuple(made["grid"])
    assert grid == coarse((400, 600))
    cells = np.frombuffer(zlib.decompress(base64.b64decode(made["codes"])), np.uint8).reshape(2, *grid)
    assert grid == (16, 24)
    mean = fine.density.reshape(2, 16, 40 // 16 or 1, 24, -1) if 40 % 16 == 0 else None
    assert mean is None  # cells straddle: compare with the library's own averages instead
    wanted = fine.heatmaps(size=grid)
    np.testing.assert_array_equal(cells, codes(wanted))
    assert maps(trace(("a",), 1, set()), [0])["grid"] == [4, 6]


def test_a_tile_is_read_as_its_pictures_were_drawn(tmp_path: Path) -> None:
    made = trace(("a", "dog", "runs"), 3, {1})
    files = attnviz.draw(
        made, photo_of(1), tmp_path / "r", formats=("png",), steps="1-2", style="contour", relative=True
    )
    tile = read(Folder(tmp_path).read, "r", [file.name for file in files])
    assert tile is not None
    assert (tile.steps, tile.main, tile.doubtful()) == ((1, 2), 0, [True, False])
    assert tile.options.opacity is None
    np.testing.assert_allclose(tile.traces[0].weights, made.relative().weights)
    assert read(Folder(tmp_path).read, "r", ["step-00-a.png"]) is None


class Looker:
    """A page that was opened, and what it complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def caption(self, number: int) -> Any:
        return self.page.locator("#photos li").nth(number).locator(".caption a")

    def shown(self, number: int) -> str:
        return " ".join(self.page.locator("#photos li").nth(number).locator(".caption a.shown").all_text_contents())

    def visible(self) -> list[str]:
        """Names of the photos that the filters leave; what is off the window has no inner text."""
        names = self.page.locator("#photos li:not([hidden])").locator(".about a, .path")
        return [str(text) for text in names.all_text_contents()]

    def layer(self, number: int) -> np.ndarray:
        """(H, W, 4): the pixels of a tile's heat."""
        read = """(number) => {
          const canvas = document.querySelectorAll("#photos li canvas")[number];
          const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
          const pen = copy.getContext("2d", { willReadFrequently: true });
          pen.drawImage(canvas, 0, 0);
          const bytes = pen.getImageData(0, 0, copy.width, copy.height).data;
          return [[copy.height, copy.width], btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))];
        }"""
        size, flat = self.page.evaluate(read, number)
        return np.frombuffer(base64.b64decode(flat), np.uint8).reshape(*size, 4)

    def wait_for_word(self, number: int, word: int) -> None:
        self.page.wait_for_function(
            "([n, w]) => document.querySelectorAll('#photos li')[n].dataset.word === String(w)", arg=[number, word]
        )

    def opened(self) -> str:
        self.page.wait_for_selector("#box[data-ready]")
        return str(self.page.locator("#room #name").inner_text())


@pytest.fixture
def look(browser: Any, out: Path) -> Iterator[Callable[..., Looker]]:
    """Opens the gallery; in the end nothing may have been complained of, nor asked for outside its folder."""
    complaints: list[str] = []
    contexts = []

    def opened(address: str | None = None, **window: Any) -> Looker:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **window})
        contexts.append(context)
        page = context.new_page()
        home = address or (out / "index.html").as_uri()
        inside = ("data:", "blob:", home.rsplit("/", 1)[0])
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda asked: None if asked.url.startswith(inside) else complaints.append(asked.url))
        page.goto(home)
        page.wait_for_selector("html[data-ready]")
        return Looker(page)

    opened.complaints = complaints  # type: ignore[attr-defined]
    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def overlay_of(number: int, word: int, row: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A photo, and the picture that Python makes of one of its words, as large as thumbnails are."""
    made = list(traces().values())[number][row]
    photo = photo_of(number)
    pixels = np.asarray(Image.fromarray(photo).resize((320, 213)))
    return pixels, Pictures(made, Photo(pixels, "p", None), DrawOptions(size=None)).overlay(word)


def laid_over(pixels: np.ndarray, layer: np.ndarray) -> np.ndarray:
    alpha = layer[..., 3:].astype(float) / 255
    return pixels * (1 - alpha) + layer[..., :3] * alpha


def test_tiles_show_the_map_of_the_main_word(look: Callable[..., Looker]) -> None:
    found = look()
    mains = ["dog", "</script>", "people", "bird"]
    for number, word in enumerate(mains):
        assert found.shown(number) == word
        index = list(PHOTOS.values())[number][0].index(word)
        found.wait_for_word(number, index)
        pixels, wanted = overlay_of(number, index)
        off = np.abs(laid_over(pixels, found.layer(number)) - wanted)
        assert np.quantile(off, 0.99) <= 12  # one byte a cell: a level or two
        assert off.mean() < 1.5


def test_hover_shows_each_word_and_leaving_the_main_one_again(look: Callable[..., Looker]) -> None:
    found = look()
    for index, word in enumerate(("a", "brown", "dog", "runs")):
        found.caption(0).nth(index).hover()
        assert found.shown(0) == word
        found.wait_for_word(0, index)
        pixels, wanted = overlay_of(0, index)
        assert np.abs(laid_over(pixels, found.layer(0)) - wanted).mean() < 1.5
    found.page.mouse.move(1, 1)
    assert found.shown(0) == "dog"
    assert found.shown(1) == "</script>"  # the others kept theirs


def test_words_play_while_the_pointer_rests_on_the_photo(look: Callable[..., Looker]) -> None:
    found = look()
    seen = set()
    found.page.locator(".photo").first.hover()
    for _ in range(60):
        found.page.wait_for_timeout(60)
        seen.add(found.shown(0))
        if len(seen) == 4:
            break
    assert seen == {"a", "brown", "dog", "runs"}
    found.page.mouse.move(1, 1)
    assert found.shown(0) == "dog"
    calm = look(reduced_motion="reduce")
    calm.page.locator(".photo").first.hover()
    calm.page.wait_for_timeout(1200)
    assert calm.shown(0) == "dog"


def test_keys_go_from_photo_to_photo_and_from_word_to_word(look: Callable[..., Looker]) -> None:
    found = look()
    found.page.locator(".photo").first.focus()
    found.page.keyboard.press("Tab")
    assert found.shown(0) == "dog"
    assert found.page.evaluate("document.activeElement.textContent") == "dog"
    for key, word in (("ArrowRight", "runs"), ("ArrowRight", "runs"), ("ArrowLeft", "dog"), ("ArrowLeft", "brown")):
        found.page.keyboard.press(key)
        assert found.shown(0) == word
    found.page.keyboard.press("Enter")
    assert found.opened() == "a.png"
    assert "“brown”" in found.page.locator("#room #status").inner_text()
    found.page.keyboard.press("Escape")
    assert found.page.locator("#box").is_hidden()
    found.page.wait_for_function("() => document.activeElement.getAttribute('aria-label') === 'a.png'")


def test_a_tap_shows_a_word_and_another_opens_it(look: Callable[..., Looker]) -> None:
    found = look(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert found.page.locator("#hint").inner_text() == "Tap a word to see where it looked, again to explore."
    word = found.caption(0).nth(3)
    word.tap()
    assert found.shown(0) == "runs"
    assert found.page.locator("#box").is_hidden()
    word.tap()
    assert found.opened() == "a.png"
    assert "“runs”" in found.page.locator("#room #status").inner_text()
    assert found.page.evaluate("document.documentElement.scrollWidth") <= 390
    found.page.get_by_role("button", name="Close").tap()
    found.page.locator(".photo").nth(1).tap()
    assert found.opened() == "<i>&'\".png"


def test_the_box_goes_to_the_next_and_previous_photo_that_is_shown(look: Callable[..., Looker]) -> None:
    found = look()
    found.page.fill("#search", "a")  # not the failed one alone: all
    found.page.select_option("#sort", "entropy:1")
    order = [name.rsplit("/")[-1] for name in found.visible() if name != "z.jpg"]
    assert order == ["d.png", "c.png", "<i>&'\".png", "a.png"]
    found.page.locator(".photo").first.click()
    before, after = (found.page.get_by_role("button", name=f"{name} photo") for name in ("Previous", "Next"))
    assert found.opened() == "d.png"
    assert (before.is_disabled(), found.page.locator("#place").inner_text()) == (True, "1 of 4")
    for go, wanted in (
        (after.click, "c.png"),
        (lambda: found.page.keyboard.press("n"), "<i>&'\".png"),
        (after.click, "a.png"),
        (lambda: found.page.keyboard.press("n"), "a.png"),
        (lambda: found.page.keyboard.press("p"), "<i>&'\".png"),
        (before.click, "c.png"),
    ):
        go()
        found.page.wait_for_function(
            "(name) => document.querySelector('#room #name')?.textContent === name", arg=wanted
        )
    assert found.page.locator("#folder").get_attribute("href") == "c.png-attention/"
    found.page.wait_for_selector("#box[data-ready]")
    found.page.keyboard.press("ArrowRight")
    assert "Word 2 of 4" in found.page.locator("#room #status").inner_text()  # keys go to one explorer and not to four
    found.page.get_by_role("button", name="Close").click()
    found.page.keyboard.press("n")
    assert found.page.locator("#box").is_hidden()


def test_a_link_opens_the_photo_that_was_open(look: Callable[..., Looker], out: Path) -> None:
    found = look()
    found.page.locator(".photo").nth(2).click()
    assert found.opened() == "c.png"
    address = found.page.url
    assert "#" in address
    assert look(address).opened() == "c.png"
    found.page.keyboard.press("Escape")
    found.page.wait_for_function("() => !location.href.includes('#')")


def test_the_explorer_in_the_box_is_the_whole_page(look: Callable[..., Looker], tmp_path: Path) -> None:
    found = look()
    page = found.page
    found.caption(0).nth(1).click()
    assert found.opened() == "a.png"
    page.get_by_role("radio", name="all words, all modes").check()
    assert page.locator("#grid .label").all_inner_texts() == ["concat", "dot"]
    page.get_by_role("button", name="dog, dot").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    assert waiting.value.suggested_filename == "step-02-dog-dot.png"
    waiting.value.save_as(tmp_path / "d.png")
    with Image.open(tmp_path / "d.png") as picture:
        assert picture.width == SIZE[1]
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Next photo").click()
    page.wait_for_function("() => document.querySelector('#room #name')?.textContent !== 'a.png'")
    page.wait_for_selector("#box[data-ready]")
    status = page.locator("#room #status").inner_text()
    page.wait_for_timeout(1000)
    assert page.locator("#room #status").inner_text() == status  # what played is gone with its photo


def test_search_and_filters(look: Callable[..., Looker]) -> None:
    found = look()
    page = found.page
    everything = ["a.png", "b/<i>&'\".png", "c.png", "d.png", "z.jpg"]
    assert sorted(found.visible()) == everything
    assert page.locator("#count").inner_text() == "4 photos, 1 failed"
    page.fill("#search", "A DOG")
    assert (found.visible(), page.locator("#count").inner_text()) == (["a.png"], "1 of 4 photos")
    page.fill("#search", "zebra")
    assert (found.visible(), page.locator("#none").is_visible()) == ([], True)
    page.fill("#search", "")
    page.select_option("#only", "unsure")
    assert found.visible() == ["b/<i>&'\".png", "c.png"]
    page.select_option("#mode", "dot")  # which was sure of all
    assert found.visible() == []
    page.select_option("#only", "failed")
    assert (found.visible(), page.locator("#count").inner_text()) == (["z.jpg"], "1 failed")
    assert page.locator(".failed .error").text_content() == "is <em>empty</em>"
    page.select_option("#only", "")
    assert sorted(found.visible()) == [*everything[:3], "z.jpg"]  # one photo has no map of this mode
    found.wait_for_word(0, 2)
    page.wait_for_timeout(200)
    pixels, wanted = overlay_of(0, 2, 1)
    off = np.abs(laid_over(pixels, found.layer(0)) - wanted)
    assert off.mean() < 1.5
    page.get_by_role("checkbox", name="heat").uncheck()
    assert page.locator("#photos canvas:visible").count() == 0
    assert found.shown(0) == ""


def test_unsure_words_are_marked(look: Callable[..., Looker]) -> None:
    found = look()
    marked = found.page.locator(".caption a.unsure").all_text_contents()
    assert marked == ["<b>cats</b>", "people", "street"]
    mark = "(word) => getComputedStyle(word, '::after').content"
    assert found.page.locator(".caption a.unsure").first.evaluate(mark) == '"?"'
    found.page.select_option("#mode", "dot")
    assert found.page.locator("#photos li:not([hidden]) .caption a.unsure").count() == 0


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window_light_and_dark(look: Callable[..., Looker], width: int, scheme: str) -> None:
    found = look(viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    colours = "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]; }"
    back, ink = (np.mean([int(value) for value in colour[4:-1].split(",")]) for colour in found.page.evaluate(colours))
    assert (back > 200 and ink < 60) if scheme == "light" else (back < 60 and ink > 200)
    found.page.locator(".photo").first.click()
    assert found.opened() == "a.png"
    assert found.page.evaluate("document.getElementById('box').scrollWidth") <= width


def test_it_works_from_a_server_too(look: Callable[..., Looker], out: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(out)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        found = look(f"http://127.0.0.1:{server.server_port}/index.html")
        found.wait_for_word(0, 2)
        found.page.locator(".photo").first.click()
        assert found.opened() == "a.png"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_script_that_is_missing_is_named(look: Callable[..., Looker], out: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(out, tmp_path / "out")
    for script in (copy / "index-files").glob("*.js"):
        script.unlink()
    found = look((copy / "index.html").as_uri())
    found.page.locator(".photo").first.click()
    found.page.wait_for_selector("#room:has-text('data of this photo is missing')")
    (told,) = look.complaints  # type: ignore[attr-defined]
    assert "ERR_FILE_NOT_FOUND" in told
    look.complaints.clear()  # type: ignore[attr-defined]
