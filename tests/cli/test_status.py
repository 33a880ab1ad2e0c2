"""The rule of the exit status: 2 for what the command line alone shows to be wrong, 1 for what fails at work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from attnviz.cli import COMMANDS, cli
from attnviz.cli.lookups import Font, Model
from attnviz.cli.output import BROKEN_PIPE, FAILED, INTERRUPTED, USAGE
from attnviz.cli.types import File, Paths

Run = Callable[..., Any]
PACKAGE = Path(__file__).parents[2] / "attnviz"

FREE = {"--prompt", "--title", "--words", "--tokens", "--name", "--objects-only"}
"""Options that take any text: what is wrong with one shows at work."""
CHECKED = {"--text": "", "--config": "?!", "--shard": "?!", "--glob": "[a", "--splits": "?!", "--engine": "?!"}
"""Options of text or files with a check of their own, and a value that it refuses."""


def options() -> Iterator[tuple[tuple[str, ...], click.Option]]:
    """Each option of each command that takes a value, with the command's words."""
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        below = command.commands.items() if isinstance(command, click.Group) else [("", command)]
        for part, one in below:
            for option in one.params:
                if isinstance(option, click.Option) and not option.is_flag:
                    yield tuple(filter(None, (name, part))), option


def spelled(option: click.Option) -> str:
    return max(option.opts, key=len)


def is_path(option: click.Option) -> bool:
    """Whether any value is the path of something, which only its reader can find wrong."""
    return isinstance(option.type, File) and not isinstance(option.type, Model | Font)


def cases() -> Iterator[Any]:
    for words, option in options():
        name = spelled(option)
        if name in CHECKED or not (is_path(option) or name in FREE):
            yield pytest.param(words, name, CHECKED.get(name, "?!"), id=" ".join((*words, name)))


@pytest.mark.parametrize(("words", "name", "value"), list(cases()))
def test_nonsense_is_wrong_usage(cli: Run, words: tuple[str, ...], name: str, value: str, tmp_path: Path) -> None:
    status, out, err = cli(*words, name, value)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("attnviz: error: ")
    assert name in err
    assert f"(see 'attnviz {' '.join(words)} --help')" in err
    assert list(tmp_path.iterdir()) == []


def test_the_options_without_a_check_are_few_and_known() -> None:
    free = {spelled(option) for _, option in options() if isinstance(option.type, click.types.StringParamType)}
    assert free - set(CHECKED) == FREE
    assert not any(isinstance(option.type, Paths) and type(option.type) is Paths for _, option in options())


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        # known from the command line alone
        (["--cmap", "Plasma"], 2, ["--cmap", "did you mean plasma"]),
        (["--model", "foo"], 2, ["--model", "'foo'", "flickr8k"]),
        (["--model", "hff:owner-model"], 2, ["--model", "hf:"]),
        (["--config", "papr"], 2, ["--config", "did you mean paper"]),
        (["--steps", "9-3"], 2, ["--steps", "9-3"]),
        (["--steps", "nine"], 2, ["--steps", "nine"]),
        (["--modes", "x"], 2, ["--modes", "'x'"]),
        (["--model", "flickr8k", "--mode", "relu"], 2, ["--mode", "relu"]),
        # known once something is read
        (["--steps", "90"], 1, ["no step 90"]),
        (["--model", "foo.safetensors"], 1, ["foo.safetensors"]),
        (["--model", "models/foo"], 1, ["models/foo"]),
        (["--model", "notes.txt"], 1, ["notes.txt"]),
        (["--config", "foo.toml"], 1, ["foo.toml"]),
        (["--config", "wrong.toml"], 1, ["wrong.toml", "cmap", "plasma"]),
        (["--layer", "9"], 1, ["layer"]),
    ],
)
def test_render(
    cli: Run, checkpoint: Path, photo: Path, tmp_path: Path, args: list[str], status: int, words: list[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no checkpoint")
    (tmp_path / "wrong.toml").write_text('cmap = "Plasma"\n')
    found = cli("render", photo, *(["--model", checkpoint] if "--model" not in args else []), *args)
    assert (found.status, found.out, found.err.count("\n")) == (status, "", 1), found.err
    for word in words:
        assert word in found.err


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["--width", "0in"], 2, ["--width", "0in"]),
        (["--height", "9miles"], 2, ["--height", "9miles"]),
        (["--font", "X"], 2, ["--font", "'X'"]),
        (["--model", "flickr8k,foo"], 2, ["--model", "'foo'"]),
        (["--words", ","], 2, ["words"]),
        (["--fit", "--columns", "2"], 2, ["columns", "fit"]),
        (["--font", "gone.ttf"], 1, ["gone.ttf"]),
    ],
)
def test_figure(
    cli: Run, checkpoint: Path, photo: Path, tmp_path: Path, args: list[str], status: int, words: list[str]
) -> None:
    model = ["--model", checkpoint] if "--model" not in args else []
    found = cli("figure", photo, "-o", "fig.pdf", "-q", *model, *args)
    assert (found.status, found.out, found.err.count("\n")) == (status, "", 1), found.err
    for word in words:
        assert word in found.err
    assert not (tmp_path / "fig.pdf").exists()


def test_evaluate_and_convert(cli: Run, tmp_path: Path) -> None:
    assert cli("evaluate", "foo", "split").status == 2
    assert cli("evaluate", "foo.safetensors", "split").status == 1
    status, _, err = cli("convert", "a.pth.tar", "--wordmap", "w.json", "-o", "model.pt")
    assert (status, "-o" in err) == (2, True)


def test_the_guide_has_every_status_and_the_messages_as_they_are() -> None:
    text = (PACKAGE / "guide" / "troubleshooting.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \|", text, re.MULTILINE)
    assert listed == [str(status) for status in (0, FAILED, USAGE, INTERRUPTED, BROKEN_PIPE)]
    source = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    messages = re.findall(r"^\| `(.+?)` \|", text.split("## Frequent messages")[1], re.MULTILINE)
    assert len(messages) > 8
    for message in messages:
        assert message in source, message


def test_the_guide_reads_a_table_of_captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnviz.batch.manifest import Record
    from attnviz.batch.report import table

    text = (PACKAGE / "guide" / "troubleshooting.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    records = [Record(path, "done", caption=caption) for path, caption in (("=cmd.jpg", "a dog"), ("b é.jpg", "a cat"))]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "captions.csv").write_bytes(table(records))
    assert b"'=cmd.jpg" in table(records)
    monkeypatch.chdir(tmp_path)
    told: dict[str, Any] = {}
    exec(code, told)
    assert told["captions"] == {"=cmd.jpg": "a dog", "b é.jpg": "a cat"}
