"""A second map for each word: its attention, weighed by what the word's probability owes to it.

For word t the map is relu(a_ti * d log p(y_t) / d a_ti) over the cells i, made to sum to 1: the cells whose weight, were
it a little more, would make the word more likely. The product is the first-order share of each weight in the logarithm of
the probability. After Selvaraju et al. 2017, "Grad-CAM" (arXiv:1610.02391), on attention weights as in Chefer et al. 2021
(arXiv:2103.15679); for a channel mode the same of its channel weights, and the map is theirs on the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnviz.captioner.vocabulary import START, UNKNOWN

if TYPE_CHECKING:
    from attnviz.captioner.captioner import Captioner


def gradient_maps(model: Captioner, values: Tensor, sentences: Sequence[Sequence[int]]) -> list[Tensor]:
    """For each photo (T, N): the map of each of its words, each row summing to 1, uniform where no cell helps.

    Args:
        values: E (B, N, C).
        sentences: for each photo the numbers of its words.
    """
    steps = max(map(len, sentences))
    padded = [[START, *row, *[UNKNOWN] * (steps - len(row))] for row in sentences]
    decoder = model.decoder
    leaf: list[Tensor] = []

    def follow_here(weights: Tensor) -> Tensor:
        leaf.append(weights.detach().clone().requires_grad_())
        return leaf[-1]

    # A tensor of inference mode cannot take part in a graph, so the features are copied out of it. cuDNN's LSTM goes
    # backward in training mode alone.
    with torch.inference_mode(False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        given = torch.tensor(padded, device=values.device)
        values = values.clone()
        features = decoder.prepare(values)
        output, _ = decoder(features, decoder.start(values), given[:, :-1].unsqueeze(1), follow_here)
        logprobs = output.logits.log_softmax(-1).gather(-1, given[:, 1:].unsqueeze(-1)).squeeze(-1)  # (B, T)
        (weights,) = leaf  # (B, T, n)
        # Later words depend on earlier weights too: a word's own is the gradient of its own probability alone.
        rows = [
            torch.autograd.grad(logprobs[:, step].sum(), weights, retain_graph=True)[0][:, step]
            for step in range(steps)
        ]
        helping = torch.relu(weights.detach() * torch.stack(rows, 1))
        if output.attended.channel_weights is not None:
            helping = helping @ features.values.detach().transpose(1, 2)  # (B, T, C) @ (B, C, N)
    total = helping.sum(-1, keepdim=True)
    even = torch.full_like(helping, 1 / helping.shape[-1])
    maps = torch.where(total > 0, helping / total.clamp_min(torch.finfo(total.dtype).tiny), even)
    return [maps[photo, : len(sentence)] for photo, sentence in enumerate(sentences)]
