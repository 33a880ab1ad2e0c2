"""Depthwise convolution in bfloat16 whose way back is float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Pair = tuple[int, int]


class DepthwiseConv(torch.autograd.Function):
    """`F.conv2d` with one channel a group, in the precision of `x`; gradients are computed in float32.

    On a CPU, torch's gradients of a depthwise convolution take two to three times as long in bfloat16 as in float32,
    while everything else of a network is faster.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, padding: Pair) -> Tensor:
        """(B, C, H, W), (C, 1, k, k), (C,) -> (B, C, H', W'); strides and paddings are (down, across)."""
        ctx.save_for_backward(x, weight)
        ctx.sizes = (stride, padding)
        return F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding = ctx.sizes
        wanted, groups = list(ctx.needs_input_grad[:3]), len(weight)
        to_x, to_weight, to_bias = torch.ops.aten.convolution_backward(
            grads[0].float(),
            x.float(),
            weight,
            [groups],
            stride,
            padding,
            (1, 1),
            False,
            (0, 0),
            groups,
            wanted,
        )
        return None if to_x is None else to_x.to(x.dtype), to_weight, to_bias, None, None
