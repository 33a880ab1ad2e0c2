"""Fixtures that several test files share. Tests need no network, no GPU and no data but what they make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

if TYPE_CHECKING:
    from tutorial import Tutorial

    from attnviz.train import DataConfig

pytest_plugins = ("chromium", "served", "tinyhf.fixtures")

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (30, 30, 220), "white": (250, 250, 250)}

SLOW = (
    "adapters/hf/test_command_line.py",
    "adapters/hf/test_exact.py",
    "adapters/hf/test_light_up.py",
    "adapters/hf/test_loading.py",
    "adapters/hf/test_slopes.py",
    "adapters/test_pickles.py",
    "adapters/test_show_attend_tell.py",
    "batch/test_batch.py",
    "batch/test_cloud.py",
    "batch/test_cluster.py",
    "batch/test_gallery.py",
    "batch/test_mounts.py",
    "captioner/test_bundled.py",
    "captioner/test_decoder.py",
    "captioner/test_hostile.py",
    "cli/test_batch_cli.py",
    "cli/test_check_cli.py",
    "cli/test_cli_render.py",
    "cli/test_completion.py",
    "cli/test_convert_cli.py",
    "cli/test_evaluate_cli.py",
    "cli/test_evidence_cli.py",
    "cli/test_figure_cli.py",
    "cli/test_terminal.py",
    "cli/test_wrong.py",
    "data/test_table.py",
    "evaluate/test_averages.py",
    "evidence/test_several.py",
    "fuzz/test_fuzz.py",
    "render/test_drawing.py",
    "render/test_figure.py",
    "render/test_html_browser.py",
    "render/test_mpl.py",
    "render/test_writers.py",
    "serve/test_api.py",
    "serve/test_page_browser.py",
    "serve/test_server.py",
    "test_plugin.py",
    "train/test_crops.py",
    "train/test_start.py",
    "train/test_train.py",
)
"""Files that take five seconds or more on an idle core: `make test` leaves them out, and takes less than a minute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder) and item.path.relative_to(folder).as_posix() in SLOW:
            item.add_marker("slow")


# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("attnviz", deadline=None)
settings.load_profile("attnviz")


