"""Is a word as likely as the network says? The expected calibration error of its likeliest words.

Guo et al. 2017, "On calibration of modern neural networks" (arXiv:1706.04599): given captions are read, and at every
word the network's own likeliest one is compared with it. Of the words that it gave a probability between 0.3 and 0.4,
about 0.35 should be the given ones; the error is the mean distance, bins weighed by how many words are in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from attnviz.network import Asked, Guesser, Guesses

if TYPE_CHECKING:
    from attnviz.data import Record
    from attnviz.network import Network, Prepared

BINS = 10


def expected_error(probability: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """sum_b n_b / n * |mean probability in b - share of right ones in b|, over bins b = (k / bins, (k + 1) / bins].

    Args:
        probability: (n,) in [0, 1]; at least one.
        right: (n,) bool.
    """
    bin_of = np.clip(np.ceil(probability * bins).astype(int) - 1, 0, bins - 1)
    # n_b cancels: the distance of the sums is n_b times that of the means.
    apart = np.bincount(bin_of, probability, bins) - np.bincount(bin_of, right.astype(float), bins)
    return float(np.abs(apart).sum() / len(probability))


class Calibration:
    """What a network thought of given words, gathered photo by photo."""

    def __init__(self, network: Network) -> None:
        self._network = network if isinstance(network, Guesser) else None
        self._found: list[Guesses] = []

    def add(self, record: Record, prepared: Prepared) -> None:
        """Reads all captions of one photo."""
        texts = tuple(" ".join(caption.words) for caption in record.captions if caption.words)
        if self._network is not None and texts:
            self._found += self._network.guesses([prepared] * len(texts), Asked(texts))

    def result(self) -> dict[str, float]:
        """See `Report.calibration`."""
        return summary(self._found, self._network.temperature) if self._network and self._found else {}


def summary(found: Iterable[Guesses], temperature: float) -> dict[str, float]:
    """`error` and `uncalibrated error`, over the number of `words`, and the `temperature` that tells them apart."""
    right, probability, raw = (np.concatenate(part) for part in zip(*found, strict=True))
    return {
        "error": expected_error(probability, right),
        "uncalibrated error": expected_error(raw, right),
        "temperature": temperature,
        "words": len(right),
    }
