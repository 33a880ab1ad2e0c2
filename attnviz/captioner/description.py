"""What the network says of one image, before it becomes a trace: a sentence read over it, all steps at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from attnviz.captioner.gradient import gradient_map
from attnviz.captioner.vocabulary import START, UNKNOWN
from attnviz.network import Guesses

if TYPE_CHECKING:
    from torch import Tensor

    from attnviz.captioner.decoder import Output, WordDecoder
    from attnviz.captioner.hard import Chooser
    from attnviz.captioner.vocabulary import Vocabulary

Words = list[tuple[str, str]]
"""A sentence as pairs: the word as shown, and the form it is looked up in."""


@dataclass(frozen=True)
class Description:
    """What the network says of one image, and where it looked; T words, all arrays float32.

    Attributes:
        tokens: the words, as generated or as typed.
        unknown: which of the given words the network saw as unknown.
        logprobs: (T,), natural logarithm of each word's probability.
        weights: (T, h, w), each step summing to 1.
        scores: (T, h, w), before softmax; None for the channel modes.
        channel_weights: (T, C) of the channel modes, else None.
    """

    tokens: tuple[str, ...]
    unknown: tuple[str, ...]
    logprobs: np.ndarray
    weights: np.ndarray
    scores: np.ndarray | None
    channel_weights: np.ndarray | None

    @classmethod
    def empty(cls, grid: tuple[int, int]) -> Description:
        """Of a sentence that ended before its first word."""
        return cls((), (), np.zeros(0, np.float32), np.zeros((0, *grid), np.float32), None, None)


@torch.inference_mode()
def read(
    decoder: WordDecoder,
    vocabulary: Vocabulary,
    grid: tuple[int, int],
    values: Tensor,
    words: Words,
    choose: Chooser | None = None,
    temperature: float = 1.0,
) -> list[Description]:
    """Reads `words` over each image of E (B, N, C) (with kinds of things, C + K), N = h * w of the grid.

    Args:
        choose: makes the attention hard.
        temperature: the scores of the words are divided by it before they become probabilities.
    """
    if not words:
        return [Description.empty(grid)] * len(values)
    ids = vocabulary.numbers(looked_up for _, looked_up in words)
    output = _follow(decoder, values, ids, choose)
    target = torch.tensor(ids, device=values.device).unsqueeze(-1)
    attended = output.attended

    def one(image: int) -> Description:
        likely = output.logits[image].div(temperature).log_softmax(-1)
        return Description(
            tokens=tuple(typed for typed, _ in words),
            unknown=tuple(typed for (typed, _), number in zip(words, ids, strict=True) if number == UNKNOWN),
            logprobs=_array(likely.gather(-1, target).squeeze(-1)),
            weights=_array(attended.weights[image].reshape(-1, *grid)),
            scores=None if attended.scores is None else _array(attended.scores[image].reshape(-1, *grid)),
            channel_weights=None if attended.channel_weights is None else _array(attended.channel_weights[image]),
        )

    return [one(image) for image in range(len(values))]


@torch.inference_mode()
def guess(
    decoder: WordDecoder, vocabulary: Vocabulary, values: Tensor, words: Words, temperature: float = 1.0
) -> Guesses:
    """How sure the network was of each of `words` over one image's E (1, N, C); see `Guesses`."""
    ids = vocabulary.numbers(looked_up for _, looked_up in words)
    logits = _follow(decoder, values, ids).logits[0]
    likeliest = logits.argmax(-1)
    right = likeliest == torch.tensor(ids, device=values.device)
    sure = [_array((logits / t).softmax(-1).amax(-1)).astype(np.float64) for t in (temperature, 1.0)]
    return Guesses(np.asarray(right.cpu().numpy()), *sure)


def _follow(decoder: WordDecoder, values: Tensor, ids: list[int], choose: Chooser | None = None) -> Output:
    """What the decoder makes of a sentence's words over E (B, N, C), all steps at once: logits (B, T, V)."""
    before = torch.tensor([START, *ids[:-1]], device=values.device).expand(len(values), 1, -1)  # (B, 1, T)
    output: Output = decoder(decoder.prepare(values), decoder.start(values), before, choose)[0]
    return output


def with_gradient(
    found: Description, decoder: WordDecoder, vocabulary: Vocabulary, values: Tensor, words: Words
) -> Description:
    """What `read` found, its maps being those of `gradient.gradient_map`; they have no scores and no channels."""
    if not words:
        return found
    maps = gradient_map(decoder, values, vocabulary.numbers(looked_up for _, looked_up in words))
    return replace(found, weights=_array(maps).reshape(found.weights.shape), scores=None, channel_weights=None)


def _array(tensor: Tensor) -> np.ndarray:
    return np.asarray(tensor.float().cpu().numpy())
