"""What the network is fed in training, when its backbone learns too: the pixels themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from attnviz.captioner.efficientnet import EfficientNetLite
from attnviz.train.crops import crop
from attnviz.train.features import arithmetic, inputs

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.data import Split
    from attnviz.train.config import TrainConfig


class Inputs(Protocol):
    """A split, ready for the network."""

    def batch(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """What photos `rows` feed to the fuse (feature maps) or to the backbone (one tensor of pixels)."""
        ...


def maps_of(
    model: Captioner, inputs: Inputs, rows: np.ndarray, options: TrainConfig, parts: np.ndarray | None = None
) -> tuple[Tensor, ...]:
    """The backbone's maps of photos `rows`, or of their windows `parts`; what stays frozen takes no gradient."""
    maps = tuple(x.to(model.device) for x in inputs.batch(rows))
    if parts is not None:
        maps = tuple(crop(x, parts) for x in maps)
    stages = options.encoder_stages
    if options.encoder_rate == 0:
        return maps
    with arithmetic(model, options.precision if model.training else "float32"):
        return tuple(x.float() for x in _through(model, maps[0], stages, options.crop < 1))


def _through(model: Captioner, x: Tensor, stages: int, early: bool) -> tuple[Tensor, ...]:
    """The backbone's maps of pixels `x`, or, where not `early`, of what the first `stages` stages made of them."""
    if not stages:
        return tuple(model.backbone(x))
    assert isinstance(model.backbone, EfficientNetLite)  # see `build.freeze`
    if early:
        with torch.no_grad():
            x = model.backbone.early(x, stages)
    return model.backbone.late(x.contiguous(memory_format=torch.channels_last), stages)


class PixelStore:
    """Every photo as the network's input, uint8 in memory (150 kB a photo at 224x224).

    Args:
        pixels: (photos, H, W, 3) uint8.
        flip: whether to give the mirror images.
    """

    def __init__(self, pixels: np.ndarray, flip: bool = False) -> None:
        self.pixels, self.flip = pixels, flip

    @classmethod
    def read(cls, model: Captioner, split: Split) -> PixelStore:
        """Decodes the photos of a split."""
        store = np.empty((len(split), *model.input, 3), np.uint8)
        for row, pixels in enumerate(inputs(model, split)):
            store[row] = pixels
        return cls(store)

    def mirrored(self) -> PixelStore:
        """The mirror images, from the same memory."""
        return PixelStore(self.pixels, not self.flip)

    def batch(self, rows: np.ndarray) -> tuple[Tensor]:
        """(B, 3, H, W) in [0, 1], in channels-last memory."""
        pixels = self.pixels[rows]
        pixels = pixels[:, :, ::-1] if self.flip else pixels
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255
        return (images.contiguous(memory_format=torch.channels_last),)
