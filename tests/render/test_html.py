"""The page as a file: what it holds, how large it is, and that nothing in it can break out."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import attnviz
from attnviz import Frame, Trace
from attnviz.errors import ConfigError
from attnviz.photo.image import Photo
from attnviz.render import DrawOptions
from attnviz.render.pictures import Pictures
from attnviz.render.writers.html import embedded, packed, page

SIZE = (40, 60)


def trace(words: tuple[str, ...] = ("a", "dog", "runs"), grid: tuple[int, int] = (3, 4), **changes: Any) -> Trace:
    weights = np.random.default_rng(0).dirichlet(np.full(grid[0] * grid[1], 0.2), len(words)).astype(np.float32)
    frame = Frame.stretch(changes.pop("size", SIZE), (32, 32), grid)
    logprobs = np.linspace(-0.1, -3, len(words)).astype(np.float32)
    made = Trace(weights.reshape(-1, *grid), words, logprobs, frame=frame, mode="concat", model="m")
    return dataclasses.replace(made, **changes)


def made(traces: list[Trace], pixels: np.ndarray, name: str = "photo.png", **options: Any) -> str:
    return page(Pictures(traces[0], Photo(pixels, name, None), DrawOptions(**options), traces[1:]))


def data_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.split('id="data">')[1].split("</script>")[0])
    return found


class Elements(HTMLParser):
    """What a parser makes of a page: the names of its elements, and all its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def test_draw_writes_a_page_beside_the_rest_and_replaces_it(tmp_path: Path, pixels: np.ndarray) -> None:
    files = attnviz.draw(trace(), pixels, tmp_path / "out", formats=("html", "gif"))
    assert [file.name for file in files] == ["attention.html", "attention.gif", "trace.npz", "summary.json"]
    first = files[0].read_bytes()
    attnviz.draw(trace(), pixels, tmp_path / "out", formats=("html",))
    assert files[0].read_bytes() == first
    attnviz.draw(trace(), pixels, tmp_path / "out", formats=("gif",))
    assert not files[0].exists()


def test_the_page_says_what_the_trace_does(pixels: np.ndarray) -> None:
    one, other = trace(), trace(mode="general", logprobs=None)
    data = data_of(made([one, other], pixels, scale="linear", cells=True, opacity=0.5, steps=[0, 2]))
    assert (data["tokens"], data["words"], data["steps"]) == (["a", "dog", "runs"], ["a", "runs"], [0, 2])
    assert (data["scale"], data["cells"], data["opacity"], data["size"]) == ("linear", True, 0.5, list(SIZE))
    assert [mode["label"] for mode in data["rows"]] == ["concat", "general"]
    assert data["rows"][1]["probabilities"] is None
    steps = [one.steps[0], one.steps[2]]
    assert data["rows"][0]["probabilities"] == pytest.approx([np.exp(step.logprob or 0) for step in steps], abs=1e-5)
    assert data["rows"][0]["entropy"] == pytest.approx([step.entropy for step in steps], abs=1e-5)
    assert data["tops"]["step"][0] == pytest.approx([one.density[0].max(), one.density[2].max()])
    assert data["tops"]["shared"] == pytest.approx(max(4, one.density[[0, 2]].max()))


@given(st.integers(1, 6), st.integers(1, 9), st.floats(0.01, 5), st.integers(0, 99))
def test_packed_weights_come_back_to_a_part_in_65535_of_the_peak(
    steps: int, side: int, spread: float, seed: int
) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.full(side * side, spread), steps).astype(np.float32)
    weights = weights.reshape(steps, side, side)
    peaks = weights.max(axis=(1, 2))
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed(weights, peaks))), np.uint8).astype(float)
    high, low = planes.reshape(2, steps, side, side)
    back = (high * 256 + low) / 65535 * peaks[:, None, None]
    assert np.abs(back - weights).max() <= 0.51 / 65535 * peaks.max()
    assert (back.reshape(steps, -1).argmax(axis=1) == weights.reshape(steps, -1).argmax(axis=1)).all() or spread > 1


