"""`attnviz guide`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.types import suggestion

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FOLDER = Path(__file__).parents[1] / "guide"

ORDER = (
    "pictures",
    "figures",
    "folders",
    "any-model",
    "evidence",
    "training",
    "trace-file",
    "python",
    "server",
    "troubleshooting",
    "glossary",
)
"""As one reads them; what is not named here comes after, by name."""


def topics() -> dict[str, Path]:
    """Topic -> its file, in reading order."""
    found = {path.stem: path for path in sorted(FOLDER.glob("*.md"))}
    first = [topic for topic in ORDER if topic in found]
    return {topic: found[topic] for topic in (*first, *(topic for topic in found if topic not in first))}


class Topic(click.ParamType[str]):
    """A topic of the guide."""

    name = "topic"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The topic, in the guide's spelling."""
        known = topics()
        if value.lower() not in known:
            self.fail(f"the guide has no topic {value!r}{suggestion(value, known)}", param, ctx)
        return value.lower()

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """Topics that begin so."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(topic) for topic in topics() if topic.startswith(incomplete)]


@click.command()
@click.argument("topic", required=False, type=Topic(), metavar="[TOPIC]")
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
    console.print(Markdown(text, hyperlinks=False), width=min(console.width, 100))


def title(path: Path) -> str:
    """The first heading of a Markdown file."""
    return path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
