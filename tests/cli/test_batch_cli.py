"""`attnviz batch` as a user meets it: processes that are interrupted, killed and run out of disk."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import attnviz

Run = Callable[..., Any]
Make = Callable[..., Path]
Tree = Callable[[Path], dict[str, bytes | None]]

QUICK = ("--size", "48", "--beam", "1", "-f", "png,gif", "--text", "a dog")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, or names of any bytes")


def manifest(out: Path) -> dict[str, dict[str, Any]]:
    return {record["path"]: record for record in map(json.loads, (out / "manifest.jsonl").read_text().splitlines())}


STARTED: list[subprocess.Popen[bytes]] = []


def start(*args: object, **options: Any) -> subprocess.Popen[bytes]:
    """A batch in a process of its own."""
    path = {"PYTHONPATH": str(Path(attnviz.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    STARTED.append(
        subprocess.Popen(
            [sys.executable, "-m", "attnviz", "batch", *map(str, args)],
            env={**os.environ, **path},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
    )
    return STARTED[-1]


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """A test that fails half-way leaves no process behind, nor a stopped one."""
    yield
    while STARTED:
        with STARTED.pop() as process:
            process.kill()


@pytest.fixture
def command(checkpoint: Path) -> tuple[object, ...]:
    return ("--model", checkpoint, *QUICK)


def test_summary_and_remarks(cli: Run, tmp_path: Path, command: tuple[object, ...], photos: Make) -> None:
    photos(tmp_path / "photos", ["a.jpg", "t/b.png"])
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"")
    found = cli("batch", "photos", "-o", "out", "--json", *command)
    summary = json.loads(found.out)
    assert found.status == 1
    assert {key: summary[key] for key in ("total", "done", "failed", "skipped", "left")} == {
        "total": 3,
        "done": 2,
        "failed": 1,
        "skipped": 0,
        "left": 0,
    }
    assert list(summary["failures"]) == ["bad.jpg"]
    assert "attnviz: error: bad.jpg: is empty (0 bytes)" in found.err
    assert "2 done, 1 failed, 0 skipped" in found.err
    again = cli("batch", "photos", "-o", "out", "-q", *command)
    assert (again.status, again.out, again.err.count("\n")) == (1, "", 1)
    (tmp_path / "photos" / "bad.jpg").unlink()
    last = cli("batch", "photos", "-o", "out", "-q", *command)
    assert last == (0, "", "")


def test_options_are_those_of_render(cli: Run) -> None:
    def flags(name: str) -> set[str]:
        from importlib import import_module

        return {flag for option in import_module(f"attnviz.cli.{name}").command.params for flag in option.opts}

    assert flags("render") - {"images"} <= flags("batch")


def test_the_guide_tells_of_the_options_and_the_fields() -> None:
    import re
    from importlib import import_module

    from attnviz.batch.manifest import FIELDS
    from attnviz.cli.guide import FOLDER

    found = [(FOLDER / f"{topic}.md").read_text(encoding="utf-8") for topic in ("commands", "folders")]
    told_of = [
        text.split(f"\n## {title}\n")[1].split("\n## ")[0]
        for text, title in zip(found, ("batch", "The manifest"), strict=True)
    ]
    lines = [line for text in told_of for line in text.splitlines() if line.startswith("| `")]
    rows = [re.findall(r"`([\w-]+)`", line.split("|")[1]) for line in lines]
    told = {name for row in rows for name in row}
    batch, render = (
        {flag for option in import_module(f"attnviz.cli.{name}").command.params[1:] for flag in option.opts}
        for name in ("batch", "render")
    )
    assert told == (batch - render) | {"-o", "--out", "--threads"} | set(FIELDS)


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["photo.png", "-o", "out"], 1, ["photo.png", "is a file", "render"]),
        (["missing", "-o", "out"], 1, ["missing", "no such folder"]),
        (["empty", "-o", "out"], 1, ["empty", "holds no photos"]),
        (["photos"], 2, ["-o"]),
        (["photos", "-o", "-"], 2, ["folder"]),
        (["photos", "-o", "photo.png/out"], 1, ["photo.png"]),
        (["photos", "-o", "photo.png"], 1, ["photo.png"]),
        (["photos", "-o", "photos"], 1, ["photos", "another"]),
        (["photos", "-o", "out", "--shard", "3/2"], 2, ["3/2", "1/4"]),
        (["photos", "-o", "out", "--shard", "0/2"], 2, ["0/2"]),
        (["photos", "-o", "out", "--shard", "two"], 2, ["two"]),
        (["photos", "-o", "out", "--glob", "[a"], 2, ["[a"]),
        (["photos", "-o", "out", "--glob", "*.tif"], 1, ["*.tif"]),
        (["photos", "-o", "out", "--mode", "conkat"], 2, ["conkat"]),
        (["photos", "-o", "out", "--modes", "concat,dot", "-m", "dot"], 2, ["one of the two"]),
        (["photos", "-o", "out", "--model", "missing.safetensors"], 1, ["missing.safetensors"]),
        (["photos", "-o", "taken"], 1, ["manifest.jsonl", "not written by attnviz"]),
    ],
)
def test_wrong_input(
    cli: Run,
    tmp_path: Path,
    photo: Path,
    checkpoint: Path,
    args: list[str],
    status: int,
    words: list[str],
    photos: Make,
    tree: Tree,
) -> None:
    photos(tmp_path / "photos", ["a.jpg"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "manifest.jsonl").write_text("a list of goods\n")
    before = tree(tmp_path)
    found = cli("batch", *args, *(["--model", str(checkpoint)] if "--model" not in args else []))
    assert (found.status, found.out, found.err.count("\n")) == (status, "", 1), found.err
    for word in words:
        assert word in found.err
    after = tree(tmp_path)
    assert {name: data for name, data in after.items() if name != "out"} == before


NAMES = [
    b"new\nline.jpg",
    b"quo\"te's.jpg",
    "😀.jpg".encode(),
    b"x" * 251 + b".jpg",
    b"-dash.jpg",
    b"not\xff\xfeutf8.jpg",
    b"a.png",
    b"a.jpg",
    b"A.JPG",
    b"<b>&amp;.jpg",
    b"=1+1.jpg",
    b"con.jpg",
]


@linux
def test_a_hundred_good_photos_and_twenty_bad_ones(tmp_path: Path, command: tuple[object, ...], photos: Make) -> None:
    """The vanishing ones are removed after they were listed and before they are read."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    good = [os.fsdecode(name) for name in NAMES]
    good += [f"trip {number % 3}/{number:03d}.jpg" for number in range(100 - len(good))]
    photos(folder, good)
    assert sum(1 for path in folder.rglob("*") if path.is_file()) == 100
    whole = (folder / "a.jpg").read_bytes()
    for number in range(4):
        (folder / f"empty-{number}.jpg").write_bytes(b"")
        (folder / f"cut-{number}.jpg").write_bytes(whole[: 200 + 20 * number])
        (folder / f"text-{number}.png").write_text("no photo\n" * 50)
        (folder / f"z-dangling-{number}.jpg").symlink_to("nowhere.jpg")
    for number in range(2):
        Image.new("1", (20_001, 5_001)).save(folder / f"bomb-{number}.png")  # more than 100 megapixels
        shutil.copy(folder / "a.jpg", folder / f"zz-vanishing-{number}.jpg")
    process = start(folder, "-o", out, "--json", "--report", *command)
    while not list(out.glob(".attnviz-*.tmp/*")):  # it has read the folder, and begun
        time.sleep(0.01)
        assert process.poll() is None
    for path in folder.glob("zz-vanishing-*"):
        path.unlink()
    stdout, stderr = process.communicate(timeout=120)
    summary = json.loads(stdout)
    assert (summary["done"], summary["failed"], process.returncode) == (100, 20, 1)
    errors = [line for line in stderr.decode().splitlines() if "error" in line]
    assert len(errors) == 20
    for kind in ("empty", "cut", "text", "bomb", "dangling", "vanishing"):
        assert any(kind in line for line in errors)
    records = manifest(out)
    assert {path for path, record in records.items() if record["state"] == "done"} == set(good)
    for name in good:
        results = out / records[name]["folder"]
        assert set(records[name]["files"]) == {file.name for file in results.iterdir()}
        assert attnviz.Trace.load(results / "trace.npz").image.name == Path(name).name  # type: ignore[union-attr]
    check_table(out / "captions.csv", good)


