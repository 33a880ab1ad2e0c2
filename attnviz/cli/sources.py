"""Which networks a command compares: what `--model` and `--modes` mean together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
        return [Source(models[0], mode) for mode in modes or (None,)]
    from attnviz.captioner.checkpoint import read_meta
    from attnviz.zoo import bundled

    found: list[Source] = []
    for model in models:
        paths = sorted(Path(model).glob(f"*{SUFFIX}")) if Path(model).is_dir() else [Path(model)]
        if not paths:
            raise ModelError(f"{model}: holds no checkpoint (*{SUFFIX}); name files, or another folder")
        if paths == [Path(model)] and not model.endswith(SUFFIX) and not Path(model).is_file():
            found += [Source(one.name, one.mode) for one in bundled() if one.name == model] or [Source(model, None)]
            continue
        for path in paths:
            config: dict[str, Any] = read_meta(path).get("config", {})
            found.append(Source(str(path), config.get("mode")))
    if modes is None:
        return found
    missing = [mode for mode in modes if mode not in {source.mode for source in found}]
    if missing:
        have = ", ".join(dict.fromkeys(str(source.mode) for source in found))
        raise ModelError(f"none of {', '.join(models)} has the mode {missing[0]}; there are {have}")
    return [source for mode in modes for source in found if source.mode == mode]


def chosen_modes(ctx: click.Context, mode: str | None, modes: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """What `--mode` or `--modes` choose. Raises click.UsageError for both."""
    if mode is not None and modes is not None:
        raise click.UsageError("--mode chooses one and --modes several; give one of the two", ctx)
    return (mode,) if mode is not None else modes


def mode_sources(ctx: click.Context, model: str, mode: str | None, modes: tuple[str, ...] | None) -> list[Source]:
    """The networks of a command: one, or one for each mode. Raises click.UsageError."""
    chosen_modes(ctx, mode, modes)
    if modes is None:
        return [Source(model, mode)]
    return sources([model], modes)


def compared(networks: Sequence[Loading], photos: Sequence[Photo], asked: Asked) -> list[list[Trace]]:
    """For each photo its traces, one for each network: the first writes the words, the others read the same ones."""
    columns = [networks[0].explain(photos, asked)]
    for network in networks[1:]:
        network.start()  # one after the other: each needs the machine for itself
        read = asked if asked.text else replace(asked, text=tuple(trace.caption for trace in columns[0]))
        columns.append(network.explain(photos, read))
    return [list(of_one) for of_one in zip(*columns, strict=True)]
