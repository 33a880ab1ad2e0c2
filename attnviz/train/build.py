"""What a run starts from: a fresh network, with weights from a package, a file or another checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnviz.captioner import Captioner, load_checkpoint
from attnviz.captioner.checkpoint import load_encoder
from attnviz.captioner.efficientnet import EfficientNetLite
from attnviz.captioner.kinds import ask
from attnviz.errors import ConfigError, ModelError
from attnviz.train.weights import pretrain
from attnviz.zoo import find_checkpoint

if TYPE_CHECKING:
    from attnviz.captioner.vocabulary import Vocabulary
    from attnviz.train.config import FitConfig, TrainConfig


def build(config: FitConfig, vocabulary: Vocabulary) -> Captioner:
    """The network that `config` asks for, with the weights that it starts from.

    Raises:
        ConfigError, ModelError: when a file is missing or does not fit.
    """
    start = load_checkpoint(start_of(config)) if config.start else None
    if config.model.kinds != (start.config.kinds if start else ()):
        raise ConfigError("kinds are found in the data: leave them out of [model], and set 'kinds' under [train]")
    # Words that are not in this run's vocabulary name nothing.
    kinds = tuple(tuple(word for word in kind if word in vocabulary) for kind in config.model.kinds)
    model = Captioner(replace(config.model, kinds=kinds), vocabulary, config.name, config.train.dropout)
    if start:
        model.load_state_dict(model.state_dict() | _taken(model, start))
    elif config.pretrained:
        pretrain(model, config)
    if config.score:
        _take_score(model, config)
    if config.encoder and Path(config.encoder).exists():
        try:
            load_encoder(model, config.encoder)
        except ModelError as error:
            raise ConfigError(f"setting 'encoder': {error}") from error
    if start and kinds and not _share_backbone(model, start):  # of which the layer knows nothing
        ask(model, (), None)
    return model


def _share_backbone(model: Captioner, other: Captioner) -> bool:
    own, theirs = model.backbone.state_dict(), other.backbone.state_dict()
    return own.keys() == theirs.keys() and all(torch.equal(own[key], theirs[key]) for key in own)


def start_of(config: FitConfig) -> Path:
    """The checkpoint that `config.start` names: a file, or a bundled model. Raises ModelError where there is none."""
    return find_checkpoint(config.start, config.model.mode)


def _take_score(model: Captioner, config: FitConfig) -> None:
    """Gives the model the score function of `config.score`. Networks that began as one, and learned apart, understand
    each other's to some degree."""
    other = load_checkpoint(find_checkpoint(config.score, config.model.mode)).decoder.attention.state_dict()
    own = model.decoder.attention.state_dict()
    shapes, theirs = ({key: tuple(value.shape) for key, value in one.items()} for one in (own, other))
    if not own or shapes != theirs:
        raise ConfigError(f"setting 'score': {config.score} has no score function like that of {config.model.mode}")
    model.decoder.attention.load_state_dict(other)


def _taken(model: Captioner, other: Captioner) -> dict[str, Tensor]:
    """Every weight of `other` that has the same name and shape in `model`; words are matched by their spelling."""
    own, theirs = model.state_dict(), other.state_dict()
    rows = torch.tensor([other.vocabulary.encode([w])[0] if i > 3 else i for i, w in enumerate(model.vocabulary.words)])
    for key in (f"decoder.{name}" for name in other.decoder.WORD_ROWS):
        theirs[key] = theirs[key][rows]
    return {key: theirs[key] for key, value in own.items() if key in theirs and theirs[key].shape == value.shape}


def blend(model: Captioner, start: Path, share: float, frozen: bool = False) -> None:
    """Moves every weight that `model` took over from the checkpoint `start` back to it, `share` of the way (0 to 1).
    A `frozen` backbone stays: it is that of `start` already, or of the encoder's file.

    Halfway between what a network knew and what it has learned since, it often knows both better: weight-space
    ensembling (WiSE-FT, Wortsman et al. 2022, https://arxiv.org/abs/2109.01903). Words that it did not know stay.
    """
    own, other = model.state_dict(), load_checkpoint(start)
    back = {key: own[key].lerp(value.to(own[key]), share) for key, value in _taken(model, other).items()}
    # A word that is new began as the unknown one, whose rows are no place to go back to.
    known = set(other.vocabulary.words)
    new = torch.tensor([word not in known for word in model.vocabulary.words], device=model.device)
    for key in back.keys() & {f"decoder.{name}" for name in other.decoder.WORD_ROWS}:
        back[key][new] = own[key][new]
    if frozen:
        back = {key: value for key, value in back.items() if not key.startswith("backbone.")}
    model.load_state_dict(own | back)


def freeze(model: Captioner, options: TrainConfig) -> int:
    """Lets the backbone learn as far as it shall; returns how many of its first stages stay frozen where not all do.
    What tells kinds of things is learned from lists, not from captions: it stays as well."""
    if (kinds := getattr(model.fuse, "kinds", None)) is not None:
        kinds.requires_grad_(False)
    stages = options.encoder_stages
    if options.encoder_rate == 0:
        model.backbone.requires_grad_(False)
        return 0
    if stages and not isinstance(model.backbone, EfficientNetLite):
        raise ConfigError("encoder_stages is for the EfficientNet-Lite backbones alone; leave it out")
    if stages and isinstance(model.backbone, EfficientNetLite):
        for part in (model.backbone.stem, *model.backbone.stages[:stages]):
            part.requires_grad_(False)
    return stages
