"""Attention of other programs on the command line: the options of `draw --weights`, and the trace they make."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from os.path import isfile
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attnviz.cli.types import File, Name
from attnviz.errors import AttnvizError, TraceError

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace

    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])

SOURCE = ("image", "weights", "tokens", "grid", "skip", "heads", "layers", "frame")
FRAMES = ("stretch", "letterbox", "crop")
CELL = 32  # input pixels: how many only matters to the rounding of a letterbox's or crop's edges
_TOLD = (("grid=(h, w)", "--grid HxW"), ("skip=(before, after)", "--skip BEFORE,AFTER"), ("skip=", "--skip "))


class Grid(_Type):
    """Rows and columns of cells, like 24x32, or one number for both."""

    name = "grid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value[0], value[1]
        match = re.fullmatch(r"([1-9][0-9]{0,5})(?:[x×]([1-9][0-9]{0,5}))?", str(value).strip().lower())
        if match is None:
            self.fail(f"{str(value)!r} is no grid; give rows and columns, like 24x32", param, ctx)
        return int(match[1]), int(match[2] or match[1])


class Skip(_Type):
    """How many columns come before those of the picture, and behind them, like 1 or 35,12."""

    name = "skip"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,7})(?:,([0-9]{1,7}))?", "".join(str(value).split()))
        if match is None:
            self.fail(f"{str(value)!r} is no number of columns; give those before the picture's, like 1", param, ctx)
        return (int(match[1]), int(match[2])) if match[2] else int(match[1])


class Which(_Type):
    """Layers or heads: mean, max, last, a number from 0, or several like 2-5."""

    name = "which"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from attnviz.trace.rows import Choice

        try:
            Choice.of("", str(value))
        except TraceError:
            self.fail(f"{str(value)!r} is none; give mean, max, last, a number from 0, or several like 2-5", param, ctx)
        return str(value)


_OPTIONS = (
    click.option(
        "--weights",
        metavar="FILE",
        type=File(),
        help="Draw attention of another program: .npy, .npz, .json or .safetensors.",
    ),
    click.option("--tokens", metavar="a,dog", help="Its words, or a .txt or .json file of them."),
    click.option("--grid", metavar="HxW", type=Grid(), help="Its cells, such as 24x24.  [default: a square]"),
    click.option(
        "--skip",
        metavar="N",
        type=Skip(),
        help="Columns before the picture's, such as 1 for a CLS token.  [default: 0]",
    ),
    click.option("--heads", metavar="N", type=Which(), help="Which heads: mean, max, 3 or 2-5.  [default: mean]"),
    click.option("--layers", metavar="N", type=Which(), help="Which layers: mean, last, 3 or 2-5.  [default: mean]"),
    click.option("--frame", type=Name("frame", FRAMES), help="How the photo was put on the grid.  [default: stretch]"),
)


def weights_options(function: F) -> F:
    """The options that describe attention of another program."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def check_source(ctx: click.Context, file: str | None, options: dict[str, Any]) -> None:
    """Raises click.UsageError unless a trace is named, or weights with what they need."""
    given = [name for name in SOURCE[2:] if options[name] is not None]
    if (file is None) == (options["weights"] is None):
        raise click.UsageError("give a trace, or --weights with a file of another program's attention", ctx)
    if file is not None and given:
        raise click.UsageError(f"--{given[0]} is of --weights; a trace knows it itself", ctx)
    if file is None and options["image"] is None:
        raise click.UsageError("--weights does not know the photo; give it with --image", ctx)


def trace_of(photo: Photo, options: dict[str, Any]) -> Trace:
    """The trace that `--weights` and its companions describe.

    Raises:
        TraceError: weights that cannot be read or do not fit; names the file.
    """
    from attnviz.photo.frame import Frame
    from attnviz.trace import Trace
    from attnviz.trace.weights import read_weights

    file = options["weights"]
    array, tokens = read_weights(file)
    if options["tokens"] is not None:
        tokens = _tokens(options["tokens"])
    if tokens is None:
        raise TraceError(f"{file}: has no tokens; give the words with --tokens a,dog")
    chosen = {name: options[name] for name in ("grid", "skip", "heads", "layers") if options[name] is not None}
    try:
        trace = Trace.of(array, tokens, image=photo, **chosen)
    except AttnvizError as error:
        message = str(error)
        for said, meant in _TOLD:
            message = message.replace(said, meant)
        raise TraceError(f"{file}: {message}") from error
    height, width = trace.grid
    frame = Frame.of(options["frame"] or "stretch", photo.size, (CELL * height, CELL * width), trace.grid)
    return replace(trace, frame=frame)


def _tokens(text: str) -> tuple[str, ...]:
    """Words with commas between, or those in a file: a line each, or a JSON list."""
    if not (text.endswith((".txt", ".json")) and isfile(text)):  # noqa: PTH113 - Path.is_file raises for long names
        return tuple(word.strip() for word in text.split(","))
    from attnviz.trace.weights import read_tokens

    return read_tokens(text)
