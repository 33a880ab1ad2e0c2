"""The options that commands share, each defined once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attnviz.cli.choices import DEVICES, FORMATS, HARD, MAPS, MODES, RENAMED_SCALES, SCALES, STYLES, VIEWS
from attnviz.cli.config import apply_config, kind_of, presets
from attnviz.cli.lookups import ColourMap, Model
from attnviz.cli.output import as_usage, note
from attnviz.cli.types import File, Head, Layers, Name, Names, Size, Steps
from attnviz.errors import counted
from attnviz.limits import BEAM, LEAST_SECONDS, MOST_BEAMS, MOST_SECONDS

if TYPE_CHECKING:
    from attnviz.network import Asked

F = TypeVar("F", bound=Callable[..., Any])


def _words(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter(
            "the text is empty; give the words to look for, such as --text 'a dog runs'", ctx, param
        )
    return value


def _scale(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value not in RENAMED_SCALES:
        return value
    if not ctx.params.get("quiet"):
        note(f"--scale {value} is called {RENAMED_SCALES[value]} now")
    return RENAMED_SCALES[value]


def _texts(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> str | tuple[str, ...] | None:
    for text in value:
        _words(ctx, param, text)
    return value if len(value) > 1 else value[0] if value else None


def _last_text(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> str | None:
    for text in value:
        _words(ctx, param, text)
    for text in value[:-1]:
        if not ctx.params.get("quiet"):
            note(f"--text {text!r} is dropped: {ctx.info_name} takes one, and the last one given counts")
    return value[-1] if value else None


def check_texts(ctx: click.Context, text: str | tuple[str, ...] | None, images: Sequence[str]) -> None:
    """Raises click.UsageError for several texts that are not one for each photo."""
    if isinstance(text, tuple) and len(text) != len(images):
        raise click.UsageError(
            f"{len(text)} --text for {counted(len(images), 'photo')}; give one for all, or one for each", ctx
        )


several_texts = click.option(
    "--text",
    multiple=True,
    callback=_texts,
    metavar="WORDS",
    help="Show where it looks at these words, instead of its own; several times for several photos, in their order.",
)

_MODEL = (
    click.option(
        "-m",
        "--mode",
        type=Name("mode", MODES),
        metavar="MODE",
        help="Score function: " + ", ".join(MODES) + ".  [default: concat]",
    ),
    click.option(
        "--model",
        default="flickr8k",
        show_default=True,
        type=Model(),
        metavar="NAME|PATH",
        help="Bundled model, checkpoint file, hf:PATH, or a network of another package: see 'attnviz models'.",
    ),
    click.option(
        "--text",
        multiple=True,
        callback=_last_text,
        metavar="WORDS",
        help="Show where it looks at these words, instead of its own.",
    ),
    click.option(
        "--beam",
        metavar="N",
        type=click.IntRange(1, MOST_BEAMS),
        help=f"Sentences searched side by side.  [default: {BEAM}, or the network's own]",
    ),
    click.option("--prompt", metavar="TEXT", help="Question or instruction, for a model that takes one."),
    click.option(
        "--layer",
        "layers",
        type=Layers(),
        default="all",
        show_default=True,
        help="Of a model with several layers, which to show, counted from 0; the mean of several.",
    ),
    click.option(
        "--head", "heads", type=Head(), default="mean", show_default=True, help="How its heads become one map."
    ),
    click.option(
        "--view",
        type=Name("view", VIEWS),
        default="all",
        show_default=True,
        help="Of a model that sees a photo as an overview and in tiles, which to show.",
    ),
    click.option(
        "--hard", type=Name("choice", HARD), help="Look at one cell at a time: the strongest, or one drawn at random."
    ),
    click.option(
        "--seed", metavar="N", type=click.IntRange(0), default=0, show_default=True, help="Seed of '--hard sample'."
    ),
    click.option(
        "--map",
        type=Name("map", MAPS),
        default="attention",
        show_default=True,
        help="What is drawn: the attention, or the attention times what the word's probability owes to it.",
    ),
    click.option(
        "--device", type=Name("device", DEVICES), default="auto", show_default=True, help="Where the network runs."
    ),
    click.option(
        "--modes",
        type=Names("mode", MODES, repeats=False),
        help="Several score functions side by side, with the first one's words.",
    ),
    click.option(
        "--layers",
        "layer_rows",
        type=Layers(several=True),
        help="Several layers of one model side by side, recorded in one run.",
    ),
)

_DRAWING = (
    click.option(
        "-f",
        "--format",
        "formats",
        type=Names("format", FORMATS),
        default="png,gif,overview",
        show_default=True,
        help="What to write: " + ", ".join(FORMATS) + ".",
    ),
    click.option(
        "--scale",
        type=Name("scale", SCALES, RENAMED_SCALES),
        callback=_scale,
        default="log",
        show_default=True,
        help="Range of the colours: 1 to 64 times uniform by doublings, 0 to 10, one for all words, or each its own.",
    ),
    click.option(
        "--style",
        type=Name("style", STYLES),
        default="heat",
        show_default=True,
        help="Colour where it looks, darkness where it does not, or lines around 50 and 90 % of the weight.",
    ),
    click.option(
        "--cmap", metavar="NAME", type=ColourMap(), default="dusk", show_default=True, help="Or any of matplotlib's."
    ),
    click.option(
        "--opacity", metavar="X", type=click.FloatRange(0, 1), help="Of the strongest colour.  [default: the style's]"
    ),
    click.option("--cells", is_flag=True, help="Draw the model's grid as it is, without interpolation."),
    click.option("--labels", is_flag=True, help="Put the sentence and the colour bar into the stills too."),
    click.option("--regions", is_flag=True, help="Outline the regions that hold half of a word's weight."),
    click.option("--pieces", is_flag=True, help="Draw a tokenizer's pieces of words, instead of whole words."),
    click.option("--relative", is_flag=True, help="Divide each word's map by the mean of all: what they share goes."),
    click.option(
        "--size",
        type=Size(),
        default="1280",
        show_default=True,
        metavar="N|original",
        help="Longest side in pixels; photos are never enlarged.",
    ),
    click.option(
        "--steps", type=Steps(), metavar="1-5,8", help="Draw only these steps, numbered from 0.  [default: all]"
    ),
    click.option(
        "--duration",
        metavar="SECONDS",
        type=click.FloatRange(LEAST_SECONDS, MOST_SECONDS),
        default=0.8,
        show_default=True,
        help="How long animations show a word.",
    ),
    click.option(
        "--last",
        metavar="SECONDS",
        type=click.FloatRange(LEAST_SECONDS, MOST_SECONDS),
        default=2.5,
        show_default=True,
        help="How long they show the last word.",
    ),
    click.option(
        "--fade",
        metavar="SECONDS",
        type=click.FloatRange(0, MOST_SECONDS),
        default=0,
        show_default=True,
        help="How long they blend one word into the next.",
    ),
    click.option("--loop/--no-loop", default=True, show_default=True, help="Whether they start again."),
)

_COMMON = (
    click.option(
        "--threads", metavar="N", type=click.IntRange(1, 1024), help="CPU threads.  [default: all there are, at most 8]"
    ),
    click.option(
        "--max-pixels",
        metavar="N",
        type=click.IntRange(1),
        default=100_000_000,
        show_default=True,
        help="Refuse larger photos.",
    ),
    click.option(
        "--config",
        is_eager=True,
        expose_value=False,
        callback=apply_config,
        metavar="FILE.toml|PRESET",
        type=File(lambda ctx: presets(kind_of(ctx))),
        help="Take options from a file; the command line wins.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON instead of the caption."),
    click.option("-q", "--quiet", is_flag=True, is_eager=True, help="No progress and no remarks."),
)


def asked_of(options: dict[str, Any]) -> Asked:
    """What is asked of the network, taken out of a command's options. Raises click.UsageError."""
    from attnviz.network import Asked

    given = {field.name: options.pop(field.name) for field in fields(Asked) if field.name in options}
    with as_usage():
        return Asked(**given)


