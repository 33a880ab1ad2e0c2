"""Wrong input, as a user meets it: a process of its own, one line on standard error, nothing left behind."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import attnviz

Run = Callable[..., Any]


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.fixture
def folder(tmp_path: Path, photo: Path) -> Path:
    with Image.open(photo) as image:
        image.resize((600, 400)).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("this is no photo\n" * 20)
    (tmp_path / "bomb.png").write_bytes(bomb())
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "file.txt").write_text("a file")
    return tmp_path


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["missing.jpg"], 1, ["missing.jpg", "no such file"]),
        (["./missing.jpg"], 1, ["error: ./missing.jpg: no such file; check the name and the folder"]),
        (["https://x.org/a.jpg"], 1, ["error: https://x.org/a.jpg: is a URL, not a file; download it first"]),
        (["folder.jpg"], 1, ["folder.jpg", "folder"]),
        (["empty.jpg"], 1, ["empty.jpg"]),
        (["cut.jpg"], 1, ["cut.jpg"]),
        (["text.jpg"], 1, ["text.jpg"]),
        (["bomb.png"], 1, ["bomb.png", "--max-pixels"]),
        (["whole.jpg", "-o", "file.txt/out"], 1, ["file.txt"]),
        (["whole.jpg", "-o", "file.txt"], 1, ["file.txt"]),
        (["whole.jpg", "--mode", "conkat"], 2, ["conkat", "concat"]),
        (["whole.jpg", "--text", ""], 2, ["--text"]),
        (["whole.jpg", "--model", "flicker8k"], 2, ["flicker8k"]),
        (["whole.jpg", "--model", "missing.safetensors"], 1, ["missing.safetensors"]),
        (["whole.jpg", "--model", "text.jpg"], 1, ["text.jpg"]),
        (["whole.jpg", "--config", "missing.toml"], 1, ["missing.toml"]),
        (["whole.jpg", "--cmap", "no-such-map"], 2, ["no-such-map"]),
        (["-"], 1, ["stdin"]),
    ],
)
def test_render(process: Run, folder: Path, checkpoint: Path, args: list[str], status: int, words: list[str]) -> None:
    before = tree(folder)
    found = process("render", *(["--model", checkpoint] if "--model" not in args else []), *args)
    assert (found.status, found.out, found.err.count("\n")) == (status, "", 1)
    assert found.err.startswith("attnviz: error: ")
    for word in words:
        assert word in found.err
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.npz", ["missing.npz"]),
        ("text.jpg", ["text.jpg"]),
        ("folder.jpg", ["folder.jpg"]),
        ("empty.jpg", ["empty.jpg"]),
    ],
)
def test_draw(process: Run, folder: Path, name: str, words: list[str]) -> None:
    before = tree(folder)
    found = process("draw", name, "--image", "whole.jpg")
    assert (found.status, found.out, found.err.count("\n")) == (1, "", 1)
    for word in words:
        assert word in found.err
    assert tree(folder) == before


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_may_not_be_written(process: Run, folder: Path, checkpoint: Path) -> None:
    (folder / "locked").mkdir(mode=0o500)
    found = process("render", "--model", checkpoint, "whole.jpg", "-o", "locked/out", "-q")
    assert (found.status, found.err.count("\n")) == (1, 1)
    assert "locked" in found.err


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts otherwise")
def test_interrupting_while_torch_is_imported(folder: Path, checkpoint: Path) -> None:
    before = tree(folder)
    for seconds in (0.7, 2, 6):  # until it is past Python's own start, however slow the machine
        command = [sys.executable, "-m", "attnviz", "render", "--model", str(checkpoint), "-"]
        env = {**os.environ, "PYTHONPATH": str(Path(attnviz.__file__).parents[1])}
        # Started in the background, as a CI may be, a process inherits that interruptions are ignored.
        with subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_heed_interrupts
        ) as process:
            time.sleep(seconds)  # it waits for standard input, while torch comes in
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        if process.returncode != -signal.SIGINT:
            break
    assert (process.returncode, err) == (130, b"attnviz: error: interrupted\n")
    assert tree(folder) == before


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("command", ["--version", "modes"])
def test_closed_standard_output_is_no_traceback(command: str) -> None:
    found = subprocess.run(
        ["sh", "-c", f"exec '{sys.executable}' -m attnviz {command} >&-"],
        cwd=Path(attnviz.__file__).parents[1],
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in found.stderr
    assert b"this is a bug" not in found.stderr


def test_an_empty_folder_name_is_told(cli: Run, photo: Path) -> None:
    status, _, err = cli("render", photo, "-o", "")
    assert status != 0
    assert "-o names no folder" in err