def test_six_modes_and_a_long_caption_stay_small() -> None:
    """4/3 of the JPEG plus 200 kB, where no weight is like another."""
    noise = np.random.default_rng(1).integers(0, 255, (427, 640, 3), dtype=np.uint8)
    words = tuple(f"word{number}" for number in range(40))
    modes = ["concat", "general", "dot", "channel-dot", "channel-general", "flat-concat"]
    traces = [trace(words, (14, 14), size=(427, 640), mode=mode) for mode in modes]
    text = made(traces, noise)
    jpeg = re.search(r'src="data:image/jpeg;base64,([^"]*)"', text)
    assert jpeg is not None
    assert len(text.encode()) < 4 / 3 * len(base64.b64decode(jpeg[1])) + 200_000
    assert data_of(text)["rows"][5]["label"] == "flat-concat"


NASTY = [
    "<script>alert(1)</script>",
    "</script>",
    "<!--",
    "]]>",
    '"',
    "'",
    "&lt;",
    "{data}",
    "\u2028",
    "\ud800",
    "<img src=x>",
]


def test_nothing_in_a_caption_or_name_becomes_part_of_the_page(pixels: np.ndarray) -> None:
    plain = Elements(made([trace()], pixels))
    words = tuple(word for word in NASTY)
    text = made([trace(words, model="</script><b>", mode="<i>")], pixels, name='"><img src=x onerror=alert(1)>.png')
    nasty = Elements(text)
    assert nasty.names == plain.names
    assert {name for name, _ in nasty.attributes} == {name for name, _ in plain.attributes}
    text.encode()  # lone surrogates are escaped
    data = data_of(text)
    assert data["tokens"][:8] == NASTY[:8]
    assert data["name"] == '"><img src=x onerror=alert(1)>.png'


@given(st.text())
def test_embedded_json_keeps_any_text_and_no_markup(text: str) -> None:
    written = embedded({"text": text})
    assert json.loads(written) == {"text": text}
    assert not set("<>&") & set(written)
    assert written.isascii()


def test_the_page_may_run_its_own_script_and_fetch_nothing(pixels: np.ndarray) -> None:
    text = made([trace()], pixels)
    policy = dict(
        part.strip().split(" ", 1)
        for part in re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    for element, rule in (("style", "style-src"), ("script", "script-src")):
        body = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        assert len(body) == 1
        digest = base64.b64encode(hashlib.sha256(body[0].encode()).digest()).decode()
        assert policy[rule] == f"'sha256-{digest}'"
    links = [value for name, value in Elements(text).attributes if name in ("src", "href", "srcset", "action")]
    assert all(str(link).startswith("data:") for link in links)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|XMLHttp", text)


def test_traces_of_other_words_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="different words"):
        attnviz.draw(trace(), pixels, tmp_path / "out", formats=("html",), compare=[trace(("x", "y", "z"))])
    assert not (tmp_path / "out").exists()


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(tmp_path: Path, pixels: np.ndarray) -> None:
    view = attnviz.show(
        trace(("</iframe>", '"', "runs")), pixels, compare=[trace(("</iframe>", '"', "runs"), mode="dot")]
    )
    shown = Elements(view._repr_html_())
    assert shown.names == ["iframe"]
    attributes = dict(shown.attributes)
    assert attributes["srcdoc"] == view.page
    assert "allow-same-origin" not in str(attributes["sandbox"])
    assert repr(view).startswith("<View of <Trace of 3 steps")
    view.save(tmp_path / "v.html")
    assert (tmp_path / "v.html").read_text(encoding="utf-8") == view.page


def test_render_switches_between_modes_on_the_page(cli: Any, photo: Path, tmp_path: Path) -> None:
    from attnviz.captioner import Captioner, save_checkpoint

    for mode in ("concat", "dot"):
        save_checkpoint(Captioner.tiny(mode=mode, seed=1), tmp_path / "models" / f"{mode}.safetensors")
    asked = ("render", "photo.png", "--model", "models")
    assert cli(*asked, "-f", "html", "--modes", "dot,concat", "-q").status == 0
    data = data_of((tmp_path / "photo-attention" / "attention.html").read_text(encoding="utf-8"))
    assert [mode["mode"] for mode in data["rows"]] == ["dot", "concat"]
    assert Trace.load(tmp_path / "photo-attention" / "trace.npz").mode == "dot"
    status, _, err = cli(*asked, "--modes", "dot", "-m", "dot", "-f", "html")
    assert (status, "one of the two" in err) == (2, True)
    status, _, err = cli(*asked, "--modes", "general", "-f", "html")
    assert (status, "has the mode general; there are concat, dot" in err) == (1, True)
