"""`attnviz guide`: topics, their text, and the same text in the files."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnviz.cli.guide import FOLDER, for_terminal, title, topics

Run = Callable[..., Any]


def test_topics_are_listed_with_their_titles(cli: Run) -> None:
    status, out, _ = cli("guide")
    assert status == 0
    listed = [line.split(maxsplit=1) for line in out.splitlines() if line and not line.startswith("attnviz")]
    assert [name for name, _ in listed] == list(topics())
    assert set(topics()) == {path.stem for path in FOLDER.glob("*.md")}
    assert all(heading == title(topics()[name]) for name, heading in listed)


def test_a_topic_is_its_file_where_there_is_no_terminal(cli: Run) -> None:
    status, out, err = cli("guide", "evidence")
    assert (status, err) == (0, "")
    assert out == (FOLDER / "evidence.md").read_text(encoding="utf-8")


def test_a_topic_that_is_not_there(cli: Run) -> None:
    status, out, err = cli("guide", "evidnce")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "did you mean evidence?" in err


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals")
def test_on_a_terminal_the_text_is_laid_out(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "attnviz", "guide", "evidence"], stdout=theirs, cwd=FOLDER.parents[1]):
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())
    assert "# Can this map be believed?" not in text
    assert "Can this map be believed?" in text
    assert "```" not in text


def test_on_a_terminal_links_say_what_to_type() -> None:
    text = "![a dog](dog.png) See [the table](commands.md#batch), [below](#how) and [it](https://example.org)."
    expected = "*(Picture: a dog)* See the table (`attnviz guide commands`), below and [it](https://example.org)."
    assert for_terminal(text) == expected
