"""Torchvision's networks as backbones, by name, and ResNets of any depth. Torchvision is imported only when asked for.

Source: He et al. 2016, "Deep residual learning for image recognition" (arXiv:1512.03385), in torchvision's form, with
the stride in the 3x3 convolution; groups and widths are those of ResNeXt and Wide ResNet.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn

from attnviz.captioner.blank import is_blank
from attnviz.errors import ModelError

RESNET = re.compile(r"resnet-(basic|bottleneck)((?:-[0-9]{1,2}){4})(?:-g([0-9]{1,3})-w([0-9]{1,3}))?")
"""A ResNet that has no name of its own, such as `resnet-bottleneck-1-1-1-1`: its blocks, how many of them in each of
the four layers, and, where they are not 1 and 64, groups and width of a group."""

MOST_BLOCKS = 100
"""Of such a ResNet: twice as many as ResNet-152 has."""


class TorchvisionBackbone(nn.Module):
    """Any torchvision classification network, cut at a layer.

    Args:
        name: as `torchvision.models.get_model` takes it, such as `resnet50`, or one that `RESNET` describes.
        layer: a node of the network's graph whose output is (B, C, h, w); left out, the last such node.
        weights: a torchvision weights name such as `DEFAULT`, or None for random ones.

    The input is RGB in [0, 1], normalised inside with ImageNet's mean and deviation. Batch norms keep the statistics
    they have, in training too: captions come in batches too small for new ones.

    Raises:
        ModelError: for an unknown network or layer, or a layer that gives no spatial grid.
    """

    MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __init__(self, name: str, layer: str | None = None, weights: str | None = None) -> None:
        super().__init__()
        from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

        self.name = name
        if name.startswith("vit_") and layer is None:  # what comes after its patches is a sequence
            raise ModelError(
                f"{name} has no grid behind its transformer; take a convolutional network, such as resnet50"
            )
        network = _network(name, weights).eval()
        if is_blank(network):
            network = network.to("meta")  # the few numbers in it that were counted out
        with warnings.catch_warnings(action="ignore"):  # of layers that only training has
            nodes = get_graph_node_names(network)[1]
            if layer is not None and not any(node == layer or node.startswith(f"{layer}.") for node in nodes):
                raise ModelError(f"{name} has no layer {layer!r}; among its last are {', '.join(nodes[-8:])}")
            layer = layer or _last_spatial(name, network, nodes)
            self.layer = layer
            self.body = create_feature_extractor(network, {layer: "map"})
        self.mean: Tensor
        self.std: Tensor
        # On the CPU also where the network is built without memory: no file holds them.
        self.register_buffer("mean", torch.tensor(self.MEAN, device="cpu").view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.STD, device="cpu").view(1, 3, 1, 1), persistent=False)
        self.channels = (self._shape((224, 224))[0],)

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the map for an input of `size` (H, W). Raises ModelError for one that the network cannot take."""
        _, h, w = self._shape(size)
        return h, w

    def _shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """(C, h, w) of the map. Raises ModelError for an input that the network cannot take."""
        training = self.training
        try:
            # The graph's code would print itself where it fails.
            with torch.no_grad(), redirect_stderr(io.StringIO()):
                _, channels, h, w = self.eval()._grid_of(_black(self.name, self.body, size)).shape
        except ModelError:
            raise
        except Exception as error:  # each network has its own way to say so: an assertion, a failed view, ...
            told = re.sub(r" but got Proxy.*", "", str(error).strip().split("\n")[0])
            raise ModelError(f"{self.name} cannot take an input of {size[0]}x{size[1]} pixels ({told})") from error
        finally:
            self.train(training)
        return channels, h, w

    def train(self, mode: bool = True) -> TorchvisionBackbone:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(B, 3, H, W) in [0, 1] -> one map (B, C, h, w)."""
        return (self._grid_of((images - self.mean) / self.std),)

    def _grid_of(self, normalised: Tensor) -> Tensor:
        x: Tensor = self.body(normalised)["map"]
        if x.ndim != 4:
            raise ModelError(
                f"layer {self.layer!r} gives {tuple(x.shape)}, not a (B, C, h, w) grid; choose an earlier one"
            )
        return x

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Fills the network from a state dict of torchvision's names, such as one that it offers for download.

        What lies behind the layer it is cut at, such as the classifier, is left out.

        Raises:
            ModelError: when the weights are those of another network.
        """
        own = self.body.state_dict()
        counted = {key for key in own if key.endswith("num_batches_tracked")}  # which nobody reads, and old files lack
        missing = [key for key in own if key not in weights and key not in counted]
        if missing:
            raise ModelError(
                f"the weights are not those of {self.name}: {len(missing)} are missing, {missing[0]} first"
            )
        for key, value in own.items():
            if key in weights and weights[key].shape != value.shape:
                shapes = f"{tuple(weights[key].shape)}, not {tuple(value.shape)}"
                raise ModelError(f"the weights are not those of {self.name}: {key} is {shapes}")
        self.body.load_state_dict(own | {key: weights[key] for key in own if key in weights})


