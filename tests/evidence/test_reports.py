"""Evidence on paper, as a page, and in the explorer."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import Planted, lit, peaked

import attnviz
from attnviz.evidence import Evidence, Settings, check
from attnviz.evidence.page import HIGH, page
from attnviz.evidence.report import figures
from attnviz.evidence.table import remarks, rows

CELLS = [(0, 1), None, (3, 0), (1, 1), (2, 2), (0, 0)]
WORDS = ["sun", "</script><b>", "$star", "a\u202eb", "in", "sky"]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    maps = peaked((0, 1), (0, 0), (3, 0), (1, 1), (0, 1), (0, 1))
    return check(Planted(WORDS, CELLS, maps), lit((0, 1), (3, 0)), settings=Settings(how="mean", steps=4, draws=2))


def test_the_page_has_every_word_and_asks_for_nothing(evidence: Evidence) -> None:
    text = page(evidence, lit((0, 1), (3, 0)))
    assert text == page(evidence, lit((0, 1), (3, 0)))
    tags: list[str] = []
    links: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            links.extend(value or "" for name, value in attrs if name in ("src", "href"))

    Reader().feed(text)
    assert tags.count("article") == len(WORDS)
    assert tags.count("img") == len(WORDS)
    assert "b" not in tags
    assert "script" not in tags
    assert all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert "default-src 'none'" in text
    assert "\u202e" not in text
    for word in evidence.words:
        assert text.count(f"deletion: mean height {word.deletion.area:.3f}") >= 1


def test_a_curve_on_the_page_is_the_curve(evidence: Evidence) -> None:
    text = page(evidence, lit((0, 1), (3, 0)))
    curves = re.findall(r'<polyline class="own" points="([^"]+)"', text)
    tops = [float(top) for top in re.findall(r'class="top"[^>]*>([\d.]+)<', text)]
    assert len(curves) == 2 * len(WORDS)
    for points, top, curve in zip(
        curves, tops, [curve for word in evidence.words for curve in (word.deletion, word.insertion)], strict=True
    ):
        heights = [1 - float(point.split(",")[1]) / HIGH for point in points.split()]
        np.testing.assert_allclose(np.array(heights) * top * 1.05, curve.values, atol=0.02)


def test_paper_has_five_words_a_page_and_the_remarks_on_the_last(evidence: Evidence) -> None:
    pages = list(figures(evidence, lit((0, 1), (3, 0))))
    assert [len(one.axes) for one in pages] == [3 * 5 + 1, 3 * 1 + 1]  # three a word, and the bar
    texts = [text.get_text() for text in pages[-1].texts]
    assert any("were read for this" in text for text in texts)
    assert not any("were read for this" in text.get_text() for text in pages[0].texts)
    for one in pages:  # nothing leaves the page
        one.canvas.draw()
        wide, high = one.get_size_inches() * one.dpi
        for text in one.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= wide
            assert box.y0 >= 0
            assert box.y1 <= high


def test_remarks_that_have_no_room_get_a_page_and_nothing_is_cut() -> None:
    cells = [(0, 1), (3, 0), (1, 1), (2, 2), (0, 0)]
    settings = Settings(how="mean", steps=4, draws=2)
    found = check(Planted(WORDS[:5], cells, peaked(*cells)), lit((0, 1)), settings=settings)
    words = tuple(replace(word, randomised={f"layer {n}": 0.5 for n in range(80)}) for word in found.words)
    found = replace(found, words=words)
    pages = list(figures(found, lit((0, 1))))
    assert [len(one.axes) for one in pages] == [3 * 5 + 1, 1]
    told = " ".join(text.get_text() for text in pages[-1].texts)
    assert "layer 79 0.50" in told
    assert "were read for this." in told
    assert "layer 79 0.50" in page(found, lit((0, 1)))


def test_the_table_has_a_row_a_word(evidence: Evidence) -> None:
    heading, *lines = rows(evidence)
    assert [line[0] for line in lines] == list(evidence.trace.tokens)
    assert {len(line) for line in lines} == {len(heading)}
    assert (
        remarks(evidence)[-1] == f"{evidence.passes} versions of the photo, with cells taken away, were read for this."
    )


def test_verdicts_are_in_the_explorer_and_in_the_file(evidence: Evidence, tmp_path: Path) -> None:
    evidence.trace.save(tmp_path / "t.npz")
    trace = attnviz.Trace.load(tmp_path / "t.npz")
    assert trace.verdicts == evidence.trace.verdicts
    photo = io.BytesIO()
    Image.fromarray(lit((0, 1), (3, 0)).pixels).save(photo, "PNG")
    attnviz.draw(trace, photo.getvalue(), tmp_path / "out", formats=("html",))
    text = (tmp_path / "out" / "attention.html").read_text(encoding="utf-8")
    assert '"verdicts":[["' in text
    assert evidence.words[1].verdict.kind in text
    plain = attnviz.Trace(trace.weights, trace.tokens, trace.logprobs, frame=trace.frame)
    attnviz.draw(plain, photo.getvalue(), tmp_path / "plain", formats=("html",))
    assert '"verdicts":null' in (tmp_path / "plain" / "attention.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("wrong", [[("a", "b")] * 5, [("a",)] * 6, "abcdef", [(1, "b")] * 6])
def test_verdicts_that_are_none_are_refused(evidence: Evidence, wrong: object) -> None:
    with pytest.raises(attnviz.errors.TraceError, match="verdicts"):
        attnviz.Trace(evidence.trace.weights, evidence.trace.tokens, verdicts=wrong)  # type: ignore[arg-type]
