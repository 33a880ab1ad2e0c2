"""The pointing game as phrase-grounding models are measured by it: the phrase alone is the text.

The protocol is that of the evaluation code of AMC (Yang et al. 2023, arXiv:2206.15462), with which SynGround (He et al.
2024, arXiv:2403.13804) compares itself: for each phrase that has boxes, the phrase alone is the text, the map (the mean
over its words) is brought onto the photo's own pixels, and it is a hit when the first pixel of the largest value lies
strictly inside any of the phrase's boxes. No tolerance; phrases whose boxes cover the whole frame count; every mention
counts, so that "a man" in three captions counts three times; the figure is the share of hits.

What the protocols of the field say otherwise:

- Zhang et al. 2016 (arXiv:1608.00507), whose pointing game this is: one map for a class and a photo, a tolerance of 15
  pixels around the point, the mean over classes.
- Akbari et al. 2019 (arXiv:1811.11683), by their code: the whole caption is the text, the map is the mean of the words'
  of the phrase, a point on a box's edge counts, and phrases whose boxes span less than 5 % of the photo are left out.
- Ramanishka et al. 2017 (arXiv:1612.07360) and Liu et al. 2017 (arXiv:1605.09553): given captions, a captioner's own
  maps. Those are what `localization` measures.

Where this differs from AMC's code: the map is the captioner's attention, not a gradient's; it is interpolated
bilinearly (as Akbari et al. do), not bicubically; what the network did not see of a photo cannot be pointed at; the
phrase is given as the split's words. A captioner never learned from bare phrases, so it is at a disadvantage here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from attnviz.data import Phrase, Record
    from attnviz.photo.frame import Frame

PIXELS = 2**22
"""Pixels that maps are brought onto at a time, which bounds the memory."""


@dataclass(frozen=True)
class Query:
    """One mention of a thing with boxes: its words, and what the boxes hold of the photo's (H, W) pixels."""

    text: str
    types: tuple[str, ...]
    inside: np.ndarray


def queries(record: Record, size: tuple[int, int]) -> list[Query]:
    """Every phrase of a record that has boxes.

    Args:
        size: (H, W) of the original photo in pixels.
    """
    masks: dict[str, np.ndarray] = {}

    def of(phrase: Phrase) -> np.ndarray:
        if phrase.chain not in masks:
            masks[phrase.chain] = pixels_inside(record.boxes[phrase.chain], size)
        return masks[phrase.chain]

    return [
        Query(" ".join(caption.words[phrase.start : phrase.end]), phrase.types, of(phrase))
        for caption in record.captions
        for phrase in caption.phrases
        if len(record.boxes.get(phrase.chain, ()))
    ]


def pixels_inside(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the pixels strictly inside any of `boxes`, (n, 4) of (y0, x0, y1, x1) as fractions of the photo.

    A pixel is its row and column, counted from 0, as in the code that the protocol comes from. Edges are taken to a
    tenth of a pixel, which undoes the rounding of fractions.
    """
    y, x = np.arange(size[0])[:, None], np.arange(size[1])[None, :]
    inside = np.zeros(size, bool)
    for y0, x0, y1, x1 in np.round(np.asarray(boxes, float) * (*size, *size), 1):
        inside |= ((y0 < y) & (y < y1)) & ((x0 < x) & (x < x1))
    return inside


def points(maps: Sequence[np.ndarray], frame: Frame, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The (row, column) of the first largest pixel of each map (h, w), brought onto (H, W) pixels of the photo."""
    step = max(1, PIXELS // (size[0] * size[1]))
    for start in range(0, len(maps), step):
        for values in frame.upsample(np.stack(maps[start : start + step]), size):
            row, column = np.unravel_index(int(np.nanargmax(values)), size)
            yield int(row), int(column)


@dataclass
class Alone:
    """What was found for each phrase, in lists of one length: its photo's number, its categories, and hits."""

    photo: list[int] = field(default_factory=list)
    types: list[tuple[str, ...]] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)

    def add(self, asked: Sequence[Query], where: Sequence[tuple[int, int]], photo: int = 0) -> None:
        """Counts phrases of a photo, each with the point that was found for it."""
        for query, point in zip(asked, where, strict=True):
            self._count(query, float(query.inside[point]), photo)

    def add_uniform(self, asked: Sequence[Query], photo: int = 0) -> None:
        """Counts what a random pixel reaches: the share of pixels inside."""
        for query in asked:
            self._count(query, float(query.inside.mean()), photo)

    def add_centre(self, asked: Sequence[Query], photo: int = 0) -> None:
        """Counts what the pixel in the middle reaches."""
        for query in asked:
            height, width = query.inside.shape
            self._count(query, float(query.inside[height // 2, width // 2]), photo)

    def _count(self, query: Query, hit: float, photo: int) -> None:
        self.photo.append(photo)
        self.types.append(query.types)
        self.hits.append(hit)
