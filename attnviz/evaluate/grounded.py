"""F1_all and F1_loc: are the things that a network names in its own captions there, and does it look at them?

Zhou et al. 2019, "Grounded video description" (arXiv:1812.06587), as their code for Flickr30k Entities computes it. An
object word of a generated caption has a class and a box; it is compared with each of the photo's given captions:

- precision: where the given caption has the class, the word is right when its box overlaps a box of the first phrase of
  that class by more than 0.5 (intersection over union). Where it has the class in a word without a box, the word is not
  counted. Otherwise it is made up: wrong in F1_all, not counted in F1_loc.
- recall: each object word of a given caption is found when the first generated word of its class has such a box. Where
  no generated word has the class, it is missed in F1_all, and not counted in F1_loc.
- Each class has a precision and a recall; their sums over classes are divided by the number of classes in the given
  captions, and F1 = 2 precision recall / (precision + recall) is of these two means.

So F1_all judges words and places, F1_loc the places of words that are right.

What differs, since the networks and data do: the box of a word is drawn around the largest connected part of its map,
cut off at the share that suits given captions of the split best (box accuracy in `regions`), and not the most attended
of given proposals; the class of a phrase is its last word, in the singular, when such phrases have boxes in 10 photos
of the split or more, and not one of 480 that were cleaned by hand, so figures of small splits are of fewer classes.
Intervals are as in `figures`; a class of which a sample has nothing is left out of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from attnviz.evaluate.figures import Figure
from attnviz.evaluate.regions import OVERLAP, SHARES, best_iou, boxes_of, stretched
from attnviz.stats import interval, resampled

if TYPE_CHECKING:
    from attnviz.data import Caption, Record
    from attnviz.photo.frame import Frame

LEAST = 10
"""Photos in which a class needs phrases with boxes."""

IRREGULAR = {"men": "man", "women": "woman", "children": "child", "feet": "foot", "leaves": "leaf", "mice": "mouse"}
PLURAL = frozenset({"clothes", "glasses", "people", "shorts"})  # whose singular is another thing, or none

# fmt: off
NO_THING = frozenset({
    "black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow", "another",
    "each", "he", "her", "him", "it", "one", "ones", "other", "others", "outside", "she", "someone", "somebody",
    "something", "that", "them", "they", "this", "three", "two", "which", "who",
})
# fmt: on
"""Last words of phrases that name no kind of thing: "a woman in black", "two others"."""


def singular(word: str, known: Collection[str]) -> str:
    """A noun's singular, when that is a word of the data; else the word."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word not in PLURAL and not word.endswith("ss"):
        for end, instead in (("ies", "y"), ("s", ""), ("es", "")):
            if word.endswith(end) and (stem := word.removesuffix(end) + instead) in known and len(stem) > 2:
                return stem
    return word


@dataclass(frozen=True)
class Classes:
    """The classes of a split: their names, in order, and the words of the split."""

    names: tuple[str, ...]
    known: frozenset[str]

    @classmethod
    def of(cls, records: Iterable[Record], least: int = LEAST) -> Classes:
        """What the phrases with boxes name, in at least so many photos."""
        records = list(records)
        known = frozenset(word for record in records for caption in record.captions for word in caption.words)
        photos: dict[str, set[int]] = defaultdict(set)
        for number, record in enumerate(records):
            for caption in record.captions:
                for _, word, _ in _boxed(record, caption):
                    photos[singular(word, known)].add(number)
        return cls(tuple(sorted(name for name in photos if len(photos[name]) >= least and name not in NO_THING)), known)

    def of_word(self, word: str) -> str | None:
        """The class of a word; None of one that names no class."""
        name = singular(word, self.known)
        return name if name in self.names else None


def _boxed(record: Record, caption: Caption) -> Iterator[tuple[int, str, np.ndarray]]:
    """The last word of each phrase with boxes, its place first, and the boxes."""
    for phrase in caption.phrases:
        boxes = record.boxes.get(phrase.chain)
        if boxes is not None and len(boxes):
            yield phrase.end - 1, caption.words[phrase.end - 1], boxes


