"""The networks: encoder, attention, decoder, search, checkpoints. The only package that needs torch to be useful."""

from __future__ import annotations

from attnviz.model.captioner import Captioner, Description, ModelConfig
from attnviz.model.checkpoint import load_checkpoint, save_checkpoint, save_encoder, update_card
from attnviz.model.zoo import bundled, find_checkpoint, load_model

__all__ = [
    "Captioner",
    "Description",
    "ModelConfig",
    "bundled",
    "find_checkpoint",
    "load_checkpoint",
    "load_model",
    "save_checkpoint",
    "save_encoder",
    "update_card",
]
