"""One step of a trace, and the numbers that its weights give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnviz.photo.frame import Frame
    from attnviz.trace.arrays import Floats


@dataclass(frozen=True, eq=False)
class Step:
    """One decoding step: a token, and where the model looked for it.

    Attributes:
        index: from 0.
        token: the word or word piece, as shown.
        weights: (h, w) float32, sum 1.
        logprob: natural logarithm of the token's probability; None where it is not known.
        entropy: of the weights, in nats: 0 for a single cell, log(h * w) for all cells alike.
        effective_cells: exp(entropy), from 1 to h * w: how many cells share the attention.
        change: total variation distance to the step before, 0 (the same) to 1 (nowhere the same); None at the first.
        peak: (row, column) of the strongest cell.
        outside: the weight that lies on padding, outside the photo; 0 where the trace has no frame.
        on_image: the share of the step's whole attention that lies on the picture's cells, before they were made to
            sum to 1; None where it is not known.
    """

    index: int
    token: str
    weights: Floats
    logprob: float | None
    entropy: float
    effective_cells: float
    change: float | None
    peak: tuple[int, int]
    outside: float
    on_image: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The numbers and the token, JSON-ready, with the probability instead of its logarithm."""
        return {
            "index": self.index,
            "token": self.token,
            "probability": None if self.logprob is None else min(math.exp(self.logprob), 1.0),
            "entropy": self.entropy,
            "effective_cells": self.effective_cells,
            "change": self.change,
            "peak": list(self.peak),
            "outside": self.outside,
            "on_image": self.on_image,
        }


def steps_of(
    weights: Floats, tokens: Sequence[str], frame: Frame | None, logprobs: Floats | None, on_image: Floats | None
) -> list[Step]:
    """The steps of a trace's arrays: (T, h, w) weights, T tokens, (T,) logprobs and shares on the image."""
    entropies = [entropy(one) for one in weights]
    changes = [None, *(variation(one, before) for before, one in pairwise(weights))]
    on_padding = outside(weights, frame)
    unknown = [None] * len(tokens)
    probabilities = unknown if logprobs is None else logprobs.tolist()
    shares = unknown if on_image is None else on_image.tolist()
    return [
        Step(
            index=index,
            token=token,
            weights=weights[index],
            logprob=probabilities[index],
            entropy=max(entropies[index], 0.0),
            effective_cells=max(math.exp(entropies[index]), 1.0),
            change=changes[index],
            peak=divmod(int(weights[index].argmax()), weights.shape[2]),
            outside=float(on_padding[index]),
            on_image=shares[index],
        )
        for index, token in enumerate(tokens)
    ]


# One step after the other, for exact copies of all steps at once would take gigabytes of the largest traces.


def entropy(weights: Floats) -> float:
    """Of the weights (h, w) of a step, in nats."""
    exact = weights[weights > 0].astype(np.float64)
    return float(-(exact * np.log(exact)).sum())


def variation(weights: Floats, other: npt.NDArray[np.floating] | float) -> float:
    """Total variation distance of the weights (h, w) of a step to others: the share that would have to move."""
    return float(np.abs(weights.astype(np.float64) - other).sum() / 2)


def outside(weights: Floats, frame: Frame | None) -> npt.NDArray[np.float64]:
    """(T,): the weight of each step, (T, h, w), that lies on padding; 0 without a frame."""
    if frame is None:
        return np.zeros(len(weights))
    padding = 1 - frame.coverage()
    return np.array([(one * padding).sum() for one in weights])
