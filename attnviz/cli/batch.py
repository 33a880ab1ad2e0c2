"""`attnviz batch`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.delivery import STDOUT, checked
from attnviz.cli.network import Loading, Opening
from attnviz.cli.options import asked_of, batch_common_options, drawing_options, model_options
from attnviz.cli.output import FAILED
from attnviz.cli.progress import Interrupts, Meter
from attnviz.cli.sources import Source, check_layers, mode_sources
from attnviz.cli.types import File
from attnviz.errors import ConfigError

if TYPE_CHECKING:
    from attnviz.batch.engines import Models
    from attnviz.network import Network


def _glob(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        from attnviz.batch.listing import matcher

        try:
            matcher(value)
        except ConfigError as error:
            raise click.BadParameter(str(error).removeprefix("glob: "), ctx, param) from error
    return value


def _shard(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", value, re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise click.BadParameter(f"{value!r} is no part; give I/N with I from 1 to N, such as 1/4", ctx, param)
    return int(match[1]), int(match[2])


def _local(found: Sequence[Source], device: str) -> Callable[[], list[Network]]:
    """Opens the networks one after the other, on threads of their own."""
    networks = [Loading(model=source.model, mode=source.mode, device=device, threads=1) for source in found]

    def models() -> list[Network]:
        for network in networks:
            network.start()
            network.model()
        return [network.model() for network in networks]

    return models


def _engine(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if (
        value not in ("local", "ray")
        and re.fullmatch(r"ray://(\[[0-9A-Fa-f:]+\]|[^/:\s]+):[0-9]{1,5}/?", value) is None
    ):
        raise click.BadParameter(f"{value!r} is no engine; give local, ray, or ray://HOST:PORT", ctx, param)
    return value


@click.command()
@click.argument("folder", metavar="SOURCE", type=File(folder=True))
@click.option(
    "-o", "--out", required=True, metavar="DIR|URL", type=File(folder=True), help="Folder or bucket for the results."
)
@click.option(
    "--glob",
    metavar="PATTERN",
    callback=_glob,
    help="Which files, such as '*.jpg' or '2024/**'.  [default: all images]",
)
@click.option("--shard", metavar="I/N", default="1/1", callback=_shard, help="Only the I-th of N parts of the photos.")
@click.option("--force", is_flag=True, help="Do all photos anew, also those that are done.")
@click.option(
    "--engine",
    metavar="local|ray|ray://HOST:PORT",
    default="local",
    show_default=True,
    callback=_engine,
    help="Who does the work: this machine, or a Ray cluster.",
)
@click.option("--workers", metavar="N", type=click.IntRange(1, 100_000), help="With Ray: processes with a network.")
@click.option("--gpus-per-worker", metavar="X", type=click.FloatRange(0, 64), help="With Ray: GPUs of each of them.")
@click.option("--report", is_flag=True, help="Write a gallery, index.html, and captions.csv.")
@model_options
@drawing_options
@batch_common_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    folder: str,
    out: str,
    formats: tuple[str, ...],
    model: str,
    mode: str | None,
    modes: tuple[str, ...] | None,
    layer_rows: tuple[str, ...] | None,
    device: str,
    threads: int | None,
    glob: str | None,
    shard: tuple[int, int],
    force: bool,
    report: bool,
    engine: str,
    workers: int | None,
    gpus_per_worker: float | None,
    max_pixels: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Describe and draw a folder of photos; go on where it stopped.

    SOURCE is a folder, a list of paths or URLs (.txt, .parquet), tar shards (.tar), or a URL of these. Results of
    SOURCE/trip/a.jpg go to DIR/trip/a.jpg-attention/. Given again, the same command goes on where it was stopped: what
    is done is skipped. DIR/manifest.jsonl has a line for each photo. A photo that fails is named, and the others are
    done.
    """
    if out == STDOUT:
        raise click.UsageError("-o - is for one picture; give a folder", ctx)
    if engine == "local" and (workers is not None or gpus_per_worker is not None):
        raise click.UsageError("--workers and --gpus-per-worker are for --engine ray; this machine has --threads", ctx)
    found = mode_sources(ctx, model, mode, modes)
    asked = asked_of(options)
    check_layers(ctx, layer_rows, asked.layers, len(found))
    given = checked(options)
    models: Models = (
        _local(found, device) if engine == "local" else Opening(tuple((one.model, one.mode) for one in found), device)
    )

    from attnviz.batch import run

    with Interrupts() as interrupts, Meter(quiet=quiet) as meter:
        outcome = run(
            models,
            folder,
            out,
            formats=formats,
            **asked.to_dict(),
            layer_rows=layer_rows or (),
            max_pixels=max_pixels,
            glob=glob,
            shard=shard,
            force=force,
            report=report,
            threads=threads,
            engine=engine,
            workers=workers,
            gpus_per_worker=gpus_per_worker or 0,
            progress=meter.show,
            stop=interrupts.stop,
            **given,
        )
    meter.sum_up(outcome, out, as_json=as_json)
    return interrupts.status or (FAILED if outcome.failed else 0)
