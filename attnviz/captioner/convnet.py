"""Torchvision's networks as backbones, by name. Torchvision is imported only when one is asked for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnviz.errors import ModelError


class TorchvisionBackbone(nn.Module):
    """Any torchvision classification network, cut at a layer.

    Args:
        name: as `torchvision.models.get_model` takes it, such as `resnet50`.
        layer: a node of the network's graph whose output is (B, C, h, w); left out, the last such node.
        weights: a torchvision weights name such as `DEFAULT`, or None for random ones.

    The input is RGB in [0, 1], normalised inside with ImageNet's mean and deviation.

    Raises:
        ModelError: for an unknown network or layer, or a layer that gives no spatial grid.
    """

    MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __init__(self, name: str, layer: str | None = None, weights: str | None = None) -> None:
        super().__init__()
        from torchvision.models import get_model, list_models
        from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

        if name not in list_models():
            raise ModelError(f"torchvision has no network called {name!r}; see torchvision.models.list_models()")
        network = get_model(name, weights=weights).eval()
        nodes = get_graph_node_names(network)[1]
        if layer is not None and not any(node == layer or node.startswith(f"{layer}.") for node in nodes):
            raise ModelError(f"{name} has no layer {layer!r}; among its last are {', '.join(nodes[-8:])}")
        layer = layer or _last_spatial(network, nodes)
        self.layer = layer
        self.body = create_feature_extractor(network, {layer: "map"})
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(self.MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.STD).view(1, 3, 1, 1), persistent=False)
        with torch.no_grad():
            self.channels = (self(torch.zeros(1, 3, 224, 224))[0].shape[1],)

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the map for an input of `size` (H, W)."""
        with torch.no_grad():
            h, w = self(torch.zeros(1, 3, *size))[0].shape[-2:]
        return h, w

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(B, 3, H, W) in [0, 1] -> one map (B, C, h, w)."""
        x = self.body((images - self.mean) / self.std)["map"]
        if x.ndim != 4:
            raise ModelError(
                f"layer {self.layer!r} gives {tuple(x.shape)}, not a (B, C, h, w) grid; choose an earlier one"
            )
        return (x,)


def _last_spatial(network: nn.Module, nodes: list[str]) -> str:
    """The last node of the graph whose output has more than one cell, for a 224 x 224 input."""
    from torchvision.models.feature_extraction import create_feature_extractor

    with torch.no_grad():
        outputs = create_feature_extractor(network, nodes)(torch.zeros(1, 3, 224, 224))
    spatial = [
        n for n in nodes if isinstance(outputs[n], Tensor) and outputs[n].ndim == 4 and min(outputs[n].shape[2:]) > 1
    ]
    spatial = [n for n in spatial if outputs[n].shape[1] > 3]
    if not spatial:
        raise ModelError("no layer of this network gives a (B, C, h, w) grid")
    return spatial[-1]
