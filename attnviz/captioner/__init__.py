"""Our own network: encoder, attention, decoder, search, vocabulary, checkpoints, and the bundled weights.

The names are resolved on first use: the file format (config.py, header.py, stored.py) needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOMES = {
    "Captioner": "captioner",
    "Description": "description",
    "ModelConfig": "config",
    **dict.fromkeys(("load_checkpoint", "save_checkpoint", "save_encoder", "update_card"), "checkpoint"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
