"""matplotlib in surroundings that are not made for it: another program's backend, and a home that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_imports import ROOT, files, imported

from attnviz.trace import Trace
from attnviz.trace.meta import ImageInfo

Run = Callable[..., Any]

ABSENT = {"MPLBACKEND": "module://attnviz_has_no_such.backend"}  # as a notebook's is outside of its kernel


def no_home(tmp_path: Path) -> dict[str, str]:
    """Variables by which nothing of the user's own can be written, root or not: a file stands where the folder is."""
    file = tmp_path / "file"
    file.touch()
    names = ("HOME", "MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    return dict.fromkeys(names, str(file / "home"))


@pytest.fixture
def trace(photo: Path) -> Path:
    path = photo.parent / "t.npz"
    Trace(np.full((1, 3, 4), 1 / 12, np.float32), ("dog",), image=ImageInfo(photo.name, (40, 60))).save(path)
    return path


def test_draw_takes_any_backend_and_home(process: Run, trace: Path, tmp_path: Path) -> None:
    out = ("draw", "t.npz", "--cmap", "viridis", "-f", "png,pdf,svg", "-o", "out", "-q")
    status, _, err = process(*out, env={**no_home(tmp_path), **ABSENT})
    assert (status, err) == (0, "")
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".png", ".pdf", ".svg"}


def test_figure_and_check_take_any_backend_and_home(
    process: Run, checkpoint: Path, photo: Path, tmp_path: Path
) -> None:
    env = {**no_home(tmp_path), **ABSENT}
    given = (photo.name, "--model", checkpoint, "--text", "a")
    status, _, err = process("figure", *given, "-o", "f.pdf", "-q", env=env)
    assert (status, err) == (0, "")
    status, _, err = process("check", *given, "-f", "pdf", "-q", "--parts", 2, "--draws", 1, "-o", "out", env=env)
    assert (status, err) == (0, "")
    for path in (tmp_path / "f.pdf", tmp_path / "out/evidence.pdf"):
        assert path.read_bytes().startswith(b"%PDF-")


def test_a_backend_that_is_there_stays() -> None:
    """A program that draws with attnviz may show windows of its own; so may what it starts."""
    code = (
        "import os, attnviz.render.figure, matplotlib; print(matplotlib.rcParams['backend'], os.environ['MPLBACKEND'])"
    )
    env = {**os.environ, "MPLBACKEND": "svg"}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert (found.stdout, found.stderr) == ("svg svg\n", "")


def test_nobody_imports_matplotlib_before_it_is_prepared() -> None:
    figure = ROOT / "render/figure"
    assert next(iter(imported(figure / "__init__.py", while_typing=False)))[0] == "__future__.annotations"
    assert [name for name, _ in imported(figure / "__init__.py", while_typing=False)][1] == "attnviz.render.mpl"
    for path in files():
        names = [name for name, _ in imported(path, while_typing=False)]
        if path == ROOT / "render/mpl.py" or figure in path.parents:
            continue
        if any(name.split(".")[0] == "matplotlib" for name in names):
            assert any(name.startswith("attnviz.render.figure.") for name in names), path
