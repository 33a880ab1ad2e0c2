"""From a tokenizer's pieces to words.

A piece's text is what it adds to the sentence: the tokenizer decodes the pieces up to it, and what is new is its text.
So nothing need be known of the tokenizer (byte-level BPE, SentencePiece, WordPiece): leading spaces and marks such as
"##" are its own business, and a character that several pieces spell belongs to the last of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from attnviz.trace.arrays import Floats, Ints

INCOMPLETE = "\ufffd"  # what a decoder writes for bytes that are no character yet
WINDOW = 64
"""Pieces that are decoded together. Decoding the whole sentence for each piece would take time by the square of its
length."""

CLOSING = frozenset(".,;:!?…)]}\"'”’»")  # ends a word and is no part of it
# Scripts that write words without spaces between them, as the characters' Unicode names begin.
UNSPACED = ("CJK", "HIRAGANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "YI SYLLABLE")
JOINERS = "\u200d\ufe0e\ufe0f"  # of emoji: zero-width joiner, text and picture style


class Pieces(NamedTuple):
    """The pieces of a sentence.

    Attributes:
        texts: what each piece adds, leading space and all; "" for a piece that only begins a character.
        words: (T,) int32, the number of the word that each piece belongs to, from 0.
    """

    texts: tuple[str, ...]
    words: Ints


def pieces_of(ids: Sequence[int], decode: Callable[[list[int]], str]) -> Pieces:
    """The texts of a tokenizer's pieces, and which pieces make a word.

    Args:
        ids: the pieces as the model wrote them, without those that end the sentence.
        decode: ids to text, such as `lambda ids: tokenizer.decode(ids, clean_up_tokenization_spaces=False)`.

    Returns:
        "".join(texts) is the text of all pieces.
    """
    texts = piece_texts(ids, decode)
    return Pieces(texts, words_of(texts))


def piece_texts(ids: Sequence[int], decode: Callable[[list[int]], str]) -> tuple[str, ...]:
    """What each piece adds to the text, by incremental decoding; arguments as for `pieces_of`."""
    ids = list(ids)
    texts: list[str] = []
    start, done = 0, ""  # the window's first piece, and the text of the window so far
    for end in range(1, len(ids) + 1):
        text = decode(ids[start:end])
        if text.endswith(INCOMPLETE) and end < len(ids):
            texts.append("")
            continue
        kept = _common(done, text)
        _cut(texts, len(done) - kept)  # a decoder may take back what it wrote, such as a space before a comma
        texts.append(text[kept:])
        done = text
        if end - start >= WINDOW and (later := _boundary(texts, start)) > start:
            start, done = later, decode(ids[later:end])
    return tuple(texts)


def words_of(texts: Sequence[str]) -> Ints:
    """(T,) int32: the number of the word that each piece belongs to, by the texts that the pieces add.

    A word begins at a space. Punctuation behind a word is a word of its own (the model looks elsewhere for it), and
    so is each piece in scripts without spaces, such as Chinese. Pieces without a text belong to the word that follows.
    """
    following = [""] * len(texts)  # the character behind each piece
    for index in range(len(texts) - 1, 0, -1):
        following[index - 1] = texts[index][:1] or following[index]
    starts = np.zeros(len(texts), np.int32)
    last = " "  # the last character so far
    waiting: int | None = None  # the first of the pieces just before that hold no more than space
    for index, text in enumerate(texts):
        if text.strip():
            if last.isspace() or text[0].isspace() or _parts(last, text, following[index]):
                starts[index if waiting is None else waiting] = 1
            waiting = None
        elif waiting is None:
            waiting = index
        last = text[-1:] or last
    starts[:1] = 1
    return np.cumsum(starts, dtype=np.int32) - np.int32(1)


def joined_texts(texts: Sequence[str], words: Ints) -> tuple[str, ...]:
    """The words that the pieces' texts make, without the spaces around them."""
    parts: list[list[str]] = [[] for _ in range(int(words[-1]) + 1 if len(words) else 0)]
    for text, word in zip(texts, words.tolist(), strict=True):
        parts[word].append(text)
    return tuple("".join(part).strip() for part in parts)


def joined_means(values: npt.NDArray[np.floating], words: Ints) -> Floats:
    """(W, ...) float32: the mean of each word's pieces, from (T, ...)."""
    counts = np.bincount(words).reshape(-1, *[1] * (values.ndim - 1))
    means: Floats = (joined_sums(values, words) / counts).astype(np.float32)
    return means


def joined_sums(values: npt.NDArray[np.floating], words: Ints) -> npt.NDArray[np.float64]:
    """(W, ...): the sum over each word's pieces, from (T, ...)."""
    starts = np.flatnonzero(np.diff(words, prepend=-1))
    return np.add.reduceat(values.astype(np.float64), starts, axis=0)


def _boundary(texts: Sequence[str], start: int) -> int:
    """The last piece in the window's first half where a character begins: bytes of one must not be torn apart."""
    middle = len(texts) - WINDOW // 2
    return next((place for place in range(middle, start, -1) if texts[place - 1]), start)


def _common(left: str, right: str) -> int:
    """The length of the common beginning."""
    if right.startswith(left):
        return len(left)
    pairs = zip(left, right, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def _cut(texts: list[str], count: int) -> None:
    """Takes the last `count` characters away."""
    for index in range(len(texts) - 1, -1, -1):
        if count <= 0:
            return
        left = max(len(texts[index]) - count, 0)
        count -= len(texts[index]) - left
        texts[index] = texts[index][:left]


def _parts(last: str, text: str, following: str) -> bool:
    """Whether a word begins at the piece `text` though there is no space between it and the character `last`."""
    if CLOSING.issuperset(text.strip()):
        return last not in CLOSING and (not following or following.isspace() or following in CLOSING)
    if last in JOINERS or text[0] in JOINERS or unicodedata.category(text[0])[0] == "M":
        return False
    return _unspaced(last) or _unspaced(text[0])


def _unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(UNSPACED)
