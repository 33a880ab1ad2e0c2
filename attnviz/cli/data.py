"""`attnviz data`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attnviz.cli.output import note
from attnviz.cli.types import File
from attnviz.errors import DataError, counted

if TYPE_CHECKING:
    from attnviz.data.writing import Progress


def _splits(form: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], dict[str, str]]:
    """A callback that takes `NAME=VALUE`, several times, apart; `form` is how they should look, for messages."""

    def convert(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
        from attnviz.data.writing import named

        try:
            return dict(named(value, form))
        except DataError as error:
            raise click.BadParameter(str(error), ctx, param) from error

    return convert


@click.group()
def command() -> None:
    """Make training data from downloads or your own photos."""


@command.command("flickr8k")
@click.option("--images", required=True, metavar="DIR", type=File(folder=True), help="Folder of the photos.")
@click.option("--captions", required=True, metavar="FILE", type=File(), help="Flickr8k.token.txt.")
@click.option(
    "--splits",
    required=True,
    multiple=True,
    callback=_splits("NAME=FILE, such as train=Flickr_8k.trainImages.txt"),
    metavar="NAME=FILE",
    help="A split and its list of photos, such as train=Flickr_8k.trainImages.txt; several times for several.",
)
@click.option(
    "--entities",
    metavar="DIR",
    type=File(folder=True),
    help="Flickr30k Entities: the folder with Sentences/ and Annotations/.",
)
@click.option(
    "-o", "--out", required=True, metavar="DIR", type=File(folder=True), help="Folder for SPLIT.zip and SPLIT.jsonl."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def flickr8k(images: str, captions: str, splits: dict[str, str], entities: str | None, out: str, quiet: bool) -> None:
    """Make SPLIT.zip and SPLIT.jsonl from Flickr8k, with the phrases and boxes of Flickr30k Entities.

    Photos are squeezed to 224x224. One that Entities lacks keeps its plain captions.
    """
    from attnviz.data.flickr import make_split

    for name, names in splits.items():
        folder = Path(entities) if entities else None
        place = Path(out) / name
        grounded = make_split(Path(images), Path(captions), Path(names), place, folder, _progress(name, quiet))
        if entities and not grounded:
            note(f"{entities}: has no Sentences/NAME.txt with Annotations/NAME.xml of any photo of {name}")
        click.echo(f"{place}.jsonl: {counted(grounded, 'photo')} with phrases")


@command.command("coco")
@click.option("--images", required=True, metavar="DIR", type=File(folder=True), help="Folder of the photos, train2017.")
@click.option("--captions", metavar="FILE", type=File(), help="captions_train2017.json.")
@click.option(
    "--instances", metavar="FILE", type=File(), help="instances_train2017.json, for the objects in each photo."
)
@click.option(
    "--splits",
    required=True,
    multiple=True,
    callback=_splits("NAME=FILE or NAME=N, such as train=train.txt or train=550"),
    metavar="NAME=FILE|N",
    help="A split and its list of photos, one a line, or how many to draw; several times for several.",
)
@click.option(
    "--objects-only", multiple=True, metavar="NAME", help="This split gets no captions; several times for several."
)
@click.option(
    "-o", "--out", required=True, metavar="DIR", type=File(folder=True), help="Folder for SPLIT.zip and SPLIT.jsonl."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def coco(
    images: str,
    captions: str | None,
    instances: str | None,
    splits: dict[str, str],
    objects_only: tuple[str, ...],
    out: str,
    quiet: bool,
) -> None:
    """Make SPLIT.zip and SPLIT.jsonl from COCO 2017, with captions, names of objects, or both.

    Photos are squeezed to 224x224. The same ones are drawn each time, and none into two splits of one call.
    """
    from attnviz.data.coco import make_lines
    from attnviz.data.writing import check_photos, write_split

    _check_sources(captions, instances, objects_only, splits)
    if not quiet:
        note("reading the annotations")
    sources = {name: int(value) if re.fullmatch("[0-9]{1,9}", value) else Path(value) for name, value in splits.items()}
    told_in, seen_in = (Path(file) if file else None for file in (captions, instances))
    made = make_lines(sources, told_in, seen_in, objects_only)
    check_photos(Path(images), (photo for lines in made.values() for photo in lines))
    for name, lines in made.items():
        place = Path(out) / name
        write_split(Path(images), place, lines, _progress(name, quiet))
        told, things = (sum(bool(line.get(key)) for line in lines.values()) for key in ("captions", "objects"))
        click.echo(f"{place}.jsonl: {counted(len(lines), 'photo')}, {told} with captions, {things} with objects")


@command.command("csv")
@click.option("--images", required=True, metavar="DIR", type=File(folder=True), help="Folder of the photos.")
@click.option(
    "--captions", required=True, metavar="FILE", type=File(), help="A table with the columns image and caption."
)
@click.option(
    "--dev",
    type=click.IntRange(1),
    metavar="N",
    help="Photos that are only measured on.  [default: a tenth, or as a column 'split' says]",
)
@click.option(
    "-o", "--out", required=True, metavar="DIR", type=File(folder=True), help="Folder for the splits train and dev."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def table(images: str, captions: str, dev: int | None, out: str, quiet: bool) -> None:
    """Make the splits train and dev from photos of your own and a table of captions.

    The table is what a spreadsheet saves, with a row for each caption (or several captions in a row): the photo's name
    in a column called image, its caption in one called caption. Photos are squeezed to 224x224.
    """
    from attnviz.data.table import make_splits

    counts = make_splits(Path(images), Path(captions), Path(out), dev, _progress("photos", quiet))
    for name, count in counts.items():
        click.echo(f"{Path(out) / name}.jsonl: {count} photo{'s' * (count != 1)}")


def _check_sources(
    captions: str | None, instances: str | None, objects_only: Collection[str], splits: Collection[str]
) -> None:
    """Raises click.UsageError for options that leave a split with nothing to learn from."""
    if not captions and not instances:
        raise click.UsageError("give --captions, --instances or both: without them there is nothing to learn from")
    if objects_only and not instances:
        raise click.UsageError("--objects-only needs --instances, which says what objects there are")
    if unknown := set(objects_only) - set(splits):
        raise click.UsageError(
            f"--objects-only {min(unknown)}: no --splits has that name; there are {', '.join(splits)}"
        )


def _progress(name: str, quiet: bool) -> Progress:
    """Tells how far a split is, every 500 photos."""

    def tell(done: int, total: int) -> None:
        if not quiet and (done % 500 == 0 or done == total):
            note(f"{name}: {done} of {counted(total, 'photo')}")

    return tell