class Outcome(NamedTuple):
    """What a command left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


@pytest.fixture
def pixels() -> np.ndarray:
    """(40, 60, 3) uint8: a bright disc right of the middle on a gradient, alike under no flip or turn."""
    y, x = np.mgrid[:40, :60]
    photo = np.stack([x * 4, y * 6, 255 - x * 2 - y * 3], axis=-1)
    photo[(y - 15) ** 2 + (x - 42) ** 2 < 64] = (250, 240, 60)
    return photo.astype(np.uint8)


@pytest.fixture
def photo(tmp_path: Path, pixels: np.ndarray) -> Path:
    """`photo.png`, 60x40 pixels."""
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny seeded network with random weights."""
    from attnviz.captioner import Captioner, save_checkpoint

    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(Captioner.tiny(mode="concat", seed=0), path)
    return path


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Runs a command in this process, in `tmp_path`: `cli("render", "photo.png")`."""
    from attnviz.cli import run

    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> Outcome:
        capfd.readouterr()
        status = run([str(arg) for arg in args])
        sys.stdout.flush()
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Outcome]:
    """Runs a command as a process of its own, in `tmp_path`."""

    def call(*args: object, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Outcome:
        found = subprocess.run(
            [sys.executable, "-m", "attnviz", *map(str, args)],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            timeout=120,
            # The package under test, also where it is not installed.
            env={**os.environ, "PYTHONPATH": str(_package_folder()), **(env or {})},
        )
        return Outcome(found.returncode, found.stdout.decode(errors="replace"), found.stderr.decode())

    return call


SIZES = [(40, 60), (64, 48), (30, 30), (48, 96), (90, 40)]


@pytest.fixture(scope="session")
def photos() -> Callable[..., Path]:
    """Fills a folder with small photos of several sizes: `photos(folder, ["a.jpg", "trip/b.png"])`."""

    def make(folder: Path, names: list[str], seed: int = 0) -> Path:
        random = np.random.default_rng(seed)
        for index, name in enumerate(names):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            height, width = SIZES[index % len(SIZES)]
            low = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(low).resize((width, height)).save(path, "PNG" if name.endswith("png") else "JPEG")
        return folder

    return make


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes | None]]:
    """What stands below a folder: path -> bytes, None for a folder; of manifests, the lines without the seconds."""

    def read(folder: Path) -> dict[str, bytes | None]:
        found: dict[str, bytes | None] = {}
        for path in folder.rglob("*"):
            data = path.read_bytes() if path.is_file() else None
            if data is not None and path.name.startswith("manifest") and data.startswith(b"{"):
                records = sorted((json.loads(line) for line in data.splitlines()), key=lambda record: record["path"])
                data = json.dumps([{**record, "seconds": 0} for record in records]).encode()
            found[str(path.relative_to(folder))] = data
        return found

    return read


def _package_folder() -> Path:
    import attnviz

    return Path(attnviz.__file__).parents[1]


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """A coloured square, left or right, on black; the captions say its colour, the boxes where it is."""
    from attnviz.train import DataConfig

    lines = []
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as archive:
        for number, (colour, rgb) in enumerate(COLOURS.items()):
            left = 0 if number % 2 else 32
            pixels = np.zeros((64, 64, 3), np.uint8)
            pixels[16:48, left : left + 32] = rgb
            Image.fromarray(pixels).save(tmp_path / f"{colour}.png")
            archive.write(tmp_path / f"{colour}.png", f"{colour}.png")
            side = "left" if left == 0 else "right"
            caption = {"tokens": ["A", colour, "square", "on", "the", side, "."], "phrases": [[0, 3, "1", []]]}
            box = [left / 64, 0.25, left / 64 + 0.5, 0.75]
            lines.append(
                json.dumps(
                    {
                        "image": f"{colour}.png",
                        "width": 64,
                        "height": 64,
                        "captions": [caption] * 2,
                        "boxes": {"1": [box]},
                    }
                )
            )
    (tmp_path / "toy.jsonl").write_text("\n".join(lines))
    return DataConfig(
        str(tmp_path / "toy"), str(tmp_path / "toy"), cache=str(tmp_path / "cache"), minimum=1, captions=2
    )


@pytest.fixture(scope="session")
def plugin_installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example package, as pip installs it; neither the network nor another environment is needed."""
    pytest.importorskip("hatchling")
    target = tmp_path_factory.mktemp("site")
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    example = Path(__file__).parent / "plugin"
    command = [sys.executable, "-m", "pip", "install", "-q", *offline, "--target", str(target), str(example)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return target


SENTENCES = (
    "a dog runs on grass",
    "two dogs play",
    "a rocket in the sky",
    "a cup of coffee",
    "horses on a field",
)


@pytest.fixture(scope="session")
def blots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five photos of blurred colours, each of another size; the last is grey."""
    folder, random, paths = tmp_path_factory.mktemp("photos"), np.random.default_rng(0), []
    for number in range(5):
        low = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        image = Image.fromarray(low).resize((90 + 20 * number, 120 - 10 * number))
        paths.append(folder / f"{number}.png")
        (image.convert("L") if number == 4 else image).save(paths[-1])
    return paths


@pytest.fixture(scope="session")
def network(blots: list[Path]) -> Tutorial:
    """A network of the tutorial's, small, that has learned a few steps from them."""
    import torch
    from tutorial import pixels, small_resnet, train

    torch.manual_seed(0)
    return train(small_resnet(), SENTENCES, [pixels(path) for path in blots], 40, state=32, embedding=16)


@pytest.fixture(scope="session")
def wordmap(network: Tutorial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words") / "WORDMAP_toy.json"
    path.write_text(json.dumps(network.words))
    return path


@pytest.fixture(scope="session")
def saved(network: Tutorial, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Container -> the tutorial's checkpoint in it."""
    from tutorial import save

    folder = tmp_path_factory.mktemp("saved")
    return {
        "zip": save(network, folder / "BEST_checkpoint_zip.pth.tar"),
        "legacy": save(network, folder / "BEST_checkpoint_legacy.pth.tar", legacy=True),
    }


@pytest.fixture(scope="session")
def converted(saved: dict[str, Path], wordmap: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a checkpoint of attnviz."""
    from attnviz.adapters.show_attend_tell import convert

    out = tmp_path_factory.mktemp("converted") / "toy.safetensors"
    convert(saved["zip"], wordmap, out)
    return out
