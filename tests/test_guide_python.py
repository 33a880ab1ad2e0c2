"""The guides on Python and on the trace file: their code runs, their tables are those of the code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_docs import CODE, table

import attnviz
from attnviz import Trace
from attnviz.trace.meta import Meta

GUIDE = Path(attnviz.__file__).parent / "guide"


def run_code(topic: str, names: dict[str, Any]) -> dict[str, Any]:
    for language, code in CODE.findall((GUIDE / f"{topic}.md").read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(code, f"{topic}.md", "exec"), names)
    return names


@pytest.fixture
def photos(tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "other.jpg"):
        Image.fromarray(pixels).save(name)
    return tmp_path


def test_python(photos: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    real = attnviz.load_model
    monkeypatch.setattr(attnviz, "load_model", lambda name, mode: real(checkpoint, mode=mode))
    names = run_code("python", {})
    assert names["picture"].shape == (*names["heat"].shape, 3) == (40, 60, 3)
    assert (photos / "out" / "attention.html").is_file()
    assert list((photos / "runs").iterdir())


def test_the_trace_file(photos: Path, cli: Callable[..., Any]) -> None:
    weights = np.zeros((2, 3, 4), np.float32)
    weights[:, 2, 1] = 1
    attnviz.draw(Trace(weights, ("a", "dog")), "photo.jpg", "photo-attention", formats="png")
    names = run_code("trace-file", {})
    assert names["meta"]["version"] == 2
    assert cli("draw", "t.npz", "--image", "photo.jpg", "-f", "arrays").status == 0


def test_the_tables_of_the_trace_file(tmp_path: Path) -> None:
    rows = table((GUIDE / "trace-file.md").read_text(encoding="utf-8"))
    arrays = {row[0].strip("`") for row in rows if len(row) == 3 and row[0].startswith("`")}
    fields = {name.strip("`") for row in rows if len(row) == 2 for name in row[0].split(", ")}
    assert arrays == {*attnviz.trace.file.ARRAYS, "tokens", "meta"}
    saved = json.loads(Meta(verdicts=()).dumps())
    assert fields == set(saved)


def test_the_table_of_a_trace() -> None:
    rows = table((GUIDE / "python.md").read_text(encoding="utf-8"))
    for row in rows:
        for name in row[0].replace("`", "").split(", "):
            owner, attribute = (Trace, name.removeprefix("trace.")) if name.startswith("trace.") else (Trace, "load")
            assert hasattr(owner, attribute.partition("(")[0]) or attribute in Trace.__dataclass_fields__, name
