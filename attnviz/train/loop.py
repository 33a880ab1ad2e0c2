"""`fit`: a configuration in, a checkpoint out; resumable at every epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from attnviz.captioner import load_checkpoint, save_checkpoint, save_encoder
from attnviz.captioner.vocabulary import SPECIAL, Vocabulary
from attnviz.data import Split
from attnviz.errors import ConfigError, counted
from attnviz.train.build import build
from attnviz.train.corpus import rewrite, teachable
from attnviz.train.state import recipe
from attnviz.train.trainer import Trainer
from attnviz.train.writer import written

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.train.config import FitConfig

Say = Callable[[str], None]
After = Callable[["Captioner", Mapping[str, float]], None]


def fit(config: FitConfig, say: Say = print, after: After | None = None) -> Path:
    """Trains a model as `config` says, or goes on where an earlier run of the same configuration stopped.

    After every epoch the state is saved beside the checkpoint, and a line of figures is appended to OUT.log (JSON).

    Args:
        say: is told one line at a time how it goes.
        after: called after each epoch with the model as it is then (the running mean, not to be changed) and the
            epoch's figures, such as to draw what it looks at.

    Returns:
        The checkpoint's path.

    Raises:
        ConfigError, DataError, ModelError: when the configuration, the data or the weights do not fit.
        OutputError: when a file cannot be written.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.train.seed)
    splits = [teachable(Split(path)) for path in (config.data.train, *config.data.extra)]
    dev = teachable(Split(config.data.dev))
    records = [record for split in splits for record in split]
    vocabulary = Vocabulary.build((c.words for record in records for c in record.captions), config.data.minimum)
    if len(vocabulary) == len(SPECIAL):
        raise ConfigError(f"no word occurs {counted(config.data.minimum, 'time')}; set a lower 'minimum' under [data]")
    if config.data.writer:
        writer = load_checkpoint(config.data.writer)
        splits = [rewrite(split, written(split, writer, config.data.cache, say)) for split in splits]
    model = build(config, vocabulary)
    if config.model.kinds and not model.config.kinds and not config.train.kinds:
        say(f"the kinds of things of {config.start} are left out: it has another encoder; set 'kinds' under [train]")
    h, w = model.grid
    say(
        f"{counted(len(records), 'photo')} to learn from, {len(dev)} to measure on, "
        f"{counted(len(vocabulary), 'word')}, grid {h}x{w}"
    )
    trainer = Trainer(config, model, splits, dev, say)
    trainer.resume()
    _check_encoder(config, trainer)
    while trainer.epoch < trainer.epochs:
        trainer.run_epoch()
        trainer.save()
        if after is not None:
            after(trainer.average, trainer.history[-1])
    trainer.finish()
    out = Path(config.out)
    # Without the seconds, so that the same run gives the same bytes.
    epochs = [{key: value for key, value in figures.items() if key != "seconds"} for figures in trainer.history]
    card = {"trained on": config.data.about, "recipe": recipe(config), "epochs": epochs}
    encoder = Path(config.encoder) if config.encoder else None
    if encoder and not encoder.exists():
        save_encoder(trainer.average, encoder)
    save_checkpoint(trainer.average, out, encoder=encoder, card=card)
    say(f"wrote {out}")
    return out


def _check_encoder(config: FitConfig, trainer: Trainer) -> None:
    """Raises ConfigError where the encoder file is there already and the backbone is still to learn: in the end it
    would be another one's."""
    if config.encoder and Path(config.encoder).exists() and not trainer.frozen and trainer.epoch < config.train.epochs:
        raise ConfigError(
            f"setting 'encoder': {config.encoder} exists, and this run would change the backbone; name another file"
        )
