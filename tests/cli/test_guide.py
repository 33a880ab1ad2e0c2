"""`attnviz guide`: topics, their text, and the same text in the files."""

from __future__ import annotations

import io
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
    assert for_terminal(text, 80) == expected


@pytest.mark.parametrize("width", [50, 80])
def test_no_word_of_a_table_is_cut(width: int) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.markdown import Markdown

    for path in topics().values():
        text = path.read_text(encoding="utf-8")
        console = Console(width=width, file=io.StringIO(), record=True)
        console.print(Markdown(for_terminal(text, width), hyperlinks=False))
        shown = console.export_text()
        assert shown.count("…") == text.count("…"), path.stem
        assert max(map(cell_len, shown.splitlines())) <= width, path.stem
        for number in re.findall(r"[\d.]+", text.split("\n\n|")[-1].split("\n\n")[0]):  # of the last table
            assert number in shown, (path.stem, number)


def test_a_table_too_wide_for_the_terminal_is_a_list() -> None:
    text = "Before.\n\n| a | reason | rest |\n| --- | --- | --- |\n| `x` | because | 1 |\n| | thus | 2 |\n\nAfter.\n"
    assert for_terminal(text, 40) == text
    assert for_terminal(text, 12) == "Before.\n\n- **`x`**: reason because, rest 1\n- **thus**: rest 2\n\nAfter.\n"
