"""`attnviz completion`, in the shells themselves: what stands on the line once the tab key is pressed."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

import attnviz
from attnviz.cli import COMMANDS
from attnviz.cli.choices import SHELLS
from attnviz.cli.config import model_names
from attnviz.cli.shells import SHELLS as CLASSES, script

pty = pytest.importorskip("pty", reason="there are no terminals of this kind here")

Complete = Callable[[str], str]
PATIENCE = 20.0  # seconds for one key; it takes a tenth of a second

START = {
    "bash": (
        "bind 'set enable-bracketed-paste off'; bind 'set page-completions off'; bind 'set completion-query-items 0'\n"
        'bind -x \'"\\C-g": printf "%s|\\n" "$READLINE_LINE" >> lines\'\n'
    ),
    "zsh": (
        "PS1=; unsetopt prompt_sp; autoload -Uz compinit; compinit -u -D\n"
        'dump() { print -r -- "$BUFFER|" >> lines }; zle -N dump; bindkey "^G" dump; bindkey "^U" kill-whole-line\n'
    ),
}
COMMAND = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, models and the script of each shell; its bin/ has `attnviz`."""
    folder = tmp_path_factory.mktemp("completion")
    for name in ("holiday.jpg", "my photo.jpg", "mine.safetensors", "boxes.json"):
        (folder / name).touch()
    (folder / "results").mkdir()
    (folder / "bin").mkdir()
    program = folder / "bin" / "attnviz"
    source = Path(attnviz.__file__).parents[1]
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{source}" exec "{sys.executable}" -m attnviz "$@"\n')
    program.chmod(0o755)
    for shell in SHELLS:
        (folder / f"script.{shell}").write_text(script(shell))
    return folder


def environment(place: Path) -> dict[str, str]:
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "TERM": "xterm", "HOME": str(place), "LC_ALL": "C.UTF-8"}


class Terminal:
    """A shell on a terminal: `complete` types a line, presses tab, and reads what the line is then."""

    def __init__(self, shell: str, place: Path) -> None:
        self._lines = place / "lines"
        self._lines.write_text("")
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [shell, *COMMAND[shell]],
            cwd=place,
            env=environment(place),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        os.write(self._ours, f"{START[shell]}source ./script.{shell}\n".encode())
        # A shell that has just begun may lose keys: it listens once it answers.
        deadline = time.monotonic() + PATIENCE
        while not self._lines.read_text() and time.monotonic() < deadline:
            os.write(self._ours, b"\x07")
            self._look(0.2)

    def complete(self, line: str, tabs: int = 1) -> str:
        """The line after the tab key; what the shell offered is in `shown`."""
        self._look(0.05)
        self._lines.write_text("")
        self.shown = ""
        os.write(self._ours, b"\x15" + line.encode() + b"\t" * tabs + b"\x07")
        deadline = time.monotonic() + PATIENCE
        while not self._lines.read_text().endswith("|\n") and time.monotonic() < deadline:
            self._look(0.02)
        self._look(0.05)
        return self._lines.read_text().removesuffix("|\n")

    def _look(self, seconds: float) -> None:
        while select.select([self._ours], [], [], seconds)[0]:
            try:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")
            except OSError:
                return

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


@pytest.fixture(scope="module", params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, place: Path) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    opened = Terminal(request.param, place)
    yield opened
    opened.close()


WANTED = {
    "attnviz ren": "attnviz render ",
    "attnviz render hol": "attnviz render holiday.jpg ",
    "attnviz render --dur": "attnviz render --duration ",
    "attnviz render holiday.jpg -o res": "attnviz render holiday.jpg -o results/",
    "attnviz render --model mi": "attnviz render --model mine.safetensors ",
    "attnviz render --model flickr8k-": "attnviz render --model flickr8k-plain ",
    "attnviz render --model=flickr8k-": "attnviz render --model=flickr8k-plain ",
    "attnviz render --cmap civi": "attnviz render --cmap cividis ",
    "attnviz render --config pap": "attnviz render --config paper ",
    "attnviz figure --config sli": "attnviz figure --config slide ",
    "attnviz figure --boxes box": "attnviz figure --boxes boxes.json ",
    "attnviz figure --boxes=box": "attnviz figure --boxes=boxes.json ",
    "attnviz render -f png,ap": "attnviz render -f png,apng",
    "attnviz figure --modes concat,dot,flat": "attnviz figure --modes concat,dot,flat-concat",
    "attnviz figure --model mine.safetensors,flickr8k-": "attnviz figure --model mine.safetensors,flickr8k-plain",
    "attnviz figure --model flickr8k,mi": "attnviz figure --model flickr8k,mine.safetensors",
    "attnviz render my": "attnviz render my\\ photo.jpg ",
    "attnviz completion z": "attnviz completion zsh ",
}