def _images(name: str) -> int:
    """How many images show what shapes a network gives. None at all do, and cost nothing; but where shapes were fixed
    while the graph was drawn, as in transformers, only an image shows whether they fit.
    """
    return 1 if name.startswith(("maxvit", "swin", "vit")) else 0


def _black(name: str, network: nn.Module, size: tuple[int, int]) -> Tensor:
    """As many black images of `size` as show what shapes a network gives, where its weights are."""
    return torch.zeros(_images(name), 3, *size, device=next(network.parameters()).device)


def _network(name: str, weights: str | None) -> nn.Module:
    """The whole network called `name`, classifier and all. Raises ModelError where there is none."""
    import torchvision.models
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    if shape := RESNET.fullmatch(name):
        kind, blocks, groups, width = shape.groups()
        layers = [int(number) for number in blocks.split("-")[1:]]
        if not all(layers) or sum(layers) > MOST_BLOCKS:
            raise ModelError(f"{name}: each of the four layers needs a block, and all together have {MOST_BLOCKS}")
        others: dict[str, Any] = {} if groups is None else {"groups": int(groups), "width_per_group": int(width)}
        try:
            shaped: nn.Module = ResNet(Bottleneck if kind == "bottleneck" else BasicBlock, layers, **others)
        except (ValueError, ZeroDivisionError) as error:
            raise ModelError(f"{name}: there is no such ResNet ({error})") from error
        return shaped
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise ModelError(
            f"torchvision has no network called {name!r} that classifies; see torchvision.models.list_models()"
        )
    # Or it warns that it will draw its weights in another way one day.
    quick = {"init_weights": False} if name in ("googlenet", "inception_v3") and weights is None else {}
    try:
        network: nn.Module = torchvision.models.get_model(name, weights=weights, **quick)
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"torchvision has no weights called {weights!r} for {name}: give a file, or DEFAULT"
        ) from error
    except OSError as error:
        raise ModelError(f"torchvision's weights {weights} for {name} cannot be fetched: {error}") from error
    return network


def _last_spatial(name: str, network: nn.Module, nodes: list[str]) -> str:
    """The last node of the graph whose output has more than one cell, for a 224 x 224 input."""
    from torchvision.models.feature_extraction import create_feature_extractor

    with torch.no_grad():
        outputs = create_feature_extractor(network, nodes)(_black(name, network, (224, 224)))
    spatial = [
        n for n in nodes if isinstance(outputs[n], Tensor) and outputs[n].ndim == 4 and min(outputs[n].shape[2:]) > 1
    ]
    spatial = [n for n in spatial if outputs[n].shape[1] > 3]
    if not spatial:
        raise ModelError(f"no layer of {name} gives a (B, C, h, w) grid")
    return spatial[-1]
