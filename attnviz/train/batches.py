"""Captions as arrays: what one photo teaches, and batches of photos in random order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from attnviz.captioner.vocabulary import END, PAD, START, UNKNOWN, Vocabulary
from attnviz.data.regions import union_cover

if TYPE_CHECKING:
    from attnviz.data import Caption, Record
    from attnviz.photo.frame import Frame

LONGEST = 20
"""Captions are cut here, since the longest of a batch sets its cost; 3 in a hundred of Flickr8k's are longer."""

EARLIER = 0.3
"""How much a phrase's words before the last count in the box loss: at "a" or "brown", nobody knows yet what comes."""

MIRROR = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Lesson:
    """One photo's captions.

    Attributes:
        words: (K, T + 2) int64, START ... END, padded; see `lesson` for those that start with UNKNOWN.
        thing: (K, T + 1) int64, the row of `cover` that the word to come belongs to, or -1.
        boxed: (K, T + 1) float32, how much that word counts in the box loss: 1 at a phrase's last word, `EARLIER` at
            the others, 0 outside.
        cover: (things, N) float32, share of each cell inside the thing's boxes.
    """

    words: np.ndarray
    thing: np.ndarray
    boxed: np.ndarray
    cover: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Photos and their captions, padded to one length T, which counts the words and the end.

    Attributes:
        rows: (P,) which photos.
        mirrored: whether they are mirrored.
        words: (P, K, T) int64, read by the decoder.
        pick: (P, Q) int64, the positions in K * T that hold a word or end; one with fewer is filled up with padding.
        target: (P, Q) int64, the word to come at each of them; PAD at the fill.
        inside: (P, Q, N) float32, share of each cell inside the boxes of that word's thing.
        boxed: (P, Q) float32, how much that word counts in the box loss; 0 where it has no boxes.
    """

    rows: np.ndarray
    mirrored: bool
    words: Tensor
    pick: Tensor
    target: Tensor
    inside: Tensor
    boxed: Tensor


def lesson(
    record: Record, vocabulary: Vocabulary, frame: Frame, captions: int, mirrored: bool = False, tagged: bool = True
) -> Lesson:
    """Encodes a record's captions, and its boxes as the model sees them through `frame`.

    Args:
        captions: how many; fewer are repeated.
        tagged: whether listed names begin with UNKNOWN instead of START, which keeps their style out of what the
            search finds: that always begins with START.
    """
    h, w = frame.grid
    chosen = [record.captions[i % len(record.captions)] for i in range(captions)]
    names = sorted({p.chain for caption in chosen for p in caption.phrases if len(record.boxes.get(p.chain, ()))})
    cover = np.zeros((len(names), h, w), np.float32)
    for row, chain in enumerate(names):
        cover[row] = union_cover(frame.to_cells(record.boxes[chain]), frame.grid)
    if mirrored:
        cover = cover[:, :, ::-1]
    longest = min(LONGEST, max(len(c.words) for c in chosen))
    words = np.full((captions, longest + 2), PAD)
    thing = np.full((captions, longest + 1), -1)
    boxed = np.zeros((captions, longest + 1), np.float32)
    for row, caption in enumerate(chosen):
        ids = vocabulary.encode(_mirror(caption) if mirrored else caption.words)[:LONGEST]
        first = UNKNOWN if caption.listed and tagged else START
        words[row, : len(ids) + 2] = [first, *ids, END if len(ids) == len(caption.words) else PAD]
        for phrase in caption.phrases:
            if phrase.chain in names:
                thing[row, phrase.start : min(phrase.end, len(ids))] = names.index(phrase.chain)
                boxed[row, phrase.start : min(phrase.end, len(ids))] = EARLIER
                if phrase.end <= len(ids):
                    boxed[row, phrase.end - 1] = 1
    return Lesson(words, thing, boxed, cover.reshape(len(names), h * w))


def _mirror(caption: Caption) -> list[str]:
    return [MIRROR.get(word, word) for word in caption.words]


def collate(lessons: Sequence[Lesson], rows: np.ndarray, mirrored: bool) -> Batch:
    """Pads the lessons of photos `rows` to one length."""
    chosen = [lessons[row] for row in rows]
    k, cells = chosen[0].words.shape[0], chosen[0].cover.shape[1]
    longest = max(one.thing.shape[1] for one in chosen)
    words = np.full((len(rows), k, longest + 1), PAD)
    thing = np.full((len(rows), k, longest), -1)
    boxed = np.zeros((len(rows), k, longest), np.float32)
    for i, one in enumerate(chosen):
        words[i, :, : one.words.shape[1]] = one.words
        thing[i, :, : one.thing.shape[1]] = one.thing
        boxed[i, :, : one.thing.shape[1]] = one.boxed
    target, thing, boxed = (x.reshape(len(rows), -1) for x in (words[..., 1:], thing, boxed))
    real = target != PAD
    pick = np.argsort(~real, axis=1, kind="stable")[:, : real.sum(1).max()]
    target, thing, boxed = (np.take_along_axis(x, pick, 1) for x in (target, thing, boxed))
    inside = np.zeros((*target.shape, cells), np.float32)
    for i, one in enumerate(chosen):
        inside[i, thing[i] >= 0] = one.cover[thing[i][thing[i] >= 0]]
    arrays = (words[..., :-1].copy(), pick, target, inside, boxed)
    return Batch(rows, mirrored, *(torch.from_numpy(array) for array in arrays))


def batches(
    lessons: dict[bool, list[Lesson]], order: np.ndarray, photos: int, rng: np.random.Generator | None = None
) -> Iterator[Batch]:
    """The photos of `order`, `photos` at a time; each batch mirrored or not by a coin.

    Args:
        lessons: mirrored -> one lesson per photo; without mirrored ones there is no coin.
        rng: throws the coin; None for none.
    """
    for start in range(0, len(order), photos):
        mirrored = True in lessons and rng is not None and bool(rng.random() < 0.5)
        yield collate(lessons[mirrored], np.sort(order[start : start + photos]), mirrored)
