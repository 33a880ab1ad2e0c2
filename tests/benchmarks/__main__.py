"""Speed beside other libraries, and whether every word is seen: `make bench`, or `python tests/benchmarks`.

One photo of 1280x853 and 20 steps. All contenders take turns, several rounds of it, and medians are compared: so a
busy machine slows all of them alike. Peers that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from batch import compare_batch
from peers import PEERS, Peer
from PIL import Image
from seen import compare_seen

from attnviz.photo.frame import Frame
from attnviz.photo.image import Photo
from attnviz.render import DrawOptions, draw
from attnviz.render.parallel import ordered, threads
from attnviz.render.pictures import Pictures
from attnviz.render.writers import gif
from attnviz.trace import Trace

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "sample_images" / "dog.jpg"
SIZE = (853, 1280)
WORDS = [
    "a",
    "brown",
    "dog",
    "with",
    "a",
    "red",
    "collar",
    "runs",
    "over",
    "the",
    "wet",
    "sand",
    "of",
    "a",
    "wide",
    "beach",
    "on",
    "a",
    "sunny",
    "day",
]
PEER_STEPS = 3  # of the 20, for peers that take long
ROW = "{:<44} {:>10} {:>9} {:>9}  {}"


def main() -> None:
    """Runs the comparisons and prints a table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often everybody has a turn [5]")
    parser.add_argument("--seen", metavar="PHOTOS", type=Path, help="measure alone whether words are seen on these")
    parser.add_argument("--photos", type=int, default=1000, help="how many of them at most [1000]")
    parser.add_argument("--scale", default="log", help="the scale that is measured [log]")
    parser.add_argument("--cmap", default="dusk", help="the colour map that is measured [dusk]")
    given = parser.parse_args()
    if given.seen:
        compare_seen(given.seen, given.photos, scale=given.scale, cmap=given.cmap)
        return
    rounds = given.rounds
    photo = picture(SIZE)
    trace = made_up(WORDS[:20], SIZE)
    print(f"{SIZE[1]}x{SIZE[0]}, {len(trace)} steps, {threads()} cores, medians of {rounds} rounds\n")
    compare_png(trace, photo, rounds)
    compare_gif(trace, photo, rounds)
    compare_figure(rounds)
    compare_start(rounds)
    compare_batch(min(rounds, 3))
    compare_seen(PHOTO.parent, given.photos, scale=given.scale, cmap=given.cmap)


def picture(size: tuple[int, int]) -> Photo:
    """A sample photo, scaled, with a little sensor noise: enlarged alone it would be easier to pack than photos are."""
    image = Image.open(PHOTO).convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS)
    noise = np.random.default_rng(0).normal(0, 1.5, (*size, 1))
    return Photo(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8), PHOTO.name, None)


def made_up(words: list[str], size: tuple[int, int]) -> Trace:
    """One or two bumps a word on a 14x14 grid, over a little attention everywhere."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:14, :14]
    maps = []
    for _ in words:
        bumps = np.full((14, 14), 0.01)
        for _ in range(random.integers(1, 3)):
            row, column, width = random.uniform(1, 12), random.uniform(1, 12), random.uniform(0.8, 2.2)
            bumps += random.uniform(0.3, 1) * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))
        maps.append(bumps / bumps.sum())
    probabilities = random.uniform(0.1, 1, len(words))
    return Trace(
        np.array(maps, np.float32),
        tuple(words),
        np.log(probabilities).astype(np.float32),
        frame=Frame.stretch(size, (224, 224), (14, 14)),
    )


def compare_png(trace: Trace, photo: Photo, rounds: int) -> None:
    """Drawing and PNG encoding, ms a frame, and Pillow's writer alone at its fastest as the limit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = Pictures(trace, photo, DrawOptions())
        frames = [Image.fromarray(pictures.picture(index)) for index in range(len(pictures))]

        def limit() -> int:
            save = lambda index: frames[index].save(folder / f"{index}.png", compress_level=1)  # noqa: E731
            return len(list(ordered(save, range(len(frames)))))

        def ours() -> int:
            draw(trace, photo, folder / "ours", formats=("png",))
            return len(trace)

        contenders: dict[str, Callable[[], int]] = {"attnviz": ours, "Pillow's PNG at level 1 alone, all cores": limit}
        wanted: dict[str, float] = {"Pillow's PNG at level 1 alone, all cores": 0.5}
        for peer, made in peers(photo.pixels, trace.weights):
            contenders[peer] = lambda made=made: take(made, folder)  # type: ignore[misc]
            wanted[peer] = PEERS[peer][1]
        report("Drawing and PNG", "ms/frame", measure(contenders, rounds), wanted)
        sizes = [(folder / "ours" / path.name).stat().st_size for path in (folder / "ours").glob("*.png")]
        default = io.BytesIO()
        frames[0].save(default, "PNG")
        print(
            f"PNG size: {statistics.mean(sizes) / 1e6:.2f} MB a frame; Pillow's default {default.tell() / 1e6:.2f} MB\n"
        )


def peers(photo: npt.NDArray[np.uint8], weights: npt.NDArray[np.float32]) -> Iterator[tuple[str, Peer]]:
    """The peers that are installed; the others are named."""
    for name, (make, _) in PEERS.items():
        try:
            yield name, make(photo, weights)
        except ImportError as error:
            print(f"left out: {name} ({error})")


