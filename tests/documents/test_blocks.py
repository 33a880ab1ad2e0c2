"""Every command and Python block of the README and the guide runs, in an empty folder with the files it speaks of."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from unittest import SkipTest

import matplotlib.pyplot as plt
import pytest

from attnviz import zoo
from attnviz.captioner import Captioner, save_checkpoint
from attnviz.cli import run
from attnviz.train import build
from documents import world
from documents.blocks import ROOT, parse, runnable, stop

PAGES = {"README": ROOT / "README.md", **{path.stem: path for path in sorted(world.GUIDE.glob("*.md"))}}
MINUTES = {"check", "evaluate", "train"}
"""Commands that would take minutes with a real network; here a tiny one stands in for the bundled ones."""


@pytest.fixture
def tiny(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """In commands of `MINUTES`, names of bundled models lead to tiny ones."""
    folder, real = tmp_path_factory.mktemp("tiny"), zoo.find_checkpoint

    def find(name: object, mode: str | None = None) -> Path:
        if name not in ("flickr8k", "flickr8k-plain") or not MINUTES & set(sys.argv[1:2]):
            return real(name, mode)  # type: ignore[arg-type]
        path, network = folder / f"{name}-{mode}.safetensors", Captioner.tiny(mode=mode or "concat", seed=2)
        network.name = str(name)
        save_checkpoint(network, path)  # this one says little of the photo
        return path

    monkeypatch.setattr(zoo, "find_checkpoint", find)
    monkeypatch.setattr(build, "find_checkpoint", find)
    monkeypatch.setattr("attnviz.captioner.familiar.FEWEST", 1)  # one photo stands for a data set
    return monkeypatch


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_blocks(page: str, tmp_path: Path, tiny: pytest.MonkeyPatch, no_network: None) -> None:
    def command(args: list[str]) -> int:
        tiny.setattr(sys, "argv", ["attnviz", *args])
        return run(args)

    tiny.setattr(sys, "path", [*sys.path])
    tiny.chdir(tmp_path)
    document = parse(PAGES[page], command)
    world.furnish(tmp_path, document.text)
    document.namespace.update(world.NAMES[page]() if page in world.NAMES else {})
    try:
        for example in document.examples():
            with suppress(SkipTest):  # told of below
                example.evaluate()
    finally:
        stop(document.namespace.get("servers", {}))
        plt.close("all")


@pytest.mark.parametrize(
    ("page", "line", "reason"),
    [
        (page, example.line, example.parsed[1])
        for page, path in PAGES.items()
        for example in parse(path, run).examples()
        if not runnable(example)
    ],
)
def test_blocks_that_are_not_run_say_why(page: str, line: int, reason: str) -> None:
    assert len(reason.strip("\"'")) > 10, f"{page}, line {line}: say why it is not run"
    pytest.skip(f"{PAGES[page].name}:{line} is not run: {reason}")
