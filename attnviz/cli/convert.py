"""`attnviz convert`."""

from __future__ import annotations

import click

from attnviz.cli.output import note
from attnviz.cli.types import File
from attnviz.errors import counted


@click.command()
@click.argument("checkpoint", metavar="CHECKPOINT", type=File())
@click.option(
    "--wordmap", required=True, metavar="FILE.json", type=File(), help="The word map that the checkpoint goes with."
)
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="FILE",
    type=File(),
    help="The checkpoint to write, such as model.safetensors.",
)
@click.option("--name", metavar="NAME", help="What the model is called.  [default: by the file]")
@click.option(
    "--input",
    "side",
    type=click.IntRange(32, 2048),
    metavar="PIXELS",
    default=256,
    show_default=True,
    help="Side of the square that photos were stretched to for its training.",
)
@click.option("-q", "--quiet", is_flag=True, help="No remarks.")
def command(checkpoint: str, wordmap: str, out: str, name: str | None, side: int, quiet: bool) -> None:
    """Turn a Show, Attend and Tell checkpoint into one of attnviz.

    CHECKPOINT is what sgrvinod's PyTorch tutorial saves, such as BEST_checkpoint_coco.pth.tar. It is read without
    running what is in it, and the new file gives the same captions and maps: 'attnviz render photo.jpg --model FILE'.
    """
    from attnviz.adapters.show_attend_tell import convert

    if not out.endswith(".safetensors"):
        raise click.BadParameter(
            f"{out}: a checkpoint's name ends in .safetensors; give such a name", param_hint="'-o'"
        )
    facts = convert(checkpoint, wordmap, out, name=name, input=side)
    click.echo(out)
    if not quiet:
        past = f", after epoch {facts.epoch}" if facts.epoch is not None else ""
        score = f", its own BLEU-4 {facts.bleu:.3f}" if facts.bleu is not None else ""
        note(f"{facts.encoder}, {counted(facts.words, 'word')}{past}{score}")
        for remark in facts.remarks:
            note(remark)
