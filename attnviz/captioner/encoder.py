"""Encoders: an image batch (B, 3, H, W) in, feature maps out.

A *backbone* returns one map per tap, finest grid first; `Fuse` brings them to one (B, N, C) tensor on the finest grid.
The bundled backbone is EfficientNet-Lite (efficientnet.py); any torchvision backbone can be asked for by name
(convnet.py).

Source: Lin et al. 2017, "Feature pyramid networks" (arXiv:1612.03144).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.captioner.convnet import TorchvisionBackbone
from attnviz.captioner.efficientnet import SCALES, EfficientNetLite


class Fuse(nn.Module):
    """Feature maps at several scales -> E (B, N, C) on the finest grid, with the log odds of K kinds of things.

    Each map goes through its own 1x1 convolution, is upsampled (bilinear), and the sum is normalised over channels and
    rectified: E = relu(layernorm(sum_k up(W_k f_k))). This equals one 1x1 convolution over the concatenated maps. The
    kinds (see `Kinds`) have one more over the coarsest map, upsampled as it is.

    Args:
        inputs: channels of each map, finest grid first.
        channels: C.
        kinds: K; with 0, there is E alone.
    """

    def __init__(self, inputs: tuple[int, ...], channels: int, kinds: int = 0) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(n, channels, 1, bias=False) for n in inputs)
        self.norm = nn.LayerNorm(channels)
        self.kinds = nn.Conv2d(inputs[-1], kinds, 1) if kinds else None

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """(B, C_k, h_k, w_k) of each map -> (B, N, C + K)."""
        total = self.lateral[0](maps[0])
        for conv, coarse in zip(self.lateral[1:], maps[1:], strict=True):
            total = total + _onto(maps[0], conv(coarse))
        values = F.relu(self.norm(total.flatten(2).transpose(1, 2)))  # (B, C, h, w) -> (B, N, C)
        if self.kinds is None:
            return values
        return torch.cat([values, _onto(maps[0], self.kinds(maps[-1])).flatten(2).transpose(1, 2)], -1)


def _onto(fine: Tensor, coarse: Tensor) -> Tensor:
    """`coarse` on the grid of `fine`."""
    return F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)


class Pool(nn.Module):
    """The finest map as it is, averaged to a grid: E (B, N, C).

    Where the grid is finer than the map, cell i of n averages cells floor(i m / n) to ceil((i + 1) m / n) of m: they
    overlap, and nothing is seen more sharply.
    """

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        return F.adaptive_avg_pool2d(maps[0], self.grid).flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, N, C)


ENCODERS = tuple(SCALES)
"""The backbones that need torch alone; any other name is looked up in torchvision."""


def own_prefix(name: str) -> str:
    """How the names of a backbone's weights begin, by which its kind is known without building it."""
    return "stem." if name in ENCODERS else "body."


def build_backbone(
    name: str, layer: str | None = None, weights: str | None = None
) -> EfficientNetLite | TorchvisionBackbone:
    """The backbone called `name`: one of `ENCODERS`, or `torchvision:NAME` or plain `NAME` for one of torchvision's.

    Raises:
        ModelError: see `EfficientNetLite` and `TorchvisionBackbone`.
    """
    if name in ENCODERS:
        return EfficientNetLite(name)
    return TorchvisionBackbone(name.removeprefix("torchvision:"), layer, weights)
