"""What the parameters of torchvision's ResNets look like: the kind of one is read off its shapes, and held to them.

Source: He et al. 2016, "Deep residual learning for image recognition" (arXiv:1512.03385), in torchvision's form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from attnviz.errors import ModelError

Shape = tuple[int, ...]

NAMES = {
    ("basic", (2, 2, 2, 2), 1, 64): "resnet18",
    ("basic", (3, 4, 6, 3), 1, 64): "resnet34",
    ("bottleneck", (3, 4, 6, 3), 1, 64): "resnet50",
    ("bottleneck", (3, 4, 23, 3), 1, 64): "resnet101",
    ("bottleneck", (3, 8, 36, 3), 1, 64): "resnet152",
    ("bottleneck", (3, 4, 6, 3), 32, 4): "resnext50_32x4d",
    ("bottleneck", (3, 4, 23, 3), 32, 8): "resnext101_32x8d",
    ("bottleneck", (3, 4, 23, 3), 64, 4): "resnext101_64x4d",
    ("bottleneck", (3, 4, 6, 3), 1, 128): "wide_resnet50_2",
    ("bottleneck", (3, 4, 23, 3), 1, 128): "wide_resnet101_2",
}
"""Block, blocks in each layer, groups and width of a group -> torchvision's name."""

LAYERS = ("layer1", "layer2", "layer3", "layer4")
PLANES = (64, 128, 256, 512)
NORM = ("weight", "bias", "running_mean", "running_var")
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Convolution:
    """One convolution, without bias, and the batch norm behind it."""

    name: str
    norm: str
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    groups: int = 1

    @property
    def padding(self) -> int:
        return self.kernel // 2

    def shapes(self) -> dict[str, Shape]:
        """Of all of its parameters and of its norm's, by name."""
        norms: dict[str, Shape] = {f"{self.norm}.{part}": (self.outputs,) for part in NORM}
        weight = (self.outputs, self.inputs // self.groups, self.kernel, self.kernel)
        return {f"{self.name}.weight": weight, **norms, f"{self.norm}.{COUNTER}": ()}


@dataclass(frozen=True)
class ResNet:
    """A ResNet up to its last grid.

    Attributes:
        block: "basic" or "bottleneck".
        layers: how many blocks each of the four layers has.
        groups, width: of the middle convolution of a bottleneck; 1 and 64 but in ResNeXt and Wide ResNet.
    """

    block: str
    layers: tuple[int, ...]
    groups: int = 1
    width: int = 64

    @classmethod
    def of(cls, shapes: Mapping[str, Shape]) -> ResNet:
        """The kind that parameters of these names and shapes are of. Raises ModelError where they are of none."""
        layers = tuple(_count(shapes, layer) for layer in LAYERS)
        if not all(layers) or "conv1.weight" not in shapes:
            raise ModelError("its encoder is no ResNet of torchvision")
        if "layer1.0.conv3.weight" not in shapes:
            return cls("basic", layers)
        middle = shapes["layer1.0.conv2.weight"]
        if len(middle) != 4 or 0 in middle:
            raise ModelError("its encoder is no ResNet of torchvision")
        return cls("bottleneck", layers, middle[0] // middle[1] or 1, middle[1])

    @property
    def name(self) -> str:
        """As `attnviz.captioner` knows it."""
        facts: Any = (self.block, self.layers, self.groups, self.width)
        others = "" if (self.groups, self.width) == (1, 64) else f"-g{self.groups}-w{self.width}"
        return NAMES.get(facts) or f"resnet-{self.block}-{'-'.join(map(str, self.layers))}{others}"

    @property
    def channels(self) -> int:
        """C of the last grid."""
        return PLANES[-1] * self._expansion

    @property
    def _expansion(self) -> int:
        return 4 if self.block == "bottleneck" else 1

    def convolutions(self) -> Iterator[Convolution]:
        """All of them, from the first on."""
        yield Convolution("conv1", "bn1", 3, 64, 7, 2)
        inputs = 64
        for number, (layer, blocks, planes) in enumerate(zip(LAYERS, self.layers, PLANES, strict=True)):
            outputs = planes * self._expansion
            for block in range(blocks):
                place, stride = f"{layer}.{block}", 2 if number and not block else 1
                if self.block == "basic":
                    yield Convolution(f"{place}.conv1", f"{place}.bn1", inputs, planes, 3, stride)
                    yield Convolution(f"{place}.conv2", f"{place}.bn2", planes, planes, 3)
                else:
                    wide = planes * self.width // 64 * self.groups
                    yield Convolution(f"{place}.conv1", f"{place}.bn1", inputs, wide, 1)
                    yield Convolution(f"{place}.conv2", f"{place}.bn2", wide, wide, 3, stride, self.groups)
                    yield Convolution(f"{place}.conv3", f"{place}.bn3", wide, outputs, 1)
                if not block and (stride > 1 or inputs != outputs):
                    down = f"{place}.downsample"
                    yield Convolution(f"{down}.0", f"{down}.1", inputs, outputs, 1, stride)
                inputs = outputs


def _count(shapes: Mapping[str, Shape], layer: str) -> int:
    count = 0
    while f"{layer}.{count}.conv1.weight" in shapes and count < 100:
        count += 1
    return count
