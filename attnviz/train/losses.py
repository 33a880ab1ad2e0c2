"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.captioner.vocabulary import PAD

LEAST_MASS = 1e-4
"""Floor of the mass inside the boxes, so that a lost cause does not rule the gradient."""

LEAST_WEIGHT = 1e-8
"""Floor of one cell's weight where its logarithm is taken."""


def word_loss(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the words to come, in nats; `target` (..., T) with PAD where there is none."""
    return F.cross_entropy(logits.flatten(0, -2), target.flatten(), ignore_index=PAD, label_smoothing=smoothing)


def box_loss(weights: Tensor, inside: Tensor, boxed: Tensor, power: float = 0.0, spread: float = 0.0) -> Tensor:
    """Weighted mean of -log m, or of (1 - m^q) / q, over the words with boxes; 0 where there are none.

    m = sum_i a_i r_i is the attention's mass in the word's boxes, r_i being the share of cell i inside their union, as
    attention correctness counts it (Liu et al. 2017, "Attention correctness in neural image captioning"). With q = 1
    the loss is 1 - m, the measure itself; -log m is its limit for q -> 0, which cares most for the hopeless cases
    (generalised cross-entropy, Zhang & Sabuncu 2018, arXiv:1805.07836).

    Both are content with all of the mass in a single cell of a large thing. `spread` times the Kullback-Leibler
    divergence of the weights inside, a_i / m, from those of an even look at all of it, u_i = r_i / sum(r), asks for
    more. With q = 0 and spread 1 the sum is the cross-entropy -sum_i u_i log a_i of Liu et al., less log sum(r).

    Args:
        weights: (..., N), each row summing to 1.
        inside: (..., N) in [0, 1].
        boxed: (...) how much each word counts, 0 for one without boxes.
        power: q, from 0 to 1.
        spread: weight of the divergence; 0 leaves it out.
    """
    there = boxed > 0
    if not bool(there.any()):
        return weights.new_zeros(())
    weights, inside = weights[there], inside[there]
    mass = (weights * inside).sum(-1).clamp_min(LEAST_MASS)
    losses = (1 - mass**power) / power if power else -torch.log(mass)
    if spread:
        losses = losses + spread * _unevenness(weights, inside, mass)
    return (losses * boxed[there]).sum() / boxed.sum()


def _unevenness(weights: Tensor, inside: Tensor, mass: Tensor) -> Tensor:
    """KL(u || a / m) inside the boxes, in nats, see `box_loss`: (K, N), (K, N) and (K,) to (K,)."""
    # r cancels out of u_i / (a_i r_i / m), so no cell outside needs a logarithm of 0.
    whole = inside.sum(-1)
    return mass.log() - whole.log() - (inside * weights.clamp_min(LEAST_WEIGHT).log()).sum(-1) / whole


def even_loss(weights: Tensor, boxed: Tensor, real: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence, in nats, of the attention from an even look at all cells, sum_i a_i log(N a_i),
    over the words that have no boxes, in photos that have some; 0 where there are none.

    Nothing tells the attention where to lie at "is" or "through", and without this it may settle on any one cell. In a
    photo without boxes, even a word that names a thing has none, so nothing is asked of it.

    Args:
        weights: (P, Q, N), each row summing to 1.
        boxed: (P, Q), above 0 for words with boxes.
        real: (P, Q), whether there is a word at all.
    """
    there = boxed > 0
    loose = weights[real & ~there & there.any(-1, keepdim=True)]
    if not len(loose):
        return weights.new_zeros(())
    return (loose * (loose.clamp_min(LEAST_WEIGHT) * loose.shape[-1]).log()).sum(-1).mean()


def critical_loss(logits: Tensor, drawn: Tensor, advantage: Tensor) -> Tensor:
    """REINFORCE over sampled words: -mean of advantage * log p(word), over all words drawn.

    Args:
        logits: (B, K, T, V).
        drawn: (B, K, T) word numbers, PAD after the end.
        advantage: (B, K), how much better each sentence is than what is expected of the image.
    """
    logprobs = -F.cross_entropy(logits.flatten(0, -2), drawn.flatten(), ignore_index=PAD, reduction="none")
    return -(logprobs.view(drawn.shape).sum(-1) * advantage).sum() / (drawn != PAD).sum()


def advantages(rewards: Tensor) -> Tensor:
    """Each reward (B, K) less the mean of the image's others: the baseline of Luo 2020 (arXiv:2003.09971) for
    self-critical training (Rennie et al. 2017, arXiv:1612.00563), which needs no greedy search."""
    k = rewards.shape[-1]
    return (rewards - rewards.mean(-1, keepdim=True)) * (k / (k - 1))
