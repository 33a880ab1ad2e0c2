"""Files that ask for more than any trace has, or hold what is no text: refused by their headers, in one line."""

from __future__ import annotations

import io
import os
import re
import threading
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnviz
from attnviz.errors import TraceError
from attnviz.limits import MOST_CELLS, MOST_CHARACTERS, MOST_STEPS, MOST_VALUES
from attnviz.trace import Trace, npz
from attnviz.trace.meta import MAX_CHARACTERS

GUIDE = Path(attnviz.__file__).parent / "guide" / "trace-file.md"


def header(shape: tuple[int, ...], kind: str) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def hostile(path: Path, shape: tuple[int, ...], kind: str = "<f4", words: int = 1, word: str = "<U1") -> Path:
    """A small file whose headers ask for so much, with zeros behind them that pack well."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", header(shape, kind) + bytes(10_000_000))
        archive.writestr("tokens.npy", header((words,), word) + bytes(10_000_000))
    return path


def message(path: Path) -> str:
    """What reading it says; it may take no memory worth the name."""
    tracemalloc.start()
    try:
        with pytest.raises(TraceError) as caught:
            Trace.load(path)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("shape", "words", "says"),
    [
        ((1, 1, 1_000_000), 1, "weights on a grid of 1x1,000,000 cells are too fine; a grid has at most 2,048x2,048"),
        ((1, 3000, 3000), 1, "weights on a grid of 3,000x3,000 cells are too fine"),
        ((200_000, 1, 1), 200_000, "weights of 200,000 steps are too many; a trace has at most 10,000"),
        ((2**62, 1, 1), 1, "weights of 4,611,686,018,427,387,904 steps are too many"),
        ((64, 2048, 2048), 64, "weights of shape (64, 2048, 2048) are too many; a trace has at most 67,108,864"),
        ((1, 1, 1), 10**9, "tokens of 1,000,000,000 steps are too many"),
        ((2, 2**40), 1, "are too many"),
    ],
)
def test_more_than_a_trace_has_is_refused_unread(tmp_path: Path, shape: tuple[int, ...], words: int, says: str) -> None:
    assert says in message(hostile(tmp_path / "t.npz", shape, words=words))


def test_words_that_take_no_bytes_are_counted(tmp_path: Path) -> None:
    assert "steps are too many" in message(hostile(tmp_path / "t.npz", (1, 1, 1), words=10**9, word="<U0"))


@pytest.mark.parametrize("kind", ["<f8", "<c16", "<U1000"])
def test_all_arrays_together_are_bounded(tmp_path: Path, kind: str) -> None:
    path = hostile(tmp_path / "t.npz", (16, 2048, 1024), kind, words=16, word="<U20000000")
    assert message(path).startswith("its arrays would take more than 1,073,741,824 bytes")


@pytest.mark.parametrize("where", ["tokens", "meta"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF])
def test_numbers_that_are_no_characters_are_refused(tmp_path: Path, where: str, order: str, code: int) -> None:
    text = '{"attnviz": "0.1.0"}' if where == "meta" else "dog"
    codes = np.array([ord(letter) for letter in text], f"{order}u4")
    codes[-4 if where == "meta" else 1] = code  # in the text of the version
    odd = codes.view(f"{order}U{len(text)}")
    arrays: dict[str, Any] = {"weights": np.ones((1, 1, 1), np.float32), "tokens": np.array(["dog"]), where: odd}
    np.savez(tmp_path / "t.npz", **arrays)
    assert message(tmp_path / "t.npz") == f"{where!r} holds numbers that are no characters; save the trace again"


def test_what_can_be_made_can_be_loaded_again(tmp_path: Path) -> None:
    """The limits hold for traces in memory too."""
    even = np.full((1, 1, 1), 1, np.float32)
    for weights, tokens in (
        (np.repeat(even, MOST_STEPS + 1, 0), ["a"] * (MOST_STEPS + 1)),
        (np.full((1, 1, MOST_CELLS + 1), 1 / (MOST_CELLS + 1), np.float32), ["a"]),
        (even, ["a" * (MOST_CHARACTERS + 1)]),
    ):
        with pytest.raises(TraceError, match="at most"):
            Trace(weights, tuple(tokens))
    largest = Trace(np.repeat(even, MOST_STEPS, 0), ("a" * (MOST_CHARACTERS // MOST_STEPS),) * MOST_STEPS)
    largest.save(tmp_path / "t.npz")
    again = Trace.load(tmp_path / "t.npz")
    assert len(again) == MOST_STEPS
    assert len(again.summary()["steps"]) == MOST_STEPS


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_trace_comes_through_a_pipe(tmp_path: Path) -> None:
    Trace(np.ones((1, 1, 1), np.float32), ("dog",)).save(tmp_path / "t.npz")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=((tmp_path / "t.npz").read_bytes(),))
    writer.start()
    assert Trace.load(tmp_path / "pipe").caption == "dog"
    writer.join()


def test_the_guide_names_the_limits() -> None:
    numbers = re.findall(r"\| ([0-9,]+) \|", GUIDE.read_text(encoding="utf-8"))
    limits = (MOST_STEPS, MOST_CELLS, MOST_VALUES, npz.MAX_BYTES, MOST_CHARACTERS, MAX_CHARACTERS)
    assert numbers[: len(limits)] == [f"{limit:,}" for limit in limits]
