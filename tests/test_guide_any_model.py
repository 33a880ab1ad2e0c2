"""The guide on any model: its loop is short, its table is that of the command. (documents/ runs its blocks.)"""

from __future__ import annotations

import re
from pathlib import Path

import click
from test_docs import CODE, table

import attnviz
from attnviz.cli.draw import command as draw
from attnviz.cli.render import command as render

GUIDE = (Path(attnviz.__file__).parent / "guide" / "any-model.md").read_text(encoding="utf-8")


def part(title: str) -> str:
    return re.split(r"^## ", GUIDE, flags=re.MULTILINE)[
        [*re.findall(r"^## (.*)$", GUIDE, re.MULTILINE)].index(title) + 1
    ]


def test_the_loop_is_short() -> None:
    (code,) = [code for _, code in CODE.findall(part("A loop of your own"))]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_the_table_has_the_options_of_draw_alone() -> None:
    def flags(command: click.Command) -> set[str]:
        return {option.opts[-1] for option in command.params if isinstance(option, click.Option)}

    rows = {row[0].split("`")[1]: row for row in table(part("Attention you already have"))}
    assert flags(draw) - flags(render) <= set(rows) <= flags(draw)
    for option in draw.params:
        told = re.search(r"\[default: (.*?)\]", getattr(option, "help", None) or "")
        if option.opts[-1] in rows and told and option.name != "image":
            assert rows[option.opts[-1]][1].strip("`") == told[1]
