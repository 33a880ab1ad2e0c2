"""The gallery and the table of a run: what they hold, and the gallery in a browser."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pytest
from chromium import CHROMIUM
from hypothesis import given, strategies as st

from attnviz.batch import run
from attnviz.batch.manifest import Record, lines
from attnviz.batch.outs import Folder
from attnviz.batch.report import key as key_of, table, write_report
from attnviz.batch.sources import Files
from attnviz.captioner import Captioner

Make = Callable[..., Path]

NAMES = ["a.jpg", "<script>alert(1)</script>.jpg".replace("/", "-"), "b & \"c\" 'd'.jpg", "é/#100%.jpg", "-=1.jpg"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, photos: Make) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    photos(folder / "photos", NAMES)
    (folder / "photos" / "<b>bad.jpg").write_bytes(b"")
    options: dict[str, Any] = {"beam": 1, "size": 48, "threads": 1, "text": "a dog <b>runs</b>", "report": True}
    outcome = run(Captioner.tiny(seed=4), folder / "photos", folder / "out", **options)
    assert outcome.report == folder / "out" / "index.html"
    return folder / "out"


class Links(HTMLParser):
    """Collects where a page leads, and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("href", "src") and value]


def test_links_are_relative_and_lead_somewhere(out: Path) -> None:
    page = Links()
    page.feed((out / "index.html").read_text(encoding="utf-8"))
    files = [link for link in page.links if not link.startswith("data:")]
    assert len(files) > 5 * len(NAMES)
    for link in files:
        assert ":" not in link
        assert (out / unquote(link)).exists(), link
    assert page.tags.count("img") == len(NAMES) + 1  # and the explorer's
    assert page.tags.count("script") == 2  # one of them data
    assert "b" not in page.tags
    text = (out / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"]*", text)) == {
        "http://www.w3.org/2000/svg"
    }  # SVG's name, which nobody fetches


def test_the_same_photos_give_the_same_report(out: Path, tmp_path: Path) -> None:
    before = [(out / name).read_bytes() for name in ("index.html", "captions.csv")]
    write_report(Folder(out), Files(out.parent / "photos").finder(), 2)
    assert [(out / name).read_bytes() for name in ("index.html", "captions.csv")] == before


def test_shards_share_a_report(tmp_path: Path) -> None:
    records = [
        {"a": Record("a", "failed", error="x"), "b": Record("b", "done", caption="dog", folder="b-attention")},
        {"a": Record("a", "done", caption="cat", folder="a-attention"), "c": Record("c", "failed", error="y")},
    ]
    for part, some in enumerate(records, 1):
        (tmp_path / f"manifest-{part}-of-2.jsonl").write_bytes(lines(some))
    write_report(Folder(tmp_path), Files(tmp_path).finder())
    rows = csv.DictReader(io.StringIO((tmp_path / "captions.csv").read_text("utf-8-sig")))
    assert [(row["path"], row["state"]) for row in rows] == [("a", "done"), ("b", "done"), ("c", "failed")]


@pytest.mark.parametrize("bad", ["=1+1", "+1", "-1", "@a", "\tx", "\rx"])
def test_no_cell_is_a_formula(bad: str) -> None:
    record = Record(f"{bad}.jpg", "done", caption=bad, folder=bad, probability=0.5, entropy=1.0, error=bad)
    (row,) = csv.DictReader(io.StringIO(table([record]).decode("utf-8-sig")))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())
    assert row["probability"] == "0.5"
    assert unquote(row["key"]) == f"{bad}.jpg"


@given(st.text(st.characters(exclude_characters="\0"), min_size=1))
def test_the_key_joins_with_the_manifest(path: str) -> None:
    """Whatever a photo is called: the key is plain, no formula, and no two photos have the same."""
    found = key_of(path)
    assert re.fullmatch(r"[\w./~%][\w./~%-]*", found, re.ASCII)
    try:
        path.encode()
    except UnicodeEncodeError:
        return  # it holds bytes that are no text; these come back as bytes
    assert unquote(found) == path


def test_the_key_of_bytes_that_are_no_text() -> None:
    assert unquote_to_bytes(key_of("a\udcff.jpg")) == b"a\xff.jpg"


@pytest.fixture
def page(out: Path) -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 390, "height": 800})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
        page.goto((out / "index.html").as_uri())
        yield page
        assert complaints == []
        chromium.close()


def shown(page: Any) -> list[str]:
    return [link.get_attribute("aria-label") for link in page.query_selector_all("li:not([hidden]) .photo")]


def test_search_and_order(page: Any, out: Path) -> None:
    names = sorted(NAMES)
    assert shown(page) == names
    page.fill("#search", "DOG é")
    assert shown(page) == ["é/#100%.jpg"]
    assert page.inner_text("#count") == "1 of 5 photos"
    page.fill("#search", "zebra")
    assert shown(page) == []
    assert page.is_visible("#none")
    page.fill("#search", "")
    rows = list(csv.DictReader(io.StringIO((out / "captions.csv").read_text("utf-8-sig"))))
    for key, sign in (("entropy", 1), ("entropy", -1), ("probability", 1), ("probability", -1)):
        page.select_option("#sort", f"{key}:{sign}")
        values = {row["path"].lstrip("'"): float(row[key]) * sign for row in rows if row["state"] == "done"}
        assert [values[name] for name in shown(page)] == sorted(values.values())
    page.select_option("#sort", "")
    assert shown(page) == names


def test_it_fits_a_phone_and_names_what_failed(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.select_option("#only", "failed")
    assert page.text_content(".failed .path") == "<b>bad.jpg"
    assert "is empty" in page.text_content(".failed .error")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