@pytest.mark.parametrize("line", WANTED)
def test_the_tab_key(terminal: Terminal, line: str) -> None:
    assert terminal.complete(line) == WANTED[line]


def test_what_could_come_is_listed(terminal: Terminal) -> None:
    assert terminal.complete("attnviz figure --modes concat,", tabs=2).startswith("attnviz figure --modes concat,")
    for mode in ("general", "channel-general", "flat-concat"):
        assert mode in terminal.shown
    assert "concat,concat" not in terminal.shown
    terminal.complete("attnviz ", tabs=2)
    for command in COMMANDS:
        assert command in terminal.shown


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_the_same(place: Path) -> None:
    lines = [*WANTED, "attnviz nothing ", "attnviz render -f "]
    code = "source script.fish\n" + "".join(f"echo '<{line}>'; complete -C '{line}'\n" for line in lines)
    found = subprocess.run(
        ["fish", "--no-config", "-c", code], cwd=place, env=environment(place), capture_output=True, text=True
    )
    answers = {
        part.split(">\n", 1)[0]: [line.split("\t")[0] for line in part.split(">\n", 1)[1].splitlines()]
        for part in found.stdout.split("<")[1:]
    }
    for line, wanted in WANTED.items():
        last = line.rsplit(" ", 1)[0] + " "
        assert wanted.removeprefix(last).rstrip().replace("\\", "") in answers[line], line
    assert {"png", "gif", "html"} <= set(answers["attnviz render -f "])
    assert found.stderr == ""


def parameters(command: click.Command) -> Iterator[click.Parameter]:
    for child in command.commands.values() if isinstance(command, click.Group) else ():
        yield from parameters(child)
    yield from command.params


@pytest.mark.parametrize("name", COMMANDS)
def test_whatever_takes_a_file_completes_files(name: str) -> None:
    command = import_module(f"attnviz.cli.{name}").command
    for parameter in parameters(command):
        shown = parameter.metavar or ""
        if any(word in shown.split("=")[0] for word in ("FILE", "DIR", "FOLDER", "IMAGE", "PATH", ".npz", ".toml")):
            items = parameter.shell_complete(click.Context(command, info_name=name), "")
            assert {item.type for item in items} & {"file", "dir", "open"}, (name, parameter.name)


def test_the_names_that_completion_knows_are_the_bundled_models() -> None:
    from attnviz.zoo import bundled

    assert model_names() == sorted({one.name for one in bundled()})
    assert tuple(CLASSES) == SHELLS


def test_colour_maps_that_run_the_other_way_come_with_their_name() -> None:
    from attnviz.cli.lookups import ColourMap

    def names(incomplete: str) -> list[str]:
        context: Any = None
        return [item.value for item in ColourMap().shell_complete(context, context, incomplete)]

    assert names("viri") == ["viridis"]
    assert names("viridis") == ["viridis", "viridis_r"]
    assert names("")[0] == "dusk"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script(cli: Any, shell: str) -> None:
    assert cli("completion", shell) == (0, script(shell), "")
    if shutil.which(shell):
        check = ["-n", "-c"] if shell != "fish" else ["--no-execute", "-c"]
        assert subprocess.run([shell, *check, script(shell)], capture_output=True).stderr == b""


def test_a_shell_that_is_not_known(cli: Any) -> None:
    status, _, err = cli("completion", "tcsh")
    assert status == 2
    assert "no shell is called 'tcsh'; there are bash, zsh, fish" in err
    assert err.count("\n") == 1
