"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.model.vocabulary import PAD

LEAST_MASS = 1e-4
"""Floor of the mass inside the boxes, so that a lost cause does not rule the gradient."""


def word_loss(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the words to come, in nats; `target` (..., T) with PAD where there is none."""
    return F.cross_entropy(logits.flatten(0, -2), target.flatten(), ignore_index=PAD, label_smoothing=smoothing)


def box_loss(weights: Tensor, inside: Tensor, boxed: Tensor) -> Tensor:
    """Mean of -log(sum_i a_i r_i) over the words with boxes; 0 where there are none.

    r_i is the share of cell i inside the union of the word's boxes: the attention's mass in the boxes, as attention
    correctness counts it (Liu et al. 2017, "Attention correctness in neural image captioning").

    Args:
        weights: (..., N), each row summing to 1.
        inside: (..., N) in [0, 1].
        boxed: (...) bool.
    """
    if not bool(boxed.any()):
        return weights.new_zeros(())
    mass = (weights[boxed] * inside[boxed]).sum(-1)
    return -torch.log(mass.clamp_min(LEAST_MASS)).mean()
