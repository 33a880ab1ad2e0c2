"""Our own network: encoder, attention, decoder, search, vocabulary, checkpoints, and the bundled weights."""

from __future__ import annotations

from attnviz.captioner.captioner import Captioner
from attnviz.captioner.checkpoint import load_checkpoint, save_checkpoint, save_encoder, update_card
from attnviz.captioner.config import ModelConfig
from attnviz.captioner.description import Description

__all__ = [
    "Captioner",
    "Description",
    "ModelConfig",
    "load_checkpoint",
    "save_checkpoint",
    "save_encoder",
    "update_card",
]