@dataclass
class Grounded:
    """What was found for object words: of each, its photo's number, its class's, whether it belongs to recall, whether
    its class is right (else only F1_all counts it), and (K,) whether its box is, at each of `regions.SHARES`."""

    classes: Classes
    photo: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    recall: list[bool] = field(default_factory=list)
    named: list[bool] = field(default_factory=list)
    right: list[np.ndarray] = field(default_factory=list)

    def add(self, record: Record, words: Sequence[str], weights: np.ndarray, frame: Frame, photo: int = 0) -> None:
        """Counts a photo's generated caption.

        Args:
            words: T words, as they are looked up.
            weights: (T, h, w).
        """
        said = [(name, number) for number, word in enumerate(words) if (name := self.classes.of_word(word))]
        boxes = boxes_of(stretched(weights[[number for _, number in said]])) if said else np.zeros((0, len(SHARES), 4))
        whole = frame.to_cells([[0, 0, 1, 1]])[0]
        if not any(True for caption in record.captions for _ in _boxed(record, caption)):
            return  # nobody has looked for boxes
        for caption in record.captions:
            given: list[tuple[str, np.ndarray]] = []
            places = set()
            for place, word, found in sorted(_boxed(record, caption), key=lambda one: one[0]):
                if name := self.classes.of_word(word):
                    given.append((name, frame.to_cells(found)))
                    places.add(place)
            unboxed = {self.classes.of_word(word) for place, word in enumerate(caption.words) if place not in places}
            first = dict(reversed(given))  # the first of each class
            for (name, _), box in zip(said, boxes, strict=True):
                if name in first:
                    self._count(photo, name, False, best_iou(box, first[name], whole) > OVERLAP)
                elif name not in unboxed:
                    self._count(photo, name, False, None)
            own = {name: box for (name, _), box in reversed(list(zip(said, boxes, strict=True)))}
            for name, found in given:
                hit = best_iou(own[name], found, whole) > OVERLAP if name in own else None
                self._count(photo, name, True, hit)

    def _count(self, photo: int, name: str, recall: bool, right: np.ndarray | None) -> None:
        self.photo.append(photo)
        self.kind.append(self.classes.names.index(name))
        self.recall.append(recall)
        self.named.append(right is not None)
        self.right.append(np.zeros(len(SHARES), bool) if right is None else right)

    def result(self, share: int, photos: int, seed: int = 0) -> dict[str, Figure]:
        """`F1_all`, `F1_loc`, and the `precision` and `recall` of each; empty where there is nothing to find.

        Args:
            share: which of `regions.SHARES` the maps are cut off at.
            photos: how many there are.
        """
        if not any(self.recall):
            return {}
        size = len(self.classes.names)
        place = np.asarray(self.photo) * size + np.asarray(self.kind)
        recall, named = np.asarray(self.recall), np.asarray(self.named)
        right = np.stack(self.right)[:, share]

        def per(chosen: np.ndarray) -> np.ndarray:
            """(photos, classes): how many words are chosen."""
            return np.bincount(place[chosen], minlength=photos * size).reshape(photos, size)

        counts = [
            per(chosen & side) for side in (~recall, recall) for chosen in (right, np.ones_like(named), named)
        ]  # the right ones, all, and those whose class is right; of precision, then of recall
        table = np.stack(counts, axis=1).reshape(photos, -1)
        whole = table.sum(axis=0, keepdims=True).astype(float)
        values, samples = _scores(whole, whole, size), _scores(resampled(table, seed), whole, size)
        return {name: Figure(float(values[name][0]), *interval(samples[name])) for name in values}


def _scores(sums: np.ndarray, whole: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """The figures of samples, see `Grounded.result`, from counts (n, 6 * classes); `whole` are those of all photos.

    A sample that has no word of a class to judge says nothing of it, where all photos have some: such a class is left
    out of the sample's mean. Counted as 0, it would pull intervals down, since samples lack rare classes.
    """
    every = whole.reshape(2, 3, size)
    known = every[1, 1] > 0  # classes in the given captions

    def mean(side: int, counted: int) -> np.ndarray:
        part = sums.reshape(len(sums), 2, 3, size)[:, side]
        absent = known & (every[side, counted] > 0) & (part[:, counted] == 0)
        number = np.maximum(known.sum() - absent.sum(axis=-1), 1)
        return np.asarray((part[:, 0] / np.maximum(part[:, counted], 1)).sum(axis=-1) / number)

    scores = {}
    for kind, counted in (("all", 1), ("loc", 2)):
        precision, recall = mean(0, counted), mean(1, counted)
        both = precision + recall
        scores[f"F1_{kind}"] = np.where(both > 0, 2 * precision * recall / np.where(both > 0, both, 1.0), 0.0)
        scores[f"precision_{kind}"], scores[f"recall_{kind}"] = precision, recall
    return scores
