"""What the network is fed in training, when its backbone learns too: the pixels themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from attnviz.train.features import inputs

if TYPE_CHECKING:
    from attnviz.data import Split
    from attnviz.model import Captioner


class Inputs(Protocol):
    """A split, ready for the network."""

    def batch(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """What photos `rows` feed to the fuse (feature maps) or to the backbone (one tensor of pixels)."""
        ...


class PixelStore:
    """Every photo as the network's input, uint8 in memory (150 kB a photo at 224x224)."""

    def __init__(self, model: Captioner, split: Split, flip: bool) -> None:
        height, width = model.input
        self.pixels = np.empty((len(split), height, width, 3), np.uint8)
        for row, pixels in enumerate(inputs(model, split)):
            self.pixels[row] = pixels
        self.flip = flip

    def batch(self, rows: np.ndarray) -> tuple[Tensor]:
        """(B, 3, H, W) in [0, 1], in channels-last memory."""
        pixels = self.pixels[rows]
        pixels = pixels[:, :, ::-1] if self.flip else pixels
        return (torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255,)
