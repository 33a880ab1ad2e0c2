"""Words and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from attnviz.data.words import normalise
from attnviz.errors import ModelError
from attnviz.files import composed

PAD, START, END, UNKNOWN = range(4)
SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")


@dataclass(frozen=True)
class Vocabulary:
    """All words a model knows; the first four are `SPECIAL`."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[: len(SPECIAL)] != SPECIAL or len(set(self.words)) != len(self.words):
            raise ModelError(f"a vocabulary starts with {' '.join(SPECIAL)} and names each word once")

    @classmethod
    def build(cls, sentences: Iterable[Iterable[str]], minimum: int = 5) -> Vocabulary:
        """All normalised words that occur at least `minimum` times, most frequent first, ties by the alphabet."""
        counts = Counter(word for sentence in sentences for token in sentence if (word := normalise(token)))
        kept = sorted((-count, word) for word, count in counts.items() if count >= minimum)
        return cls((*SPECIAL, *(word for _, word in kept)))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def __contains__(self, word: str) -> bool:
        return self._numbers.get(word, PAD) > UNKNOWN

    def encode(self, words: Iterable[str]) -> list[int]:
        """Numbers of normalised words; `UNKNOWN` for one that is not in the vocabulary, or that is a special one."""
        return [number if (number := self._numbers.get(word, UNKNOWN)) > UNKNOWN else UNKNOWN for word in words]

    def numbers(self, words: Iterable[str]) -> list[int]:
        """As `encode`, of words that the network wrote: the special ones, which it may, have their own numbers."""
        return [self._numbers.get(word, UNKNOWN) for word in words]

    def decode(self, numbers: Sequence[int]) -> list[str]:
        """Words of numbers, up to the first `END`; `START` and `PAD` are left out."""
        words = []
        for number in numbers:
            if number == END:
                break
            if number not in (PAD, START):
                words.append(self.words[number])
        return words

    def split(self, text: str) -> list[tuple[str, str]]:
        """Given words as (typed, looked up) pairs.

        White space separates; what holds no letter or digit is dropped, unless it is a word of the vocabulary, as in
        those of others; so are capitals kept where it has them. Punctuation around a word stays with the typed form and
        is ignored in the look-up, unless the vocabulary has the word with it. A special word is one that it has not.
        """
        pairs = []
        for typed in composed(text).split():
            word = typed if typed in self else normalise(typed)
            if not word:
                continue
            bare = word.strip("".join(c for c in word if not c.isalnum()))
            found = word if word in self or bare not in self else bare
            pairs.append((typed, SPECIAL[UNKNOWN] if found in SPECIAL else found))
        return pairs
