"""The guide on any model: its code runs, its commands parse, its table is that of the command."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image
from test_docs import CODE, commands, table

import attnviz
from attnviz.cli.draw import command as draw
from attnviz.cli.render import command as render
from attnviz.trace import Trace

GUIDE = (Path(attnviz.__file__).parent / "guide" / "any-model.md").read_text(encoding="utf-8")


def part(title: str) -> str:
    return re.split(r"^## ", GUIDE, flags=re.MULTILINE)[
        [*re.findall(r"^## (.*)$", GUIDE, re.MULTILINE)].index(title) + 1
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds `photo.jpg`, 500x375 pixels; the code runs there."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)).save("photo.jpg")
    return tmp_path


def run_code(text: str, **names: Any) -> dict[str, Any]:
    for language, code in CODE.findall(text):
        if language == "python":
            exec(compile(code, "any-model.md", "exec"), names)
    return names


def test_attention_you_already_have(folder: Path) -> None:
    names = run_code(part("Attention you already have"))
    assert names["trace"].grid == (24, 24)
    assert (folder / "out" / "step-01-dog.png").is_file()
    assert names["frame"].kind == "crop"
    assert names["frame"].resized == (256, 256)


def test_a_loop_of_your_own(folder: Path) -> None:
    """With a network that looks at the left upper cell for the first word and at the right lower for the second."""
    import torch

    class Net(torch.nn.Module):
        def forward(self, cell: int) -> torch.Tensor:
            scores = torch.zeros(1, 196)
            scores[0, cell] = 9
            return torch.softmax(scores, dim=1)

    def write(net: Net, cells: list[int]) -> list[str]:
        return [f"word{net(cell).argmax().item()}" for cell in cells]

    def preprocess(photo: Image.Image) -> Image.Image:
        return photo.resize((224, 224))

    names = run_code(
        part("A loop of your own"), attnviz=attnviz, net=Net(), pixels=[0, 195], write=write, preprocess=preprocess
    )
    assert [step.peak for step in names["trace"].steps] == [(0, 0), (13, 13)]
    assert names["trace"].frame.resized == (224, 224)
    assert {path.name for path in (folder / "out").glob("step-*.png")} == {"step-00-word0.png", "step-01-word195.png"}
    (code,) = [code for _, code in CODE.findall(part("A loop of your own"))]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_the_commands_run(folder: Path, cli: Callable[..., Any]) -> None:
    np.save("w.npy", np.full((3, 16), 1 / 16))
    first, second = commands(part("Attention you already have"))
    assert cli(*first, "-f", "png").status == 0
    assert Trace.load(folder / "photo-attention" / "trace.npz").tokens == ("a", "dog", "runs")
    assert draw.make_context("draw", second[1:]).params["grid"] == (24, 32)


def test_the_table_has_the_options_of_draw_alone() -> None:
    def flags(command: click.Command) -> set[str]:
        return {option.opts[-1] for option in command.params if isinstance(option, click.Option)}

    rows = {row[0].split("`")[1]: row for row in table(part("Attention you already have"))}
    assert flags(draw) - flags(render) <= set(rows) <= flags(draw)
    for option in draw.params:
        told = re.search(r"\[default: (.*?)\]", getattr(option, "help", None) or "")
        if option.opts[-1] in rows and told and option.name != "image":
            assert rows[option.opts[-1]][1].strip("`") == told[1]
