"""What a sampled caption is worth beside its photo's references, for self-critical training.

The reward is the caption's share in corpus BLEU-4 (Papineni et al. 2002) plus `CIDER_SHARE` times its CIDEr-D
(Vedantam et al. 2015, arXiv:1411.5726, without its factor of ten). BLEU alone is content with what is true of most
photos; CIDEr weighs n-grams by how few photos have them. Both count the end as a word, or else a caption may break off
("a man in a").

Why not the BLEU of each sentence: it must be smoothed, which favours short sentences, and its brevity penalty is
content with the shortest reference. Trained on that, captions shrank from 10.8 words to 7.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ORDERS = 4
SIGMA = 6.0
"""CIDEr-D: standard deviation, in words, of the Gaussian by which sentences of other lengths count less."""

CIDER_SHARE = 20.0
"""Over a photo's samples, BLEU shares vary by 1.5, and CIDEr-D (without its factor) by 0.02: a quarter of that."""

LEAST_HITS = 0.05
"""Floor of the mean number of matched n-grams a sentence, so that the first 4-gram found is not worth the world."""

Words = Sequence[int]
Grams = tuple[int, ...]


def ngrams(words: Words) -> list[Counter[Grams]]:
    """How often each 1-, 2-, 3- and 4-gram occurs."""
    return [
        Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1)) for order in range(1, ORDERS + 1)
    ]


@dataclass(frozen=True)
class Reference:
    """One reference: its length, and per order the TF-IDF vector and its norm."""

    length: int
    vectors: list[dict[Grams, float]]
    norms: list[float]


@dataclass(frozen=True)
class References:
    """All references of a photo; `most` is, per order, how often an n-gram occurs in the one that has most of it."""

    most: list[Counter[Grams]]
    each: list[Reference]


@dataclass(frozen=True)
class Matches:
    """What corpus BLEU counts of one sentence: per order the n-grams matched (clipped) and all of them, its length, and
    that of the reference whose length is closest."""

    hits: tuple[int, ...]
    totals: tuple[int, ...]
    length: int
    closest: int


class Reward:
    """Scores captions, given as word numbers with the end.

    Args:
        corpus: the references of every training photo, which decide how rare an n-gram is.
    """

    def __init__(self, corpus: Sequence[Sequence[Words]]) -> None:
        self.photos = len(corpus)
        self.found: Counter[Grams] = Counter()
        for references in corpus:
            self.found.update({gram for words in references for counts in ngrams(words) for gram in counts})

    def read(self, references: Sequence[Words]) -> References:
        """Prepares a photo's references."""
        counted = [ngrams(words) for words in references]
        most = [Counter[Grams]() for _ in range(ORDERS)]
        for counts in counted:
            for all_of_order, here in zip(most, counts, strict=True):
                all_of_order |= here  # in place: the larger count of each
        each = []
        for words, counts in zip(references, counted, strict=True):
            vectors = [self._vector(here) for here in counts]
            each.append(Reference(len(words), vectors, [_norm(vector) for vector in vectors]))
        return References(most, each)

    def __call__(self, captions: Sequence[Sequence[Words]], references: Sequence[References]) -> np.ndarray:
        """Rewards (P, K) of K captions for each of P photos, together: BLEU is a corpus's."""
        counted = [[ngrams(words) for words in row] for row in captions]
        pairs = [
            (len(words), counts, known)
            for row, grams, known in zip(captions, counted, references, strict=True)
            for words, counts in zip(row, grams, strict=True)
        ]
        share = bleu_shares([matches(*pair) for pair in pairs])
        rare = np.array([self.cider(*pair) for pair in pairs])
        return (share + CIDER_SHARE * rare).reshape(len(captions), -1)

    def cider(self, length: int, counts: list[Counter[Grams]], references: References) -> float:
        """CIDEr-D in [0, 1] of a sentence of `length` words with these n-grams."""
        total = 0.0
        vectors = [self._vector(here) for here in counts]
        norms = [_norm(vector) for vector in vectors]
        for one in references.each:
            near = math.exp(-((length - one.length) ** 2) / (2 * SIGMA**2))
            for vector, norm, theirs, their_norm in zip(vectors, norms, one.vectors, one.norms, strict=True):
                if norm and their_norm:
                    shared = sum(min(v, theirs[g]) * theirs[g] for g, v in vector.items() if g in theirs)
                    total += near * shared / (norm * their_norm)
        return total / (ORDERS * len(references.each))

    def _vector(self, counts: Counter[Grams]) -> dict[Grams, float]:
        whole = math.log(max(self.photos, 1))
        return {gram: count * (whole - math.log(max(self.found[gram], 1))) for gram, count in counts.items()}


def _norm(vector: dict[Grams, float]) -> float:
    return math.sqrt(sum(value * value for value in vector.values()))


def matches(length: int, counts: list[Counter[Grams]], references: References) -> Matches:
    """What BLEU counts of a sentence of `length` words with these n-grams."""
    hits = (
        sum(min(count, most[gram]) for gram, count in here.items())
        for here, most in zip(counts, references.most, strict=True)
    )
    closest = min((abs(one.length - length), one.length) for one in references.each)[1]
    return Matches(tuple(hits), tuple(max(length - order, 0) for order in range(ORDERS)), length, closest)


def bleu_shares(sentences: Sequence[Matches]) -> np.ndarray:
    """How much each sentence adds to the logarithm of their corpus BLEU-4, to first order; they sum to 0.

    log BLEU = sum_n (log H_n - log T_n) / 4 + min(0, 1 - R / L), with H_n hits, T_n n-grams, L words and R words of the
    closest references, each summed over the corpus. The share is its derivative by the sentence's weight in these sums,
    times the number of sentences.
    """
    hits = np.array([one.hits for one in sentences], float)  # (S, 4)
    totals = np.array([one.totals for one in sentences], float)
    length = np.array([one.length for one in sentences], float)
    closest = np.array([one.closest for one in sentences], float)
    most, every = np.maximum(hits.mean(0), LEAST_HITS), np.maximum(totals.mean(0), 1)
    share = (hits / most - totals / every).sum(1) / ORDERS
    if length.mean() < closest.mean():
        share += (closest.mean() * length / length.mean() - closest) / length.mean()
    return np.asarray(share)
