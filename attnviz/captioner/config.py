"""The sizes and names that a network is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from attnviz.errors import ModelError

FrameKind = Literal["stretch", "letterbox", "crop"]

INPUT_LIMIT = 2048
"""Pixels: no backbone was trained on more, and its memory grows with the square."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and names that a network is built from; stored in its checkpoint.

    Attributes:
        mode: score function.
        backbone: a name that `encoder.build_backbone` knows.
        layer: the layer that a torchvision backbone is cut at; None takes its last grid.
        input: (H, W) of the network's input, in pixels.
        frame: how a photo becomes that input.
        channels: C of E, after the fuse.
        embedding, state, language, attention, reduced: sizes of the decoder, see `Decoder`.
    """

    mode: str = "concat"
    backbone: str = "efficientnet-lite0"
    layer: str | None = None
    input: tuple[int, int] = (224, 224)
    frame: FrameKind = "stretch"
    channels: int = 384
    embedding: int = 256
    state: int = 384
    language: int = 384
    attention: int = 256
    reduced: int = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Reads what `dataclasses.asdict` or a TOML table holds.

        Raises:
            ModelError: for an unknown key or a value of the wrong type.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ModelError(f"unknown model setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
        config = cls(**{**values, "input": tuple(values.get("input", cls.input))})
        sizes = (*config.input, config.channels, config.embedding, config.state, config.language, config.attention)
        names = (config.mode, config.backbone, config.layer or "")
        if not all(isinstance(name, str) for name in names):  # a file may hold anything
            raise ModelError("mode, backbone and layer must be names")
        whole = all(type(n) is int and 0 < n <= 16384 for n in sizes)
        whole = whole and type(config.reduced) is int and 0 <= config.reduced <= 16384
        if len(tuple(config.input)) != 2 or not whole:
            raise ModelError(
                "model sizes must be whole numbers from 1 to 16384, and input two of them: [height, width]"
            )
        if max(config.input) > INPUT_LIMIT:
            raise ModelError(f"input must be at most {INPUT_LIMIT} pixels high and wide, not {list(config.input)}")
        if config.frame not in ("stretch", "letterbox", "crop"):
            raise ModelError(f"frame must be stretch, letterbox or crop, not {config.frame!r}")
        return config
