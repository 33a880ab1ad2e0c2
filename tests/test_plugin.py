"""The example plug-in, installed as a user would, does all that the command line offers; broken ones are one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_docs import CODE
from test_guide_any_model import part

import attnviz
from attnviz.network import Network
from attnviz.trace import Trace
from attnviz.zoo import load_model, plugins
from attnviz.zoo.plugins import ASKED_OF_A_NETWORK, GROUP, Guarded

EXAMPLE = Path(__file__).parent / "plugin"
PACKAGE = Path(attnviz.__file__).parents[1]
SAMPLES = Path(__file__).parents[1] / "sample_images"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def attnviz_with(plugin_installed: Path, tmp_path: Path) -> Run:
    """Runs a command with the example installed, in `tmp_path`, and says at the end whether torch was loaded."""
    code = (
        "import sys\nfrom attnviz.cli import run\nstatus = run(sys.argv[1:])\n"
        "print('torch' if 'torch' in sys.modules else 'no torch', file=sys.stderr)\nsys.exit(status)"
    )

    def call(*args: object) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(plugin_installed), str(PACKAGE)))}
        command = [sys.executable, "-c", code, *map(str, args)]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120)

    return call


def test_the_example_renders_without_torch(attnviz_with: Run, tmp_path: Path) -> None:
    done = attnviz_with("render", SAMPLES / "rocket.jpg", "-o", "out", "--model", "colours:32", "-f", "png,gif,html")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "no torch")
    trace = Trace.load(tmp_path / "out" / "trace.npz")
    assert (trace.model, trace.grid) == ("colours", (21, 32))
    assert trace.tokens == ("black", "blue", "brown", "grey")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"step-00-black.png", "attention.gif", "trace.npz", "summary.json"} <= names
    assert any(name.endswith(".html") for name in names)


def test_given_words_are_looked_at(attnviz_with: Run, tmp_path: Path) -> None:
    done = attnviz_with(
        "render", SAMPLES / "rocket.jpg", "-o", "out", "--model", "colours", "--text", "white brown", "-f", "png"
    )
    assert done.returncode == 0
    trace = Trace.load(tmp_path / "out" / "trace.npz")
    assert trace.tokens == ("white", "brown")


def test_the_example_does_a_folder_and_makes_figures(attnviz_with: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("dog.jpg", "sheep-rotated.jpg"):
        (photos / name).write_bytes((SAMPLES / name).read_bytes())
    batch = ("batch", "photos", "-o", "out", "--model", "colours", "--size", 200, "-f", "png,html", "--report")
    done = attnviz_with(*batch)
    assert done.returncode == 0
    assert "2 done, 0 failed" in done.stderr
    grids = {Trace.load(path).grid for path in (tmp_path / "out").rglob("trace.npz")}
    assert len(grids) == 2  # another frame and grid for every photo
    assert (tmp_path / "out" / "index.html").is_file()
    assert "2 skipped" in attnviz_with(*batch).stderr  # the fingerprint is the same in another process
    done = attnviz_with("figure", "photos/dog.jpg", "-o", "fig.svg", "--model", "colours,colours:8")
    assert done.returncode == 0
    assert "brown" in done.stdout
    assert (tmp_path / "fig.svg").stat().st_size > 1000


def test_models_lists_it_without_importing_it(attnviz_with: Run) -> None:
    done = attnviz_with("models")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("colours")]
    assert line.endswith("attnviz-colours 1.0")
    assert "Names the colours of a photo" in line
    assert done.stderr.splitlines()[-1] == "no torch"
    (fact,) = [one for one in json.loads(attnviz_with("models", "--json").stdout) if one["name"] == "colours"]
    assert (fact["package"], fact["version"], fact["default"]) == ("attnviz-colours", "1.0", False)


@pytest.mark.parametrize(
    ("args", "told", "status"),
    [
        (("--model", "colous"), "did you mean 'colours:'", 2),
        (("--model", "colous:3"), "did you mean 'colours:'", 2),
        (("--model", "colours:x"), "give a number of cells", 1),
        (("--model", "colours", "-m", "dot"), "colours has no modes", 1),
        (("--model", "colours", "--beam", "3"), "there is no beam to choose", 1),
    ],
)
def test_what_the_example_cannot_do_is_one_line(
    attnviz_with: Run, args: tuple[str, ...], told: str, status: int
) -> None:
    done = attnviz_with("render", SAMPLES / "rocket.jpg", "-o", "out", *args)
    assert done.returncode == status
    error, _ = done.stderr.splitlines()
    assert error.startswith("attnviz: error: ")
    assert told in error


def test_the_guide_shows_the_example() -> None:
    shown = dict(CODE.findall(part("A plug-in")))
    assert shown["toml"] == (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    assert shown["python"] == (EXAMPLE / "attnviz_colours.py").read_text(encoding="utf-8")


def test_the_protocol_is_what_is_asked_of_a_plugin() -> None:
    asked = {name for name in vars(Network) if not name.startswith("_")}
    assert asked == set(ASKED_OF_A_NETWORK)
    assert all(hasattr(Guarded, name) for name in asked)


WHOLE = """
from attnviz import Frame, Trace
from attnviz.network import Prepared
from attnviz.trace import ImageInfo
import numpy as np

