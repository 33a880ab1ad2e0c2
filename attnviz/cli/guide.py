"""`attnviz guide`."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import click

from attnviz.cli.types import Name

FOLDER = Path(__file__).parents[1] / "guide"

ORDER = (
    "commands",
    "photos",
    "pictures",
    "pages",
    "figures",
    "folders",
    "models",
    "any-model",
    "evidence",
    "evaluation",
    "training",
    "trace-file",
    "python",
    "server",
    "troubleshooting",
    "glossary",
    "stability",
)
"""As one reads them; what is not named here comes after, by name."""


def topics() -> dict[str, Path]:
    """Topic -> its file, in reading order."""
    found = {path.stem: path for path in sorted(FOLDER.glob("*.md"))}
    first = [topic for topic in ORDER if topic in found]
    return {topic: found[topic] for topic in (*first, *(topic for topic in found if topic not in first))}


@click.command()
@click.argument("topic", required=False, type=Name("topic of the guide", topics()), metavar="[TOPIC]")
def command(topic: str | None) -> None:
    """Read the guide: its topics, or one of them.

    On a terminal the text is laid out; elsewhere it is plain Markdown, as in the files.
    """
    if topic is None:
        for name, path in topics().items():
            click.echo(f"{name:<16} {title(path)}")
        click.echo("\nattnviz guide TOPIC shows one of them.")
        return
    text = topics()[topic].read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    width = min(console.width, 100)
    console.print(Markdown(for_terminal(text, width), hyperlinks=False), width=width)


def for_terminal(text: str, width: int) -> str:
    """Markdown for a terminal of so many columns.

    Links say what to type: those to other topics become commands, pictures their descriptions. Tables in which words
    would be cut become lists.
    """
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"*(Picture: \1)*", text)
    text = re.sub(r"\[([^\]]+)\]\(([\w-]+)\.md(?:#[\w-]*)?\)", r"\1 (`attnviz guide \2`)", text)
    text = re.sub(r"\[([^\]]+)\]\(#[\w-]*\)", r"\1", text)
    return re.sub(r"(?:^\|.*\n)+", lambda table: _table(table[0], width), text, flags=re.MULTILINE)


def _table(text: str, width: int) -> str:
    """A table, or where rich would cut its words a list, an item a row."""
    from rich.console import Console
    from rich.markdown import Markdown

    shown = io.StringIO()
    Console(file=shown, width=width).print(Markdown(text, hyperlinks=False))
    if shown.getvalue().count("…") == text.count("…"):
        return text
    head, _, *rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()]
    items = []
    for row in rows:
        (_, first), *others = [(name, cell) for name, cell in zip(head, row, strict=True) if cell]
        items.append(f"- **{first}**: " + ", ".join(f"{name} {cell}".strip() for name, cell in others))
    return "\n".join(items) + "\n"


def title(path: Path) -> str:
    """The first heading of a Markdown file."""
    return path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
