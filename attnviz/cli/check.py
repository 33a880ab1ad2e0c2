"""`attnviz check`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.choices import EVIDENCE_FORMATS, REMOVALS
from attnviz.cli.network import Loading
from attnviz.cli.options import asked_of, check_model_options, common_options
from attnviz.cli.output import FAILED, complain, note
from attnviz.cli.photos import label, may_be_read, read_photo
from attnviz.cli.places import STDIN, result_folders
from attnviz.cli.progress import Gauge
from attnviz.cli.types import File, Name, Names
from attnviz.errors import AttnvizError, one_line

if TYPE_CHECKING:
    from attnviz.evidence import Evidence, Settings
    from attnviz.network import Asked

WIDTH = 110  # characters of a remark's line


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=File())
@click.option(
    "-o", "--out", metavar="DIR", type=File(folder=True), help="Folder for the results.  [default: NAME-attention]"
)
@check_model_options
@click.option(
    "-f",
    "--format",
    "formats",
    type=Names("format", EVIDENCE_FORMATS),
    default="table",
    show_default=True,
    help="What to give: a table on standard output; files with every number, or with the maps and curves.",
)
@click.option(
    "--remove",
    type=Name("way", REMOVALS),
    default="blur",
    show_default=True,
    help="What stands where a cell was: the photo blurred, or its mean colour.",
)
@click.option(
    "--parts", metavar="N", type=click.IntRange(2, 100), default=10, show_default=True, help="In which cells go."
)
@click.option(
    "--draws", metavar="N", type=click.IntRange(1, 100), default=5, show_default=True, help="Orders drawn at random."
)
@common_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    images: tuple[str, ...],
    out: str | None,
    formats: tuple[str, ...],
    model: str,
    mode: str | None,
    device: str,
    threads: int | None,
    max_pixels: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Test whether each word's map shows what the word hangs on.

    Cells of the photo are taken away, in the order of the map and in orders that know nothing of it, and the words are
    read again over what is left. Each word gets a verdict with its numbers. evidence.json and the trace with the
    verdicts go to the folder of the results, where 'attnviz draw FOLDER' shows them.
    """
    if images.count(STDIN) > 1:
        raise click.UsageError("standard input can be read only once; give - once", ctx)
    folders = result_folders(images, out)
    asked, settings = asked_of(options), _settings(options)
    found: dict[str, Evidence] = {}
    with Loading(model=model, mode=mode, device=device, threads=threads) as network:
        if may_be_read(images):
            network.start()
        for image, folder in zip(images, folders, strict=True):
            try:
                found[image] = _check(network, image, folder, asked, settings, formats, max_pixels, quiet)
            except AttnvizError as error:
                message = str(error)
                complain(message if one_line(label(image)) in message else f"{label(image)}: {message}")
    _tell(found, formats, as_json, len(images) > 1)
    return FAILED if len(found) < len(images) else 0


def _settings(options: dict[str, Any]) -> Settings:
    from attnviz.evidence import Settings

    return Settings(options.pop("remove"), options.pop("parts"), options.pop("draws"))


def _check(
    network: Loading,
    image: str,
    folder: Path,
    asked: Asked,
    settings: Settings,
    formats: tuple[str, ...],
    max_pixels: int,
    quiet: bool,
) -> Evidence:
    from attnviz.evidence import check, save

    photo = read_photo(image, max_pixels)
    with Gauge(quiet=quiet) as gauge:
        found = check(
            network.ready(),
            photo,
            asked,
            settings,
            progress=lambda done, total: gauge.show(done, total - done, f"{label(image)}: {done} versions read"),
        )
    more: dict[str, bytes] = {}
    if "pdf" in formats:
        from attnviz.evidence.report import pdf

        more["evidence.pdf"] = pdf(found, photo)
    if "html" in formats:
        from attnviz.evidence.page import page

        more["evidence.html"] = page(found, photo).encode()
    files = save(found, folder, more)
    if not quiet:
        note(f"{label(image)}: {', '.join(file.name for file in files)} in {folder}/")
    return found


def _tell(found: Mapping[str, Evidence], formats: tuple[str, ...], as_json: bool, several: bool) -> None:
    """The tables on standard output, or all numbers as JSON."""
    if as_json or "json" in formats:
        import json

        results = [{"source": image, **evidence.to_dict()} for image, evidence in found.items()]
        click.echo(json.dumps({"results": results}, indent=2))
        return
    if "table" not in formats:
        return
    from attnviz.cli.tables import print_table
    from attnviz.evidence.table import LEGEND, meanings, remarks, rows

    for image, evidence in found.items():
        click.echo(one_line(f"{label(image)}: {evidence.trace.caption}"))
        print_table(rows(evidence), numbers=2, names=2)
        click.echo()
        for line in (*meanings(evidence), *remarks(evidence)):
            click.echo(fill(one_line(line), WIDTH, subsequent_indent="  ", break_long_words=False))
        if several:
            click.echo()
    for line in LEGEND if found else ():
        click.echo(line)
