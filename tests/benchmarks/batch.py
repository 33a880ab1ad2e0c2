"""A folder of photos by `attnviz batch`, beside the same work done one photo at a time.

On two cores: how busy `batch` keeps them, its CPU time beside a loop over the Python API with one thread, its speed
beside that loop and beside a shell loop over `attnviz render`, and its memory for few and for many photos.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "sample_images").glob("*.jpg"))
SIZE = (427, 640)
LARGE = (3000, 4000)  # 12 megapixels
CORES = 2
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The environment of the loop: one photo at a time is too little work for more threads, which mostly wait, spinning."""
ROW = "{:<44} {:>10} {:>10} {:>9} {:>9}  {}"

LOOP = """
import sys, attnviz
from pathlib import Path
model = attnviz.load_model()
for path in sorted(Path(sys.argv[1]).iterdir()):
    trace, = attnviz.explain(model, path)
    attnviz.draw(trace, path, Path(sys.argv[2]) / (path.name + "-attention"))
"""


class Cost(NamedTuple):
    """What a command took: seconds of wall time and of CPU time, and the memory at its peak, children included."""

    wall: float
    cpu: float
    peak: int


def compare_batch(rounds: int, photos: int = 80) -> None:
    """Prints the comparisons; each contender has a turn in every round."""
    cores = bind()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "photos", range(photos))
        speed(folder, rounds, photos, cores)
        memory(folder)


def bind() -> int:
    """Leaves this process and its children CORES cores, where the system can; returns how many they have."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    return len(os.sched_getaffinity(0))


def speed(folder: Path, rounds: int, photos: int, cores: int) -> None:
    """Wall and CPU time a photo of one long run, its start included."""
    batch = [sys.executable, "-m", "attnviz", "batch"]
    loop = [sys.executable, "-c", LOOP]
    times: dict[str, list[Cost]] = {"batch": [], "loop": []}
    shell: list[float] = []
    for _ in range(rounds):
        times["batch"].append(cost(folder, batch, "photos"))
        times["loop"].append(cost(folder, loop, "photos", env=ONE_THREAD))
        start = time.perf_counter()
        one = folder / "photos" / "000.jpg"
        render = [sys.executable, "-m", "attnviz", "render", str(one), "-o", str(folder / "out"), "-q"]
        subprocess.run(render, env=environment(), check=True, capture_output=True)
        shell.append(time.perf_counter() - start)
    (wall, cpu), (loop_wall, loop_cpu) = (each_photo(found, photos) for found in times.values())
    each = statistics.median(shell)
    busy = statistics.median(found.cpu / (cores * found.wall) for found in times["batch"])
    print(ROW.format(f"{photos} photos, {SIZE[1]}x{SIZE[0]}, PNG and GIF", "wall ms", "CPU ms", "is", "wanted", ""))
    print(ROW.format("attnviz batch", f"{wall * 1e3:.0f}", f"{cpu * 1e3:.0f}", "", "", ""))
    print(ROW.format("a loop over the Python API *", f"{loop_wall * 1e3:.0f}", f"{loop_cpu * 1e3:.0f}", "", "", ""))
    print(ROW.format("a shell loop over attnviz render", f"{each * 1e3:.0f}", "", "", "", ""))
    verdict(f"share of {cores} cores that batch keeps busy", busy, 0.85, at_least=True)
    verdict("CPU time, of that of the loop", cpu / loop_cpu, 1.0)
    verdict("wall time, of that of the loop", wall / loop_wall, 0.75)
    verdict("times as fast as the shell loop", each / wall, 5, at_least=True)
    threads = " and ".join(f"{name}={value}" for name, value in ONE_THREAD.items())
    print(f"* with {threads}: with more threads it is slower\n")


def each_photo(found: list[Cost], photos: int) -> tuple[float, float]:
    """Median wall and CPU time a photo, in seconds."""
    return statistics.median(one.wall for one in found) / photos, statistics.median(one.cpu for one in found) / photos


def memory(folder: Path, few: int = 100, many: int = 1000) -> None:
    """Peak memory with small pictures, which fill it as large ones do, in less time."""
    batch = [sys.executable, "-m", "attnviz", "batch"]
    quick = ("--size", "160", "-f", "gif", "--beam", "1")
    peaks = {}
    for count in (few, many):
        fill(folder / f"{count}", range(count))
        peaks[count] = cost(folder, batch, f"{count}", *quick).peak
    for number in range(20):
        picture(number, LARGE).save(folder / f"{few}" / f"{number * 5:03d}-large.jpg", quality=90)
    peaks[0] = cost(folder, batch, f"{few}", *quick).peak
    print(ROW.format("Memory at its peak", "MB", "", "is", "wanted", ""))
    for label, key in ((f"{few} photos", few), (f"{many} photos", many), (f"{few}, and 20 of 12 megapixels", 0)):
        print(ROW.format(label, f"{peaks[key] / 1e6:.0f}", "", "", "", ""))
    verdict(f"of {many} photos, beside {few}", peaks[many] / peaks[few], 1.15)
    verdict("more MB with 20 of 12 megapixels between", (peaks[0] - peaks[few]) / 1e6, 500)
    print()


def verdict(label: str, value: float, wanted: float, at_least: bool = False) -> None:
    """A row that says whether a number is what it should be."""
    met = value >= wanted if at_least else value <= wanted
    print(ROW.format(label, "", "", f"{value:.2f}", f"{wanted:.2f}", "yes" if met else "NO"))


def fill(folder: Path, numbers: range) -> None:
    """Photos that differ from each other."""
    folder.mkdir()
    for number in numbers:
        picture(number, SIZE).save(folder / f"{number:03d}.jpg", quality=90)


def picture(number: int, size: tuple[int, int]) -> Image.Image:
    """A sample photo, another part of it each time."""
    with Image.open(SAMPLES[number % len(SAMPLES)]) as image:
        width, height = image.size
        left, top = np.random.default_rng(number).uniform(0, 0.2, 2)
        box = (left * width, top * height, (left + 0.8) * width, (top + 0.8) * height)
        return image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC, box=box)


def cost(
    folder: Path, command: list[str], photos: str, *options: str, env: Mapping[str, str] = MappingProxyType({})
) -> Cost:
    """Runs a command over a folder of photos, watched from a process of its own, whose children are all there are."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    target = [str(folder / photos), *(["-o"] if "attnviz" in command else []), str(out)]
    quiet = ["-q"] if "attnviz" in command else []
    watched = [sys.executable, __file__, *command, *target, *quiet, *options]
    found = subprocess.run(watched, env={**environment(), **env}, check=True, capture_output=True, text=True)
    return Cost(*json.loads(found.stdout.splitlines()[-1]))


def watch(command: list[str]) -> Cost:
    """Runs a command; its memory is the sum of what it and its children ever had in memory at their peaks."""
    import resource

    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        peaks |= {member: high_water(member) or peaks.get(member, 0) for member in family(process.pid)}
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.returncode)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime, sum(peaks.values()))


def family(process: int) -> list[int]:
    """A process and those that it has started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return [process, *(child for child, parent in parents.items() if parent == process)]


def high_water(process: int) -> int:
    """The most bytes of memory that a process has had, which the system keeps; 0 where that is not known."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def environment() -> dict[str, str]:
    """The environment in which `attnviz` is this source tree's."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    print(json.dumps(watch(sys.argv[1:])))
