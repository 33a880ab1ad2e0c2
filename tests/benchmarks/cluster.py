"""`attnviz batch --engine ray` beside the local engine, and what the driver of a large run takes.

    python tests/benchmarks/cluster.py speed    the bundled network: photos a second with two workers, beside two cores
    python tests/benchmarks/cluster.py driver   a stub network: memory and pace with 1,000 and 100,000 listed photos
    python tests/benchmarks/cluster.py costs    what a photo takes on one core, by what is done with it

A cluster of this machine alone is made for it, with two CPUs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from batch import CORES, ROOT, SIZE, bind, fill
from PIL import Image

LISTED = (1_000, 100_000)
ROW = "{:<44} {:>12} {:>12}"

# Runs in a process of its own: what it prints is what it took.
STUB = """
import json, sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from cluster import anonymous, stubs
from attnviz.batch import run
stop, seen = threading.Event(), []
peak = [0]
def watch():
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.1)
threading.Thread(target=watch, daemon=True).start()
first = []
def progress(now):
    if now.record is None and not now.gallery:
        seen.append(peak[0])
    first.append(time.monotonic()) if now.done + now.failed in (1, int(sys.argv[4])) else None
    if now.done + now.failed >= int(sys.argv[4]):
        stop.set()
start = time.monotonic()
outcome = run(stubs, sys.argv[2], sys.argv[3], formats=(), engine="ray", progress=progress, stop=stop, size=16)
print(json.dumps({"peak": max(peak[0], anonymous()), "done": outcome.done, "listed": outcome.total,
                  "pace": (int(sys.argv[4]) - 1) / max(1e-9, first[-1] - first[0]), "begun": first[0] - start}))
"""


class Stub:
    """A network that says one word of any photo, in no time."""

    name, mode, device, concurrent = "stub", None, "cpu", True

    def fingerprint(self) -> str:
        return "1"

    def check(self, asked: Any) -> None: ...

    def prepare(self, photo: Any, asked: Any = None) -> Any:
        from attnviz import Frame
        from attnviz.network import Prepared
        from attnviz.trace import ImageInfo

        return Prepared(None, Frame.stretch(photo.size, (8, 8), (2, 2)), ImageInfo.of(photo), 0)

    def describe(self, prepared: Any, asked: Any) -> Any:
        from attnviz import Trace

        weights = np.full((1, 2, 2), 0.25, np.float32)
        return [Trace(weights, ("photo",), frame=one.frame, image=one.image, model="stub") for one in prepared]


def stubs() -> list[Any]:
    """Opens it, in each worker."""
    return [Stub()]


def anonymous() -> int:
    """Bytes of memory that this process alone has: what Ray's store shares is bounded by itself."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def environment() -> dict[str, str]:
    """In which workers find attnviz and this file, and a cluster of their own is made."""
    here = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return {**os.environ, "PYTHONPATH": here, "RAY_ADDRESS": "local", "OMP_NUM_THREADS": "1"}


def compare_speed(rounds: int, photos: int, size: int) -> None:
    """Photos a second, of the whole run and once the first are finished; each engine has a turn in every round."""
    cores = bind()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "photos", range(photos))
        paces: dict[str, list[float]] = {"local": [], "ray": []}
        for number in range(rounds):
            for engine, found in paces.items():
                more = ["--size", str(size), *(["--engine", "ray", "--workers", str(CORES)] if engine == "ray" else [])]
                found.append(pace(folder, f"{engine}-{number}", more))
        print(f"{photos} photos drawn at {size} pixels, {cores} cores, load {os.getloadavg()[0]:.1f}")
        print(ROW.format("", "photos/s", "beside local"))
        local = statistics.median(paces["local"])
        for engine, found in paces.items():
            middle = statistics.median(found)
            print(ROW.format(engine, f"{middle:.2f}", f"{middle / local:.2f}"))


def pace(folder: Path, out: str, more: list[str]) -> float:
    """Photos a second between the first and the last line of a run's manifest."""
    manifest = folder / out / "manifest.jsonl"
    command = [sys.executable, "-m", "attnviz", "batch", str(folder / "photos"), "-o", str(folder / out), "-q", *more]
    times: dict[int, float] = {}
    with subprocess.Popen(command, env=environment()) as process:
        while process.poll() is None:
            lines = manifest.read_bytes().count(b"\n") if manifest.exists() else 0
            times.setdefault(lines, time.monotonic())
            time.sleep(0.05)
    times.pop(0, None)
    first, last = min(times), max(times)
    return (last - first) / (times[last] - times[first])


