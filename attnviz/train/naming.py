"""Does a sampled caption name what is there, and nothing that is not? For self-critical training on photos that come
with a list of objects: n-grams hardly tell a cow from a horse, and a photo without captions has none to share.

The kind of reward is that of CHAIR (Rohrbach et al. 2018, "Object hallucination in image captioning",
arXiv:1809.02156), turned into points for a sentence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from attnviz.captioner.vocabulary import UNKNOWN
from attnviz.data.things import AMBIGUOUS, PEOPLE, PERSON, names_of

if TYPE_CHECKING:
    from attnviz.captioner.vocabulary import Vocabulary

Words = Sequence[int]


class Naming:
    """Points for naming things: 1 where a caption names one that is there, -1 for each kind that is not.

    Args:
        vocabulary: in whose numbers captions are given.
        objects: per photo, the names of all the things in it; none where nobody has listed them. "There" is the kinds
            that occur in any list. People are wrong where the list has no person, and never earn the point.
    """

    def __init__(self, vocabulary: Vocabulary, objects: Sequence[Sequence[str]]) -> None:
        self.objects = [frozenset(things) for things in objects]
        meant: dict[tuple[int, ...], set[str]] = defaultdict(set)
        for kind in sorted(frozenset().union(*self.objects)):
            for form in names_of(kind) | ({(word,) for word in PEOPLE} if kind == PERSON else set()):
                numbers = tuple(vocabulary.encode(form))
                if UNKNOWN not in numbers:
                    meant[numbers].add(kind)
        self.meant = {form: frozenset(kinds) for form, kinds in meant.items()}
        self.longest = max(map(len, self.meant), default=0)
        # They may be right, never wrong.
        self.lenient = {tuple(vocabulary.encode(form)) for form in AMBIGUOUS}

    def __call__(self, captions: Sequence[Sequence[Words]], rows: Sequence[int]) -> np.ndarray:
        """Points (P, K) of K captions for each photo `rows` (P); 0 for those without a list."""
        points = [
            [self.points(words, self.objects[row]) for words in photo]
            for photo, row in zip(captions, rows, strict=True)
        ]
        return np.array(points, float)

    def points(self, words: Words, things: frozenset[str]) -> float:
        """Of one caption, as word numbers."""
        if not things:
            return 0.0
        right, wrong = False, set()
        for form, kinds in self.found(words):
            if kinds & things:
                right |= bool(kinds & things - {PERSON})
            elif form not in self.lenient:
                wrong.add(kinds)
        return float(right) - len(wrong)

    def found(self, words: Words) -> list[tuple[tuple[int, ...], frozenset[str]]]:
        """The forms in a caption, each with the kinds that it may mean; the longest first: a hot dog is no dog."""
        found, at = [], 0
        while at < len(words):
            for length in range(min(self.longest, len(words) - at), 0, -1):
                form = tuple(words[at : at + length])
                if form in self.meant:
                    found.append((form, self.meant[form]))
                    at += length - 1
                    break
            at += 1
        return found