class Net:
    name, mode, device, concurrent = "broken", None, "cpu", True
    def fingerprint(self): return "1"
    def check(self, asked): pass
    def prepare(self, photo, asked=None):
        return Prepared(None, Frame.stretch(photo.size, (8, 8), (2, 2)), ImageInfo.of(photo), 0)
    def describe(self, prepared, asked):
        return [Trace(np.full((1, 2, 2), 0.25), ("a",), frame=p.frame, image=p.image) for p in prepared]

def load(rest, *, mode=None, device="auto"):
    return Net()
"""


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a package `broken-net` whose module holds some code."""
    site = tmp_path / "site"
    info = site / "broken_net-0.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-net\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbroken = broken_net:load\n")
    monkeypatch.syspath_prepend(str(site))

    def write(code: str) -> None:
        sys.modules.pop("broken_net", None)
        (site / "broken_net.py").write_text(code)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return write


def test_a_whole_network_passes(broken: Callable[[str], None], pixels: Any) -> None:
    broken(WHOLE + "Net.extra = 5\n")
    network = load_model("broken:anything")
    assert isinstance(network, Network)
    assert network.extra == 5  # type: ignore[attr-defined]
    (trace,) = attnviz.explain(network, pixels)
    assert trace.tokens == ("a",)
    (plugin,) = [one for one in plugins() if one.name == "broken"]
    assert (plugin.package, plugin.version) == ("broken-net", "0.3")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nothing_of_this_name", "cannot be imported: ModuleNotFoundError: No module named"),
        ("x = 1", "cannot be imported: AttributeError"),
        ("this is no python", "cannot be imported: SyntaxError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("def load(): ...", "fails: TypeError: load() "),
        ("def load(rest, *, mode=None, device='auto'): return 5", "int is no network, it lacks name, mode, device"),
        (WHOLE + "del Net.describe", "Net is no network, it lacks describe"),
        (WHOLE + "Net.prepare = lambda self, photo, asked: 1/0", "fails: ZeroDivisionError: division by zero"),
        (WHOLE + "Net.prepare = lambda self, photo, asked: photo", "prepare gives Photo, not"),
        (WHOLE + "Net.describe = lambda self, prepared, asked: []", "describe gives 0 traces, not 1"),
        (WHOLE + "Net.describe = lambda self, prepared, asked: ['a']", "describe gives str, not 1"),
        (WHOLE + "Net.describe = lambda self, prepared, asked: None", "fails: TypeError"),
    ],
)
def test_what_a_package_does_wrong_is_one_line_that_names_it(
    broken: Callable[[str], None], cli: Callable[..., Any], photo: Path, code: str, told: str
) -> None:
    broken(code)
    status, out, err = cli("render", photo, "-o", "out", "--model", "broken:")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "broken-net 0.3, which offers the network 'broken': " in err
    assert told in err


def test_two_packages_of_one_name(
    broken: Callable[[str], None], tmp_path: Path, cli: Callable[..., Any], photo: Path
) -> None:
    broken(WHOLE)
    info = tmp_path / "site" / "other-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbroken = other:load\n")
    found = cli("render", photo, "-o", "out", "--model", "broken")
    assert found.status == 1
    assert "is offered by broken-net 0.3 and other 1; uninstall one" in found.err


def test_any_network_is_evaluated(broken: Callable[[str], None], tmp_path: Path, photo: Path) -> None:
    """One that looks at the left upper cell for every word it is given, on a grid of its own."""
    import zipfile

    from attnviz.data import Split
    from attnviz.evaluate import evaluate

    pytest.importorskip("sacrebleu")
    broken(
        WHOLE
        + """
def describe(self, prepared, asked):
    found = []
    for number, one in enumerate(prepared):
        words = tuple((asked.text_of(number) or "A dog's bone.").split())
        weights = np.zeros((len(words), 2, 2))
        weights[:, 0, 0] = 1
        found.append(Trace(weights, words, frame=one.frame, image=one.image))
    return found

Net.describe = describe
"""
    )
    with zipfile.ZipFile(tmp_path / "dev.zip", "w") as archive:
        archive.write(photo, "a.png")
    caption = {"tokens": ["A", "dog", "'s", "bone", "."], "phrases": [[0, 2, "1", []]]}
    boxes = {"1": [[0, 0, 0.5, 0.25]]}  # half of the left upper cell
    record = {"image": "a.png", "width": 60, "height": 40, "captions": [caption], "boxes": boxes}
    (tmp_path / "dev.jsonl").write_text(json.dumps(record))
    report = evaluate(load_model("broken"), Split(tmp_path / "dev"))
    assert report.captions == {"a.png": "a dog 's bone"}
    assert report.bleu["BLEU-4"] == pytest.approx(100)
    assert set(report.localization) == {"model", "uniform", "centre"}  # it has no attention to draw anew
    assert report.localization["model"]["correctness"] == pytest.approx(0.5)
    assert (report.mode, report.beam, report.unread) == (None, None, 0)
