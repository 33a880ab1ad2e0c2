"""The networks: encoder, attention, decoder, search, checkpoints. The only package that needs torch to be useful."""

from __future__ import annotations

from attnviz.model.captioner import Captioner, Description, ModelConfig
from attnviz.model.checkpoint import load_checkpoint, save_checkpoint, save_encoder
from attnviz.model.zoo import bundled, load_model

__all__ = [
    "Captioner",
    "Description",
    "ModelConfig",
    "bundled",
    "load_checkpoint",
    "load_model",
    "save_checkpoint",
    "save_encoder",
]