def _decorator(options: tuple[Callable[[Any], Any], ...]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def only(options: tuple[Callable[[Any], Any], ...], *names: str) -> Callable[[F], F]:
    """A decorator with some of the options, by their parameters' names."""

    def name(option: Callable[[Any], Any]) -> str:
        def bare() -> None: ...

        option(bare)
        return str(bare.__click_params__[0].name)  # type: ignore[attr-defined]

    return _decorator(tuple(option for option in options if name(option) in names))


model_options = _decorator(_MODEL)
drawing_options = _decorator(_DRAWING)
common_options = _decorator(_COMMON)
server_options = only(_COMMON, "threads", "max_pixels", "quiet")
_PROCESSES = click.option(
    "--threads", metavar="N", type=click.IntRange(1, 1024), help="How many draw at once.  [default: as CPUs there are]"
)
batch_common_options = _decorator((_PROCESSES, *_COMMON[1:]))
check_model_options = only(
    _MODEL, "mode", "model", "text", "prompt", "beam", "seed", "device", "map", "layers", "heads", "view"
)
figure_model_options = only(
    _MODEL, "mode", "prompt", "beam", "hard", "seed", "map", "device", "layers", "heads", "view"
)
figure_drawing_options = only(_DRAWING, "scale", "style", "cmap", "opacity", "cells", "pieces", "relative", "steps")
