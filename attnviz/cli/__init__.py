"""The command line. A command's module is imported when it runs: `attnviz --help` imports click and no more.

A command is a module of its name: it parses, calls one function of the other rooms, and tells what came of it.

    on the way in    types: what an option means; lookups: what it may name; options: those that commands share;
                     choices: the names that they accept; config: options from a file; shells: what the tab key offers
    what is named    photos, sources (networks), weights (attention of others), boxes, results (what was drawn before)
    at work          network: loads it meanwhile; progress: how far a long run is
    on the way out   places: which folder; delivery: a trace drawn into it; paper: a figure; output, bar, tables: what
                     is said; measures, averages: the figures of a model, and of its evidence
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from attnviz._version import __version__
from attnviz.cli.choices import COMPLETING
from attnviz.cli.output import BROKEN_PIPE, complain, explain_error, leave
from attnviz.cli.types import suggestion

COMMANDS = {
    "render": "Describe photos and draw where the network looks at each word.",
    "batch": "Describe and draw a folder of photos; go on where it stopped.",
    "figure": "Lay photos and their words out as a figure for print or slides.",
    "draw": "Draw a trace or another program's attention, without network.",
    "check": "Test whether each word's map shows what the word hangs on.",
    "serve": "Open a local page: drop a photo, see where the network looks.",
    "modes": "List the score functions.",
    "models": "List the models that can be named.",
    "train": "Train a model as a TOML file says.",
    "evaluate": "Measure a model on a data split.",
    "convert": "Turn a Show, Attend and Tell checkpoint into one of attnviz.",
    "data": "Make training data from downloads or your own photos.",
    "guide": "Read the guide: its topics, or one of them.",
    "completion": "Print a script that completes attnviz's commands in a shell.",
}
"""Name -> first line of its help, here so that listing the commands imports none; tests hold the two equal."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it: module `NAME`, object `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"attnviz.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"no command is called {args[0]!r}{suggestion(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=COMMANDS[name]) for name in COMMANDS if name.startswith(incomplete)] + options


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Shows where an image-to-text network looks while it writes each word.

    \b
    attnviz render photo.jpg     writes photo-attention/: a picture per word, a GIF, the numbers
    attnviz render --help        says what can be set

    Exit status: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(args: list[str] | None = None) -> int:
    """Runs the command line and returns its exit status; every error is one line on standard error."""
    if COMPLETING in os.environ:
        from attnviz.cli.shells import answer

        return answer(cli)
    try:
        outcome = cli.main(args, prog_name="attnviz", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except (SystemExit, BrokenPipeError):
        return BROKEN_PIPE  # click turns a broken pipe into SystemExit, and nothing else
    except BaseException as error:  # whatever it is, a user gets one line and not a traceback
        message, status = explain_error(error)
        complain(message)
        return status


def main() -> NoReturn:
    """Entry point: runs the command line and ends the process."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a caption the terminal cannot encode is no reason to fail
    leave(run())
