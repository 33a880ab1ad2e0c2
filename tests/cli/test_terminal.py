"""What a terminal shows: bars, the lines above them, tables that are narrow enough, and colours only where wanted."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attnviz
from attnviz.cli.progress import Gauge, Interrupts, Speed

pty = pytest.importorskip("pty", reason="there are no terminals of this kind here")

Make = Callable[..., Path]
COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])[0-9;]*m")
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|[\r\n]|[^\x1b\r\n]+")


def on_terminal(*args: object, cwd: Path, width: int = 80, **env: str) -> tuple[int, str]:
    """Runs a command on a terminal; its exit status and all that it sent there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    source = str(Path(attnviz.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "attnviz", *map(str, args)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": source, "TERM": "xterm", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", **env},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    sent = b""
    while True:
        try:
            sent += os.read(ours, 65536)
        except OSError:  # all have let go of it
            break
    os.close(ours)
    return process.wait(60), sent.decode()


def screen(sent: str) -> list[str]:
    """The lines that stand on a terminal in the end: what was drawn over or cleared is gone."""
    lines, row, column = [""], 0, 0
    for part in SEQUENCE.findall(sent):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b") and part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif not part.startswith("\x1b"):
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


def test_lines_stand_alone_and_the_bar_is_gone_in_the_end(tmp_path: Path, checkpoint: Path, photos: Make) -> None:
    photos(tmp_path / "photos", [f"{number}.jpg" for number in range(5)])
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"")
    quick = ("--model", checkpoint, "--size", 48, "--beam", 1, "-f", "png", "--text", "a dog", "--threads", 1)
    status, sent = on_terminal("batch", "photos", "-o", "out", *quick, cwd=tmp_path)
    failed, summary, rest = screen(sent)
    assert status == 1
    assert "0/6" in sent
    assert COLOUR.search(sent)
    assert failed.startswith("attnviz: error: bad.jpg: is empty")
    assert re.fullmatch(r"attnviz: 5 done, 1 failed, 0 skipped in 0:0\d; results in out/, account in out/.*", summary)
    assert rest == ""
    status, sent = on_terminal("render", *sorted((tmp_path / "photos").iterdir()), "-o", "r", *quick, cwd=tmp_path)
    *lines, summary, rest = screen(sent)
    captions = [line.rsplit("/")[-1] for line in lines if ": a dog" in line]
    assert captions == [f"{number}.jpg: a dog" for number in range(5)]
    assert all(re.match("attnviz: |/", line) for line in lines)
    assert sum("bad.jpg: is empty" in line for line in lines) == 1
    assert re.fullmatch(r"attnviz: 5 done, 1 failed in 0:0\d; results in r/", summary)
    assert (status, rest) == (1, "")


def test_no_colour_where_none_is_wanted(tmp_path: Path, checkpoint: Path, photos: Make) -> None:
    photos(tmp_path / "photos", ["a.jpg", "b.jpg"])
    asked = ("batch", "photos", "-o", "out", "--model", checkpoint, "--size", 48, "--beam", 1, "-f", "png", "--force")
    assert not COLOUR.search(on_terminal(*asked, cwd=tmp_path, NO_COLOR="1")[1])
    assert "\x1b" not in on_terminal(*asked, cwd=tmp_path, TERM="dumb")[1]


@pytest.mark.parametrize("width", [80, 40])
def test_the_names_of_models_are_never_broken(tmp_path: Path, width: int) -> None:
    from attnviz.zoo import DEFAULT_MODE, DEFAULT_MODEL, bundled

    lines = screen(on_terminal("models", cwd=tmp_path, width=width)[1])
    for model in bundled():
        (row,) = [line.split() for line in lines if line.split()[:2] == [model.name, model.mode]]
        assert ("(default)" in row) == ((model.name, model.mode) == (DEFAULT_MODEL, DEFAULT_MODE))
        assert f"{model.meta()['card']['figures']['BLEU-4']:.1f}" in row
    assert width < 80 or max(map(len, lines)) <= 80


class Clock:
    """A time that only the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_there_is_no_speed_before_a_few_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, speed = Clock(monkeypatch), Speed()
    assert speed.rate is None
    for finished, now in ((0, 0.0), (1, 0.1), (2, 20.0)):
        clock.now = now
        speed.count(finished)
        assert speed.rate is None
    clock.now = 30.0
    speed.count(3)
    assert speed.rate == pytest.approx(0.1)
    speed = Speed()
    for finished in range(4):  # all at once: that is no speed either
        speed.count(finished)
    assert speed.rate is None


def test_no_time_to_go_is_told_before_there_is_a_speed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with Gauge() as gauge:
        for finished, now in ((0, 0.0), (0, 6.0), (1, 22.0), (8, 40.0)):
            clock.now = now
            gauge.show(finished, 10 - finished)
    assert capsys.readouterr().err.splitlines() == [
        "attnviz: 0 done, 10 left",
        "attnviz: 1 done, 9 left",
        "attnviz: 8 done, 2 left: 5.0 s a photo, 0:10 to go",
    ]


def test_a_long_way_to_the_gallery_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from attnviz.batch import Progress
    from attnviz.cli.progress import Meter

    clock = Clock(monkeypatch)
    with Meter() as meter:
        meter.show(Progress(100, 60))
        for done in range(1, 101):
            clock.now += 0.4
            meter.show(Progress(100, 60, 40, gallery=done))
    assert capsys.readouterr().err.splitlines() == [
        "attnviz: 60 of 100 photos are done already",
        "attnviz: 13 photos in the gallery",
        "attnviz: 51 photos in the gallery",
        "attnviz: 89 photos in the gallery",
    ]


def test_the_first_interruption_is_answered_and_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    with Interrupts() as interrupts:
        assert interrupts.status == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.stop.wait(5)
        for thread in threading.enumerate():
            if thread.name == "interrupts":
                thread.join(5)
    assert interrupts.status == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "attnviz: finishing the photos under way; once more ends at once\n"
    with Interrupts():
        pass
    assert capsys.readouterr().err == ""


def test_only_what_is_being_drawn_is_finished(tmp_path: Path, photos: Make) -> None:
    """However many photos wait, for the network or for a drawing process, each process ends the two that it has."""
    from attnviz.batch import Progress, run
    from attnviz.captioner import Captioner

    folder = photos(tmp_path / "photos", [f"{number:03d}.jpg" for number in range(60)])
    stop, seen = threading.Event(), []

    def progress(now: Progress) -> None:
        if now.done == 9 and not stop.is_set():  # the first batch of the network is drawn, and more wait
            seen.append((tmp_path / "out" / "manifest.jsonl").read_bytes().count(b"\n"))
            stop.set()

    options: dict[str, Any] = {"beam": 1, "size": 48, "threads": 1, "formats": ("png",), "text": "a dog"}
    before = run(Captioner.tiny(seed=4), folder, tmp_path / "out", progress=progress, stop=stop, **options)
    assert before.stopped
    assert not before.failures
    # Two in the process; one may have ended meanwhile, and one been taken.
    assert before.done <= seen[0] + 4
    again = run(Captioner.tiny(seed=4), folder, tmp_path / "out", **options)
    assert (again.skipped, again.done, again.failed) == (before.done, 60 - before.done, 0)