def compare_driver(some: int) -> None:
    """The driver's own memory, and photos a second, as `some` of the listed photos are done."""
    bind()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "one.png")
        data = (folder / "one.png").read_bytes()
        print(ROW.format("listed photos", "driver MB", "photos/s"))
        peaks = []
        for listed in LISTED:
            for number in range(listed):
                path = folder / f"{listed}" / f"{number // 1000:03d}" / f"{number:06d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            found = stub(folder, str(listed), min(some, listed))
            peaks.append(found["peak"])
            print(ROW.format(f"{listed:,} ({found['done']:,} done)", f"{peaks[-1] / 1e6:.0f}", f"{found['pace']:.0f}"))
        print(
            f"of {LISTED[1]:,} photos, beside {LISTED[0]:,}: {peaks[1] / peaks[0]:.2f}; load {os.getloadavg()[0]:.1f}"
        )


def stub(folder: Path, photos: str, some: int) -> dict[str, Any]:
    """What a run with the stub network took."""
    args = [str(Path(__file__).parent), str(folder / photos), str(folder / f"out-{photos}"), str(some)]
    (folder / "stub.py").write_text(STUB)
    found = subprocess.run(
        [sys.executable, folder / "stub.py", *args], env=environment(), check=True, capture_output=True, text=True
    )
    values: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return values


def costs(photos: int) -> None:
    """CPU time of a photo by stage, on one core: process time, which a busy machine changes less than the clock."""
    import torch

    from attnviz import load_model
    from attnviz.network import Asked
    from attnviz.photo.image import load
    from attnviz.render.pictures import resized

    torch.set_num_threads(1)
    model, asked = load_model(device="cpu"), Asked()
    spent: dict[str, list[float]] = {"reading": [], "network": []}
    drawn = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "photos", range(photos))
        for path in sorted((folder / "photos").iterdir()):
            marks = [time.process_time()]
            photo = load(path.read_bytes(), name=path.name)
            prepared, pixels = model.prepare(photo, asked), resized(photo.pixels, 1280)
            marks.append(time.process_time())
            (trace,) = model.describe([prepared], asked)
            marks.append(time.process_time())
            drawn.append((trace, pixels, path.name))
            for stage, (before, after) in zip(spent, itertools.pairwise(marks), strict=True):
                spent[stage].append(after - before)
        print(ROW.format(f"{photos} photos of {SIZE[1]}x{SIZE[0]}, load {os.getloadavg()[0]:.0f}", "CPU ms", "results"))
        for stage, found in spent.items():
            print(ROW.format(stage, f"{statistics.median(found) * 1e3:.1f}", ""))
        for formats in (("png", "gif", "overview"), ("overview",), ()):
            draw_all(folder / "-".join(["out", *formats]), formats, drawn)


def draw_all(out: Path, formats: tuple[str, ...], drawn: list[Any]) -> None:
    """Prints what drawing and placing take, and what they leave."""
    from attnviz.batch.jobs import Job
    from attnviz.batch.outs import Folder
    from attnviz.batch.worker import answered

    drawing, placing = [], []
    out.mkdir()
    for trace, pixels, name in drawn:
        start = time.process_time()
        answer = answered(Job((trace,), pixels, name, out / ".staged", formats, {}))
        middle = time.process_time()
        Folder(out).place(out / ".staged", name, answer.files)
        drawing.append(middle - start)
        placing.append(time.process_time() - middle)
    files = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
    left = f"{sum(files) / len(drawn) / 1e6:.2f} MB"
    told = ",".join(formats) or "the trace alone"
    print(ROW.format(f"drawing {told}", f"{statistics.median(drawing) * 1e3:.1f}", left))
    print(ROW.format("placing", f"{statistics.median(placing) * 1e3:.1f}", f"{len(files) / len(drawn):.0f} files"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "driver", "costs"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=80)
    parser.add_argument("--size", type=int, default=1280, help="of the pictures")
    parser.add_argument("--some", type=int, default=2000, help="of the listed photos, how many are done")
    given = parser.parse_args()
    if given.what == "speed":
        compare_speed(given.rounds, given.photos, given.size)
    elif given.what == "driver":
        compare_driver(given.some)
    else:
        costs(given.photos)


if __name__ == "__main__":
    main()
