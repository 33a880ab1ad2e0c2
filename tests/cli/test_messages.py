"""What messages say besides errors: numbers with their nouns, figures, remarks, the order of results."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz import Trace
from attnviz.errors import TraceError, counted

Run = Callable[..., Any]
PACKAGE = Path(__file__).parents[2] / "attnviz"
README = PACKAGE.with_name("README.md")


def test_one_is_not_several() -> None:
    assert [counted(number, "word") for number in (0, 1, 2, 1234)] == ["0 words", "1 word", "2 words", "1,234 words"]


def test_a_figure_of_one_word_says_so(cli: Run, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    _, _, err = cli("figure", photo, "--model", checkpoint, "--steps", "0", "-o", "fig.png", "--dpi", 40)
    assert err.endswith(" inches, 1 word\n")


def test_one_step_and_one_photo_are_said_so(cli: Run, checkpoint: Path, photo: Path) -> None:
    with pytest.raises(TraceError, match=r"^weights of 1 step, but 2 tokens;"):
        Trace(tokens=("a", "dog"), weights=np.ones((1, 1, 1), np.float32))
    asked = ("figure", photo, "--model", checkpoint, "--text", "a", "--text", "b", "-o", "f.png")
    assert "2 --text for 1 photo;" in cli(*asked).err


def test_the_figures_of_models_have_as_many_decimals_in_each_row(
    cli: Run, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attnviz.captioner import update_card

    for name, figures in {"a": {"BLEU-4": 24, "pointing": 0.67}, "b": {"BLEU-4": 23.8, "pointing": 0.735}}.items():
        path = Path(shutil.copy(checkpoint, tmp_path / f"{name}.safetensors"))
        update_card(path, {"figures": figures})
    lines = cli("models", tmp_path / "a.safetensors", tmp_path / "b.safetensors").out.splitlines()
    assert [line.split()[-2:] for line in lines[:3]] == [["BLEU-4", "pointing"], ["24.0", "0.670"], ["23.8", "0.735"]]


def test_the_bound_of_flat_concat_is_that_of_the_models_grid(cli: Run) -> None:
    from attnviz.captioner import load_checkpoint
    from attnviz.zoo import bundled

    found = re.search(r"([0-9.]+) % a cell on the (\d+)x(\d+) cells", cli("modes").out)
    assert found is not None
    grid = int(found[2]), int(found[3])
    cells = math.prod(grid)
    assert float(found[1]) == round(100 * math.e / (math.e + (cells - 1) / math.e), 2)
    flat = [one for one in bundled() if one.mode == "flat-concat"]
    assert all(load_checkpoint(one.path).grid == grid for one in flat)
    assert f"{found[1]} % on the {found[2]}x{found[3]}" in (PACKAGE / "guide" / "models.md").read_text(encoding="utf-8")


def test_an_extra_is_named_in_one_way() -> None:
    files = [*PACKAGE.rglob("*.py"), *(PACKAGE / "guide").glob("*.md"), README]
    told = [line for file in files for line in re.findall(r"pip install [^\n;)]*\[\w+\]'?", file.read_text("utf-8"))]
    told.remove("pip install '.[test]'")  # of the source tree, to work on it
    assert len(told) > 8
    for line in told:
        assert re.fullmatch(r"pip install 'attnviz\[\w+\]'", line), line


def test_json_is_in_the_order_of_the_input(cli: Run, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    given = ["gone.png", "photo.png", "lost.png", "photo.png", "gone.png"]
    asked = ("--model", checkpoint, "--beam", 1, "-f", "gif", "--size", 40, "-q", "--json")
    found = json.loads(cli("render", *given, *asked).out)
    assert [one["source"] for one in found["results"]] == given
    assert ["error" in one for one in found["results"]] == [True, False, True, False, True]
    assert found["failed"] == 3


@pytest.mark.parametrize("command", ["render", "check", "batch"])
def test_a_second_text_is_said_to_replace_the_first(
    cli: Run, checkpoint: Path, photo: Path, tmp_path: Path, command: str
) -> None:
    given = [tmp_path, "-o", "out"] if command == "batch" else ["missing.png"]
    asked = (command, *given, "--model", checkpoint, "--text", "a dog", "--text", "a cat")
    remark = f"attnviz: --text 'a dog' is dropped: {command} takes one, and the last one given counts\n"
    assert remark in cli(*asked).err
    assert "dropped" not in cli(*asked, "-q", *(["--force"] if command == "batch" else [])).err


def test_the_last_text_is_the_one_that_is_read(cli: Run, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    cli("render", photo, "-o", "one", "--model", checkpoint, "-f", "gif", "--text", "a", "--text", "w0 w1")
    assert Trace.load(tmp_path / "one" / "trace.npz").caption == "w0 w1"


def test_help_names_every_exit_status(cli: Run) -> None:
    told = cli("-h").out
    assert "Exit status: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted." in " ".join(told.split())
