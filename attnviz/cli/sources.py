"""Which networks a command compares: what `--model` and `--modes` mean together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from attnviz.errors import ModelError

if TYPE_CHECKING:
    from attnviz.cli.network import Loading
    from attnviz.network import Asked
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace

SUFFIX = ".safetensors"


class Source(NamedTuple):
    """A network to open: a bundled model's name or a checkpoint's path, and the score function it shall have."""

    model: str
    mode: str | None


def sources(models: Sequence[str], modes: Sequence[str] | None) -> list[Source]:
    """The networks in the order in which they are compared.

    A bundled model has a checkpoint for each of its modes, a file holds one mode, and a folder stands for the
    checkpoints in it. `modes` chooses among all of these, in its own order; without it, one model is taken as it is,
    and of several all.

    Raises:
        ModelError: a folder without checkpoints, a file that is none, or a mode that none of them has.
    """
    if len(models) == 1 and not Path(models[0]).is_dir():
        check_modes(models[0], modes or ())
        return [Source(models[0], mode) for mode in modes or (None,)]
    found = [source for model in models for source in _sources_of(model)]
    if modes is None:
        return found
    missing = [mode for mode in modes if mode not in {source.mode for source in found}]
    if missing:
        have = ", ".join(dict.fromkeys(str(source.mode) for source in found))
        raise ModelError(f"none of {', '.join(models)} has the mode {missing[0]}; there are {have}")
    return [source for mode in modes for source in found if source.mode == mode]


def check_modes(model: str, modes: Sequence[str]) -> None:
    """Raises click.UsageError for a mode that the bundled model of this name has no weights for."""
    from attnviz.cli.config import modes_of

    have = modes_of(model)
    for mode in modes:
        if have and mode not in have:
            told = f"the model {model} has no weights for the mode {mode}; it has {', '.join(have)}"
            raise click.UsageError(told, click.get_current_context(silent=True))


def _sources_of(model: str) -> list[Source]:
    """All that one name or path stands for."""
    from attnviz.zoo import bundled, mode_of

    path = Path(model)
    if path.is_dir():
        paths = sorted(path.glob(f"*{SUFFIX}"))
        if not paths or (path / "config.json").is_file():
            hint = f"name it as hf:{model}" if (path / "config.json").is_file() else "name files, or another folder"
            raise ModelError(f"{model}: holds no checkpoint (*{SUFFIX}) of attnviz; {hint}")
    elif path.is_file() or model.endswith(SUFFIX):
        paths = [path]
    else:
        return [Source(one.name, one.mode) for one in bundled() if one.name == model] or [Source(model, None)]
    return [Source(str(path), mode_of(path)) for path in paths]


def chosen_modes(ctx: click.Context, mode: str | None, modes: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """What `--mode` or `--modes` choose. Raises click.UsageError for both."""
    if mode is not None and modes is not None:
        raise click.UsageError("--mode chooses one and --modes several; give one of the two", ctx)
    return (mode,) if mode is not None else modes


def mode_sources(ctx: click.Context, model: str, mode: str | None, modes: tuple[str, ...] | None) -> list[Source]:
    """The networks of a command: one, or one for each mode. Raises click.UsageError."""
    chosen_modes(ctx, mode, modes)
    if modes is None:
        check_modes(model, (mode,) if mode else ())
        return [Source(model, mode)]
    return sources([model], modes)


def check_layers(ctx: click.Context, layers: Sequence[str] | None, one: str, rows: int) -> None:
    """Raises click.UsageError for `--layers` that do not go with the rest of the command line.

    Args:
        layers: of `--layers`.
        one: of `--layer`.
        rows: the networks that are compared.
    """
    if layers is None:
        return
    if one != "all":
        raise click.UsageError("--layer chooses one map and --layers several; give one of the two", ctx)
    if rows > 1:
        raise click.UsageError("--layers compares layers of one model; give one --model, and no --modes", ctx)


def compared(
    networks: Sequence[Loading], photos: Sequence[Photo], asked: Asked, layers: Sequence[str] | None = None
) -> list[list[Trace]]:
    """For each photo its traces, one for each network: the first writes the words, the others read the same ones.

    Of one network, one for each choice of layers, recorded in one run.
    """
    if layers:
        return networks[0].explain_rows(photos, asked, layers)
    columns = [networks[0].explain(photos, asked)]
    for network in networks[1:]:
        network.start()  # one after the other: each needs the machine for itself
        read = asked if asked.text else replace(asked, text=tuple(trace.caption for trace in columns[0]))
        columns.append(network.explain(photos, read))
    return [list(of_one) for of_one in zip(*columns, strict=True)]
