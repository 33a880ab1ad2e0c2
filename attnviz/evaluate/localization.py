"""Does the model look where the words are? What is measured phrase by phrase while given captions are read.

The caption is the text, and the map is the captioner's own, at the words of the phrase in their sentence, as in Liu et
al. 2017 and Ramanishka et al. 2017 (arXiv:1612.07360). Four figures, each a mean over phrases:

- correctness: attention correctness of Liu et al., AAAI 2017 (arXiv:1605.09553): the attention's mass inside the union
  of the phrase's boxes, the largest over its words.
- pointing: pointing game of Zhang et al. 2016 (arXiv:1608.00507), with these differences: the centre of the strongest
  cell of the phrase's last word lies in a box (theirs: the maximum of the map on the photo's pixels, with a tolerance
  of 15 pixels), and hits are averaged over phrases, not over classes. The protocol that phrase-grounding models are
  measured by is another; see `alone`.
- iou: of the last word's map, cut off at a share of its peak, with the union of the boxes; see `regions`.
- box accuracy: of the box around the largest part of the map that is cut off so; see `regions`.

Phrases whose boxes cover none or all of the frame say nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from attnviz.data.regions import union_cover
from attnviz.evaluate.regions import OVERLAP, SHARES, best_iou, boxes_of, overlaps, stretched

if TYPE_CHECKING:
    from attnviz.data import Caption, Record
    from attnviz.photo.frame import Frame


@dataclass(frozen=True)
class Target:
    """One phrase, and its boxes on the model's grid.

    Attributes:
        start, end: its words [start, end).
        cover: (h, w), the share of each cell inside its boxes.
        centre: (h, w), whether each cell's centre is inside one.
        boxes: (n, 4) of (y0, x0, y1, x1) in cells, not cut off at the grid.
        whole: (4,), the photo as such a box.
        types: its categories; none where the data have no such thing.
    """

    start: int
    end: int
    cover: np.ndarray
    centre: np.ndarray
    boxes: np.ndarray
    whole: np.ndarray
    types: tuple[str, ...] = ()


def targets(record: Record, caption: Caption, frame: Frame) -> list[Target]:
    """The phrases of a caption that can be measured, their boxes on the model's grid.

    Args:
        frame: of the model's own input, so that boxes lie where the model sees them.
    """
    found = []
    for phrase in caption.phrases:
        boxes = record.boxes.get(phrase.chain)
        if boxes is None or not len(boxes):
            continue
        whole = union_cover(boxes, (1, 1))[0, 0]
        if not 1e-9 < whole < 1 - 1e-9:
            continue
        cells = frame.to_cells(boxes)
        h, w = frame.grid
        y, x = np.arange(h)[:, None] + 0.5, np.arange(w)[None, :] + 0.5
        centre = np.zeros((h, w), bool)
        for y0, x0, y1, x1 in cells:
            centre |= (y0 <= y) & (y <= y1) & (x0 <= x) & (x <= x1)
        cover = union_cover(cells, frame.grid)
        photo = frame.to_cells([[0, 0, 1, 1]])[0]
        found.append(Target(phrase.start, phrase.end, cover, centre, cells, photo, phrase.types))
    return found


@dataclass
class Tally:
    """What was found for each phrase, in lists of one length.

    Attributes:
        photo: the number of its photo.
        types: its categories.
        mass, hits: correctness and pointing.
        iou, boxed: (K,), the overlap, and whether the box is right, at each of `regions.SHARES`.
    """

    photo: list[int] = field(default_factory=list)
    types: list[tuple[str, ...]] = field(default_factory=list)
    mass: list[float] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)
    iou: list[np.ndarray] = field(default_factory=list)
    boxed: list[np.ndarray] = field(default_factory=list)

    def add(self, weights: np.ndarray, phrases: Sequence[Target], photo: int = 0) -> None:
        """Counts the phrases of one caption; `weights` is (T, h, w)."""
        # A caption that was cut for length lacks its last phrases.
        phrases = [phrase for phrase in phrases if phrase.end <= len(weights)]
        if not phrases:
            return
        last = stretched(weights[[phrase.end - 1 for phrase in phrases]])
        for phrase, values, boxes in zip(phrases, last, boxes_of(last), strict=True):
            self.photo.append(photo)
            self.types.append(phrase.types)
            self.mass.append(float((weights[phrase.start : phrase.end] * phrase.cover).sum((1, 2)).max()))
            self.hits.append(float(phrase.centre.flat[weights[phrase.end - 1].argmax()]))
            self.iou.append(overlaps(values, phrase.cover))
            self.boxed.append(best_iou(boxes, phrase.boxes, phrase.whole) >= OVERLAP)

    def add_uniform(self, phrases: Sequence[Target], photo: int = 0) -> None:
        """Counts what weights that are equal everywhere reach; their pointing is that of a random cell."""
        for phrase in phrases:
            everything = np.array([[0.0, 0.0, *phrase.cover.shape]])
            self.photo.append(photo)
            self.types.append(phrase.types)
            self.mass.append(float(phrase.cover.mean()))
            self.hits.append(float(phrase.centre.mean()))
            self.iou.append(np.full(len(SHARES), phrase.cover.mean()))
            self.boxed.append(np.repeat(best_iou(everything, phrase.boxes, phrase.whole) >= OVERLAP, len(SHARES)))

    def result(self) -> dict[str, float]:
        """`correctness` and `pointing`, in [0, 1], and how many `phrases` they are means of."""
        count = len(self.mass)
        means = {"correctness": float(np.mean(self.mass)), "pointing": float(np.mean(self.hits))} if count else {}
        return {**means, "phrases": count}


def centre_weights(grid: tuple[int, int]) -> np.ndarray:
    """(h, w): a fixed Gaussian around the centre, sigma a quarter of the side, summing to 1."""
    h, w = grid
    y, x = (np.arange(h) + 0.5) / h - 0.5, (np.arange(w) + 0.5) / w - 0.5
    bump = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * 0.25**2))
    return np.asarray(bump / bump.sum())
