"""Hard attention: one cell (for channel modes one channel) gives the context, as a switch at decoding time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.errors import ModelError

Hard = Literal["sample", "argmax"]

Chooser = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Turns soft weights (B, Q, n) into the ones that are used, and says by how much the chosen one was ahead of the next,
(B, Q), as a difference of logarithms; see `HardChoice`."""


def step_of(choose: Chooser | None, step: int) -> Chooser | None:
    """What chooses at one step, of what chooses at several of them side by side."""
    return choose.at(step) if isinstance(choose, HardChoice) else choose


@dataclass(frozen=True)
class HardChoice:
    """Hard attention: the weights become one-hot, at the largest weight or at one drawn with the weights as odds.

    Attributes:
        hard: `argmax`, or `sample`, which adds Gumbel `noise`, broadcast against the weights, to their logarithms
            and takes the largest (Gumbel 1954): an exact draw that depends on the noise alone, and can be repeated.
        noise: (Q, n), or (1, n) for all queries.
    """

    hard: Hard
    noise: Tensor | None = None

    def __call__(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        n = weights.shape[-1]
        odds = weights.clamp_min(1e-30).log()
        if self.hard == "sample" and self.noise is not None:
            odds = odds + self.noise[..., :n]
        best = odds.topk(min(2, n)).values
        margin = best[..., 0] - best[..., 1] if n > 1 else torch.full_like(best[..., 0], torch.inf)
        return F.one_hot(odds.argmax(-1), n).to(weights.dtype), margin

    def at(self, step: int) -> HardChoice:
        """What chooses for the query number `step` alone."""
        return (
            self if self.noise is None or len(self.noise) == 1 else HardChoice(self.hard, self.noise[step : step + 1])
        )


def chooser(hard: Hard | None, seed: int, first: int, stop: int, size: int, device: torch.device) -> Chooser | None:
    """What chooses at steps `first` to `stop`; None for soft attention.

    The noise depends on seed and step alone, so that the search and the reading of its result draw the same cells,
    whatever stands beside an image in its batch.

    Args:
        size: how many cells or channels there are to choose from, at most.

    Raises:
        ModelError: for another kind of hard attention.
    """
    if hard is None:
        return None
    if hard not in ("sample", "argmax"):
        raise ModelError(f"hard attention is sample or argmax, not {hard!r}")
    uniform = [np.random.default_rng([abs(seed), step]).random(size) for step in range(first, stop)]
    gumbel = -np.log(-np.log(np.clip(uniform, 1e-12, 1 - 1e-12)))
    return HardChoice(hard, torch.as_tensor(gumbel, dtype=torch.float32, device=device))