def check_table(path: Path, good: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))
    assert len(rows) == len(good) + 20
    assert sum(row["state"] == "done" for row in rows) == len(good)
    for row in rows:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())
        assert "\n" not in row["path"]
    assert {"'=1+1.jpg", "'-dash.jpg", "new\\nline.jpg"} <= {row["path"] for row in rows}


RUNS = """
import os, sys
import torch
torch.set_num_threads(1)
from attnviz import load_model
from attnviz.batch import run
model = load_model(sys.argv[1])
for line in sys.stdin:
    if (child := os.fork()) == 0:
        run(model, sys.argv[2], line.strip(), text="a dog runs on grass", size=400, fade=0.3, threads=2)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@linux
def test_killed_again_and_again_it_ends_as_if_undisturbed(
    tmp_path: Path, checkpoint: Path, photos: Make, tree: Tree
) -> None:
    """Twenty kills at random moments; each time the same run is begun again, and a last one is left alone."""
    folder = photos(tmp_path / "photos", [f"{'abc'[number % 3]}/{number:02d}.jpg" for number in range(70)])
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as photo:
            photo.resize((240, 160)).save(path)
    (folder / "bad.jpg").write_bytes(b"")
    fresh, out = tmp_path / "fresh", tmp_path / "out"
    # A process of which each run is a copy: so torch is imported once.
    runs = subprocess.Popen(
        [sys.executable, "-c", RUNS, str(checkpoint), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(attnviz.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
    )
    assert runs.stdin is not None
    assert runs.stdout is not None

    def begin(where: Path) -> int:
        runs.stdin.write(f"{where}\n")  # type: ignore[union-attr]
        runs.stdin.flush()  # type: ignore[union-attr]
        return int(runs.stdout.readline())  # type: ignore[union-attr]

    def status() -> int:
        return int(runs.stdout.readline())  # type: ignore[union-attr]

    def gone(child: int) -> bool:
        try:
            os.kill(child, 0)
        except ProcessLookupError:  # it may be done, on a fast machine
            return True
        return False

    def done() -> int:
        return len(list(out.glob("*/*-attention")))

    begin(fresh)
    assert status() == 0
    chance, finished = random.Random(0), []
    for number in range(20):
        child, before = begin(out), done()
        impatient = number % 2  # every other run gets to its first photo, however slow the machine
        for _ in range(3000):
            if done() > before or gone(child) or (impatient and chance.random() < 0.03):
                break
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.15))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        assert status() in (signal.SIGKILL, 0)
        finished.append(done())
    assert len(set(finished)) > 5, finished
    begin(out)
    assert status() == 0
    runs.stdin.close()
    runs.wait()
    runs.stdout.close()
    assert tree(out) == tree(fresh)


def begun(process: subprocess.Popen[bytes], out: Path, count: int = 3) -> None:
    """Waits until some photos are done."""
    while not (out / "manifest.jsonl").exists() or (out / "manifest.jsonl").read_bytes().count(b"\n") < count:
        time.sleep(0.01)
        assert process.poll() is None


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_finishes_what_is_under_way(
    tmp_path: Path, command: tuple[object, ...], sent: signal.Signals, status: int, photos: Make
) -> None:
    folder, out = photos(tmp_path / "photos", [f"{number:03d}.jpg" for number in range(300)]), tmp_path / "out"
    process = start(folder, "-o", out, *command, "--threads", 1, start_new_session=True)
    begun(process, out)
    os.killpg(process.pid, sent)  # as a terminal does, to all of the group
    _, stderr = process.communicate(timeout=60)
    done = len(manifest(out))
    assert process.returncode == status
    assert 3 <= done < 300
    assert f"{done} done, 0 failed, 0 skipped" in stderr.decode()
    assert f"{300 - done} photos left; the same command goes on from here" in stderr.decode()
    assert "Traceback" not in stderr.decode()
    assert len(list(out.glob("*/summary.json"))) == done
    assert not list(out.glob(".attnviz*"))


def test_a_second_interruption_ends_at_once(tmp_path: Path, command: tuple[object, ...], photos: Make) -> None:
    folder, out = photos(tmp_path / "photos", [f"{number:03d}.jpg" for number in range(300)]), tmp_path / "out"
    process = start(folder, "-o", out, *command, "--threads", 1)
    begun(process, out)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - began < 2


@linux
def test_no_process_stays_behind(tmp_path: Path, command: tuple[object, ...], photos: Make) -> None:
    folder, out = photos(tmp_path / "photos", [f"{number:03d}.jpg" for number in range(300)]), tmp_path / "out"
    process = start(folder, "-o", out, *command, "--threads", 2, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun(process, out)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    helpers = children or [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"attnviz.batch.worker" in path.read_bytes()
        and f"PPid:\t{process.pid}\n" in (path.parent / "status").read_text()
    ]
    assert len(helpers) == 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while any(Path("/proc", helper).exists() for helper in helpers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_alive(helper) for helper in helpers)


def _alive(process: str) -> bool:
    try:
        return "State:\tZ" not in Path("/proc", process, "status").read_text()
    except OSError:
        return False


def test_two_at_once(tmp_path: Path, command: tuple[object, ...], photos: Make) -> None:
    folder, out = photos(tmp_path / "photos", [f"{number:03d}.jpg" for number in range(300)]), tmp_path / "out"
    first = start(folder, "-o", out, *command, "--threads", 1)
    begun(first, out)
    first.send_signal(signal.SIGSTOP)  # slow as it may be
    second = start(folder, "-o", out, *command)
    _, stderr = second.communicate(timeout=60)
    assert second.returncode == 1
    assert stderr.decode().count("\n") == 1
    assert f"another run (process {first.pid}) is writing here" in stderr.decode()
    first.send_signal(signal.SIGCONT)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk(small_disk: Path, tmp_path: Path, command: tuple[object, ...], photos: Make) -> None:
    folder = photos(tmp_path / "photos", [f"{number:03d}.jpg" for number in range(60)])
    process = start(folder, "-o", small_disk / "out", *command)
    _, stderr = process.communicate(timeout=60)
    lines = [line for line in stderr.decode().splitlines() if "error" in line]
    assert process.returncode == 1
    assert len(lines) == 1
    assert "No space left on device" in lines[0]
    done = [record for record in manifest(small_disk / "out").values() if record["state"] == "done"]
    assert 0 < len(done) < 60
    assert not list((small_disk / "out").glob(".attnviz*"))
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    process = start(folder, "-o", small_disk / "out", *command)
    _, stderr = process.communicate(timeout=60)
    assert f"{60 - len(done)} done, 0 failed, {len(done)} skipped" in stderr.decode()
    assert process.returncode == 0


def test_a_bar_on_a_terminal(tmp_path: Path, command: tuple[object, ...], photos: Make) -> None:
    folder = photos(tmp_path / "photos", [f"{number:03d}.jpg" for number in range(20)])
    (folder / "bad.jpg").write_bytes(b"")
    ours, theirs = pty.openpty()
    process = start(folder, "-o", tmp_path / "out", *command, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert process.wait(60) == 1
    text = shown.decode(errors="replace")
    assert re.search(r"photos .*\b0/21", text)  # a pace is told after a second, and this may take less
    assert "1 failed" in text
    assert "bad.jpg: is empty" in text
    assert "20 done, 1 failed, 0 skipped" in text


def test_lines_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from attnviz.batch import Progress
    from attnviz.batch.manifest import Record
    from attnviz.cli.progress import Meter

    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with Meter() as meter:
        for done in range(1001):
            clock[0] = done * 0.1
            meter.show(Progress(1100, 100, done, 0, Record(f"{done}.jpg", "done") if done else None))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "attnviz: 100 of 1,100 photos are done already"
    assert lines[1] == "attnviz: 50 done, 100 skipped, 950 left: 10.0 photos/s, 1:35 to go"
    assert len(lines) == 8  # after 5 seconds, then every 15


def test_images_are_small_copies_of_the_photos(tmp_path: Path, pixels: np.ndarray) -> None:
    from attnviz.photo.glance import for_the_web, small

    Image.fromarray(np.repeat(np.repeat(pixels, 20, 0), 20, 1)).save(tmp_path / "a.jpg", quality=95)
    found = small(tmp_path / "a.jpg", 60)
    assert found is not None
    assert found.shape == (40, 60, 3)
    data, kind = for_the_web(found, 60, 90)
    assert kind == "webp"
    shown = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.abs(shown - pixels.astype(int)).mean() < 8
    assert small(tmp_path / "missing.jpg", 60) is None
    assert small(tmp_path / "a.jpg", 60, 10**5) is None
