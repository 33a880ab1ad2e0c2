"""A second map for each word: its attention, weighed by what the word's probability owes to it.

For word t the map is relu(a_ti * d log p(y_t) / d a_ti) over the cells i, made to sum to 1: the cells whose weight,
were it a little more, would make the word more likely. The product is the first-order share of each weight in the
logarithm of the probability. After Selvaraju et al. 2017, "Grad-CAM" (arXiv:1610.02391), on attention weights as in
Chefer et al. 2021 (arXiv:2103.15679); for a channel mode the same of its channel weights, and the map is theirs on the
grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnviz.captioner.vocabulary import START

if TYPE_CHECKING:
    from attnviz.captioner.decoder import WordDecoder


def gradient_map(decoder: WordDecoder, values: Tensor, sentence: Sequence[int]) -> Tensor:
    """(T, N): the map of each word of one image, each row summing to 1, uniform where no cell helps.

    Args:
        values: E (1, N, C).
        sentence: the numbers of its words, at least one.
    """
    leaf: list[Tensor] = []

    def follow_here(weights: Tensor) -> tuple[Tensor, Tensor]:
        leaf.append(weights.detach().clone().requires_grad_())
        return leaf[-1], weights.new_full(weights.shape[:-1], torch.inf)  # nothing was chosen, so nothing was close

    # A tensor of inference mode cannot take part in a graph, so the features are copied out of it. cuDNN's LSTM goes
    # backward in training mode alone.
    with torch.inference_mode(False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        values = values.clone()
        before = torch.tensor([[[START, *sentence[:-1]]]], device=values.device)
        target = torch.tensor(sentence, device=values.device).unsqueeze(-1)
        features = decoder.prepare(values)
        output, _ = decoder(features, decoder.start(values), before, follow_here)
        logprobs = output.logits[0].log_softmax(-1).gather(-1, target).squeeze(-1)  # (T,)
        # Later words depend on earlier weights too: a word's own map is of its own probability and its own weights. A
        # decoder that goes word by word asks for its weights a word at a time.
        rows = []
        for step, logprob in enumerate(logprobs):
            weights = leaf[0] if len(leaf) == 1 else leaf[step]  # (1, T, n), or (1, 1, n)
            own = step if len(leaf) == 1 else 0
            (slope,) = torch.autograd.grad(logprob, weights, retain_graph=True)
            rows.append(torch.relu(weights[0, own].detach() * slope[0, own]))
        helping = torch.stack(rows)
        if output.attended.channel_weights is not None:
            helping = helping @ features.values.detach()[0].T  # (T, C) @ (C, N)
    total = helping.sum(-1, keepdim=True)
    even = torch.full_like(helping, 1 / helping.shape[-1])
    return torch.where(total > 0, helping / total.clamp_min(torch.finfo(total.dtype).tiny), even)
