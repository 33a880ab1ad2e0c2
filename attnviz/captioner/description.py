"""What the network says of one image, before it becomes a trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
