"""What a sampled caption is worth beside its photo's references, for self-critical training.

The reward is BLEU-4 of the sentence (Papineni et al. 2002; orders above one smoothed by adding one, Lin & Och 2004)
plus `CIDER_SHARE` times CIDEr-D (Vedantam et al. 2015, arXiv:1411.5726, without its factor of ten). BLEU alone is
content with what is true of most photos; CIDEr weighs n-grams by how few photos have them. Both count the end as a
word, or else a caption may break off ("a man in a").
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ORDERS = 4
SIGMA = 6.0
"""CIDEr-D: standard deviation, in words, of the Gaussian by which sentences of other lengths count less."""

CIDER_SHARE = 4.0
"""Makes the two parts vary about alike over samples: CIDEr-D without its factor of ten is small, 0.05 on average."""

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

    def __call__(self, words: Words, references: References) -> float:
        """BLEU-4 + CIDER_SHARE * CIDEr-D of one caption; from 0 to 1 + CIDER_SHARE."""
        counts = ngrams(words)
        return self.bleu(len(words), counts, references) + CIDER_SHARE * self.cider(len(words), counts, references)

    def bleu(self, length: int, counts: list[Counter[Grams]], references: References) -> float:
        """BLEU-4 in [0, 1] of a sentence of `length` words with these n-grams."""
        logarithm = 0.0
        for order, (here, most) in enumerate(zip(counts, references.most, strict=True)):
            smooth = 1 if order else 0
            hits = sum(min(count, most[gram]) for gram, count in here.items()) + smooth
            if hits == 0:
                return 0.0
            logarithm += math.log(hits / (max(length - order, 0) + smooth)) / ORDERS
        closest = min((abs(one.length - length), one.length) for one in references.each)[1]
        return math.exp(logarithm + min(0.0, 1 - closest / length))

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