def take(peer: Peer, folder: Path) -> int:
    """Some steps by a peer; how many."""
    for step in range(PEER_STEPS):
        peer(step, folder / f"peer-{step}.png")
    return PEER_STEPS


def compare_gif(trace: Trace, photo: Photo, rounds: int) -> None:
    """Our GIF, drawing included, beside Pillow's save_all of the same finished frames."""
    pictures = Pictures(trace, photo, DrawOptions())
    frames = [Image.fromarray(pictures.still(still)) for still in pictures.stills]
    sizes: dict[str, int] = {}

    def ours() -> int:
        out = io.BytesIO()
        gif.write(Pictures(trace, photo, DrawOptions()), out)
        sizes["attnviz"] = out.tell()
        return len(frames)

    def pillow() -> int:
        out = io.BytesIO()
        frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=800, loop=0)
        sizes["Pillow"] = out.tell()
        return len(frames)

    times = measure({"attnviz, drawing included": ours, "Pillow's save_all alone": pillow}, rounds)
    report("GIF", "ms/frame", times, {"Pillow's save_all alone": 5})
    print(f"GIF size: {sizes['attnviz'] / 1e6:.2f} MB; Pillow's {sizes['Pillow'] / 1e6:.2f} MB\n")


def compare_figure(rounds: int) -> None:
    """A figure of 12 panels at 300 dpi, painting included, beside matplotlib's savefig of the finished panels."""
    from matplotlib.figure import Figure

    from attnviz.render.figure import figure

    photo = picture(SIZE)
    trace = made_up(WORDS[:11], SIZE)
    panels = [np.asarray(axes.images[0].get_array()) for axes in figure(trace, photo, columns=4).axes[:12]]
    sizes: dict[str, int] = {}

    def ours() -> int:
        out = io.BytesIO()
        figure(trace, photo, columns=4).savefig(out, format="pdf")
        sizes["attnviz"] = out.tell()
        return 1

    def bare() -> int:
        page = Figure(figsize=(6.5, 4), dpi=300)
        for axes, panel in zip(page.subplots(3, 4).flat, panels, strict=True):
            axes.imshow(panel, interpolation="none")
            axes.set_axis_off()
        out = io.BytesIO()
        page.savefig(out, format="pdf")
        sizes["bare"] = out.tell()
        return 1

    times = measure({"attnviz, painting included": ours, "matplotlib's savefig alone": bare}, rounds)
    report("Figure of 12 panels, PDF at 300 dpi", "ms", times, {"matplotlib's savefig alone": 1 / 2.5})
    print(f"PDF size: {sizes['attnviz'] / 1e6:.2f} MB; matplotlib's {sizes['bare'] / 1e6:.2f} MB\n")


def compare_start(rounds: int) -> None:
    """Processes: the smallest commands beside `import click`, drawing and rendering beside `import torch`."""
    size = (427, 640)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.fromarray(picture(size).pixels).save(folder / "photo.jpg", quality=92)
        made_up(WORDS[:12], size).save(folder / "trace.npz")
        python = [sys.executable, "-c"]
        us = [sys.executable, "-m", "attnviz"]
        small = {"attnviz --help": [*us, "--help"], "import click": [*python, "import click"]}
        large = {
            "attnviz draw, 12 words, PNG and GIF": [
                *us,
                "draw",
                "trace.npz",
                "--image",
                "photo.jpg",
                "-o",
                "drawn",
                "-q",
            ],
            "import torch": [*python, "import torch"],
        }
        render = [*us, "render", "photo.jpg", "-o", "rendered", "-q"]
        if succeeds(render, folder):
            large = {"attnviz render, PNG and GIF": render, **large}
        else:
            print("left out: attnviz render (it fails here: no bundled model?)")
        for title, commands, wanted in (
            ("Start", small, {"import click": 1 / 2}),
            ("Start with work", large, {"import torch": 1 / 1.5}),
        ):
            jobs = {label: lambda command=command: process(command, folder) for label, command in commands.items()}
            report(title, "ms", measure(jobs, rounds), wanted)  # type: ignore[arg-type]
        shutil.rmtree(folder / "drawn", ignore_errors=True)


def succeeds(command: list[str], folder: Path) -> bool:
    """Whether a command runs here."""
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True).returncode == 0


def process(command: list[str], folder: Path) -> int:
    """Runs a command to its end."""
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    return 1


def environment() -> dict[str, str]:
    """The environment in which `attnviz` is this source tree's."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def measure(contenders: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a frame, of each contender in each round; a first round warms up and does not count."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            count = run()
            if number:
                times[name].append((time.perf_counter() - start) * 1000 / count)
    return times


def report(title: str, unit: str, times: dict[str, list[float]], wanted: dict[str, float]) -> None:
    """A table; the ratio is how many times as fast as a contender the first one is."""
    first = statistics.median(next(iter(times.values())))
    print(ROW.format(title, unit, "ratio", "wanted", ""))
    for name, values in times.items():
        median = statistics.median(values)
        ratio = median / first
        goal = wanted.get(name)
        verdict = "" if goal is None else "yes" if ratio >= goal else "NO"
        print(ROW.format(name, f"{median:.1f}", f"{ratio:.2f}", "" if goal is None else f"{goal:.2f}", verdict))
    print()


if __name__ == "__main__":
    main()
