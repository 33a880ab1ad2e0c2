"""`attnviz train`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attnviz.cli.output import note
from attnviz.cli.types import File
from attnviz.errors import ConfigError

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.train import FitConfig
    from attnviz.train.loop import After

PICTURED = 4  # photos of the dev split, of which each epoch gets pictures


@click.command()
@click.argument("config", metavar="CONFIG.toml", type=File())
@click.option(
    "--tensorboard",
    metavar="DIR",
    type=File(folder=True),
    help="Write figures, and pictures of where the model looks, for TensorBoard after each epoch.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(config: str, tensorboard: str | None, quiet: bool) -> None:
    """Train a model as a TOML file says.

    The state is saved after every epoch: the same command goes on where it was stopped. At the end it prints the
    checkpoint's path. "attnviz guide training" says what the data look like; configs/ has the files that made the
    bundled models.
    """
    from attnviz.train import fit, read_config

    settings = read_config(config)
    with _pictures(tensorboard, settings) as after:
        path: Path = fit(settings, (lambda line: None) if quiet else note, after)
    click.echo(path)


@contextmanager
def _pictures(folder: str | None, config: FitConfig) -> Iterator[After | None]:
    """What writes an epoch's figures and pictures for TensorBoard; nothing without a folder."""
    if folder is None:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("--tensorboard needs TensorBoard; pip install 'attnviz[tensorboard]'") from error
    from attnviz.data import Split
    from attnviz.explain import explain
    from attnviz.render.single import log

    photos = list(Split(config.data.dev).photos(0, PICTURED))
    with SummaryWriter(folder) as writer:

        def after(model: Captioner, figures: Mapping[str, float]) -> None:
            epoch = int(figures["epoch"])
            for name, value in figures.items():
                if name != "epoch":
                    writer.add_scalar(name, value, epoch)
            log(writer, "dev", epoch, explain(model, photos), photos)
            writer.flush()

        yield after
