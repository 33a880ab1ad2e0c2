"""Runs what the README and the guide show, block by block, as a reader would who follows a page from its top.

- Blocks of `python` run in one namespace for a page. Blocks without a language are command lines. Both may use the
  files that `world.py` makes when a page names them.
- A block with a file name behind its language, as in "```toml mine.toml", is that file, for the blocks below it.
- What cannot be run has a comment in front, with the reason: `<!-- skip: next "it needs a cluster" -->`. That is
  Sybil's own mark; the test lists these blocks with their reasons.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import SkipParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).parents[2]
INFO = re.compile(r"(?P<language>\w*)(?: (?P<name>\S+))?[ \t]*\n")
Run = Callable[[list[str]], int]
"""Runs a command of attnviz by its arguments, and returns its exit status."""


def parse(path: Path, attnviz: Run) -> Document:
    """The blocks of a page, ready to be evaluated from top to bottom in the current folder."""

    def blocks(document: Document) -> Iterable[Region]:
        evaluators: dict[str, Callable[[Example], str | None]] = {
            "python": PythonEvaluator(),
            "": lambda example: commands(example, attnviz),
        }
        for region in RawFencedCodeBlockLexer(INFO)(document):
            region.parsed = region.lexemes["source"]
            if name := region.lexemes["name"]:
                region.evaluator = _file(name)
                yield region
            elif evaluator := evaluators.get(region.lexemes["language"]):
                region.evaluator = evaluator
                yield region

    return Sybil(parsers=[SkipParser(), blocks], encoding="utf-8").parse(path)


def runnable(example: Example) -> bool:
    """Whether an example is a block, and not the mark in front of one."""
    return "source" in example.region.lexemes and "language" in example.region.lexemes


def _file(name: str) -> Callable[[Example], None]:
    def write(example: Example) -> None:
        text = str(example.parsed)
        if name.endswith(".toml"):
            tomllib.loads(text)
        if name.endswith(".py"):
            compile(text, name, "exec")
        Path(name).write_text(text, encoding="utf-8")

    return write


def commands(example: Example, attnviz: Run) -> None:
    """Runs a block of command lines; the first that fails ends it."""
    for line in re.sub(r"\\\n\s*", " ", str(example.parsed)).splitlines():
        for part in re.split(r"\s&&\s", line):
            words = shlex.split(part, comments=True)
            if words:
                run(part, words, attnviz, example.namespace)


def run(line: str, words: list[str], attnviz: Run, kept: dict[str, Any]) -> None:
    """One command: attnviz's own in this process, which is fast; with redirections and the like in bash."""
    if words[0] == "pip":
        installable(line)
    elif words[0] == "pytest":
        pass  # this is it
    elif words[:2] == ["attnviz", "serve"]:
        serve(words[1:], kept.setdefault("servers", {}))
    elif words[0] == "attnviz" and not re.search(r"[<>|$;&]|\bfor\b", re.sub(r"\"[^\"]*\"|'[^']*'|#.*", "", line)):
        status = attnviz(expanded(line)[1:])
        assert status == 0, f"{line}: exit status {status}"
    else:
        ours = f'attnviz() {{ {shlex.quote(sys.executable)} -m attnviz "$@"; }}\n{line}'
        for address in list(kept.get("servers", {}))[:1]:
            ours = ours.replace("127.0.0.1:8642", address).replace("curl ", "curl --fail --silent --show-error ")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", ours], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: exit status {done.returncode}: {done.stderr}"


def serve(args: list[str], servers: dict[str, subprocess.Popen[str]]) -> None:
    """Starts a server at any free port; `curl` then asks the first of a page instead of the usual address."""
    command = [sys.executable, "-m", "attnviz", *args, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "BROWSER": "true"})
    assert process.stdout is not None
    found = re.search(r"http://([\w.:-]+)", process.stdout.readline())
    if found is None:
        process.kill()
    assert found, "it printed no address"
    servers[found[1]] = process


def stop(servers: dict[str, subprocess.Popen[str]]) -> None:
    """Ends the servers of a page."""
    for process in servers.values():
        process.terminate()
        process.communicate(timeout=20)


def expanded(line: str) -> list[str]:
    """The words of a command line, with file names for patterns that no quotes protect."""
    found = []
    for raw in shlex.split(line, comments=True, posix=False):
        word = "".join(shlex.split(raw))
        names = sorted(map(str, Path().glob(word))) if word == raw and re.search(r"[*?\[]", raw) else []
        found += names or [word]
    return found


def installable(line: str) -> None:
    """What `pip install` names is this package, with extras that it has. (.ci/run installs it.)"""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.fullmatch(r"pip install (?:\.|'(?:\.|attnviz)\[([\w,-]+)\]')", line.strip())
    assert found, line
    assert set((found[1] or "test").split(",")) <= set(project["optional-dependencies"]), line
