"""How the weights move: the optimiser, its learning rates over a run, the running mean."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.train.config import TrainConfig


def optimiser(model: Captioner, options: TrainConfig, rate: float) -> torch.optim.Optimizer:
    """AdamW over what learns, at the peak learning rate `rate`; the backbone has its own."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    backbone = [p for name, p in learning if name.startswith("backbone.")]
    rest = [p for name, p in learning if not name.startswith("backbone.")]
    # Weight decay is for matrices: biases and norms have no scale to shrink.
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": options.decay, "peak": rate},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0, "peak": rate},
    ]
    if backbone:
        groups.append({"params": backbone, "weight_decay": 0.0, "peak": options.encoder_rate})
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def set_rate(optimiser: torch.optim.Optimizer, step: int, total: int, warmup: float) -> None:
    """Sets the learning rates for step `step` of `total`: a linear rise over the share `warmup`, then a cosine to 0."""
    warm = max(1.0, warmup * total)
    share = min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * max(0.0, step - warm) / max(1.0, total - warm))))
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * share


@torch.no_grad()
def follow(average: Captioner, model: Captioner, decay: float, step: int) -> None:
    """Moves the running mean `average` towards `model`, after step number `step` (from 1)."""
    # A short memory at first, so that the random start is soon forgotten.
    decay = min(decay, step / (step + 10))
    for kept, value in zip(average.parameters(), model.parameters(), strict=True):
        if value.requires_grad:
            kept.lerp_(value, 1 - decay)
