"""`attnviz data`."""

from __future__ import annotations

from pathlib import Path

import click

from attnviz.cli.output import note


@click.group()
def command() -> None:
    """Make training data from public downloads."""


@command.command("flickr8k")
@click.option("--images", required=True, metavar="DIR", help="Folder of the photos.")
@click.option("--captions", required=True, metavar="FILE", help="Flickr8k.token.txt.")
@click.option(
    "--splits",
    required=True,
    multiple=True,
    metavar="NAME=FILE",
    help="A split and its list of photos, such as train=Flickr_8k.trainImages.txt; several times for several.",
)
@click.option("--entities", metavar="DIR", help="Flickr30k Entities: the folder with Sentences/ and Annotations/.")
@click.option("-o", "--out", required=True, metavar="DIR", help="Folder for SPLIT.zip and SPLIT.jsonl.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def flickr8k(images: str, captions: str, splits: tuple[str, ...], entities: str | None, out: str, quiet: bool) -> None:
    """Make SPLIT.zip and SPLIT.jsonl from Flickr8k, with the phrases and boxes of Flickr30k Entities.

    Photos are squeezed to 224x224. One that Entities lacks keeps its plain captions.
    """
    from attnviz.flickr import make_split, split_lists

    for name, names in list(split_lists(splits)):

        def progress(done: int, total: int, name: str = name) -> None:
            if not quiet and (done % 500 == 0 or done == total):
                note(f"{name}: {done} of {total} photos")

        folder = Path(entities) if entities else None
        grounded = make_split(Path(images), Path(captions), names, Path(out) / name, folder, progress)
        click.echo(f"{Path(out) / name}.jsonl: {grounded} photos with phrases")
