"""Do focused maps mean right words? People read focus as trust; here is what it is worth on captions of known photos.

Of the words that a network wrote itself:

- An object word names a class of things: the last words of phrases with boxes in 10 photos of the split or more, in the
  singular (`grounded.Classes`), or a name of one of COCO's 80 things where the split lists objects (`data.things`).
- It is right when a caption that a person gave the photo has a word of that class, or a word that names the same thing
  of the 80 ("bike" for "bicycle"), or when the photo's list of objects has the thing. So a "man" whom all five people
  called a "person" is wrong: this is agreement with people, not truth.
- Any other content word is right when one of these captions has it, in singular or plural. Function words are in nearly
  every caption: they are not counted.

Focus is minus the map's entropy; effective cells, its exponential, rank words in the same order. Correlations are
Spearman's; with right and wrong as 1 and 0, half of all words right and every right one more focused than any wrong one
gives 0.87. Intervals draw photos (`stats.resampled`'s way), each with all its words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.data.things import SYNONYMS, names, names_of
from attnviz.data.words import is_content
from attnviz.evaluate.captions import words_of
from attnviz.evaluate.figures import Figure
from attnviz.evaluate.grounded import Classes, singular
from attnviz.stats import DRAWS, interval, spearman

if TYPE_CHECKING:
    from attnviz.data import Record, Split

KINDS = ("objects", "others")


@dataclass(frozen=True)
class Said:
    """A word that a network wrote: which kind it is of, whether it is right, its map's entropy and its own logprob."""

    kind: str
    right: bool
    entropy: float
    logprob: float | None


class Judge:
    """Says which words of a split's photos are right."""

    def __init__(self, split: Split) -> None:
        self._classes = Classes.of(split)
        things = {thing for record in split for thing in record.objects}
        named = {form[0] for thing in things for form in names_of(thing) if len(form) == 1}
        self._named = named if things else set()
        forms = [{form[0] for form in names_of(thing) if len(form) == 1} for thing in {*things, *SYNONYMS}]
        self._alike = [{singular(form, self._classes.known | named) for form in one} for one in forms]

    def said(self, record: Record, tokens: Sequence[Mapping[str, Any]]) -> list[Said]:
        """The content words of a caption, as `evidence.measure` keeps them, judged."""
        given = {self._class(word) for caption in record.captions for word in caption.words}
        found = []
        for token in tokens:
            for word in words_of([token["token"]], self._classes.known)[:1]:  # of "dog's", the dog
                if not is_content(word):
                    continue
                thing = self._classes.of_word(word) is not None or word in self._named
                right = self._right(word, given, record.objects, thing)
                found.append(Said(KINDS[0] if thing else KINDS[1], right, token["entropy"], token["logprob"]))
        return found

    def _right(self, word: str, given: set[str], objects: Iterable[str], thing: bool) -> bool:
        own = self._class(word)
        if own in given:
            return True
        if not thing:
            return False
        same = {other for forms in self._alike if own in forms for other in forms}
        return bool(same & given) or any(names([word], one) for one in objects)

    def _class(self, word: str) -> str:
        return singular(word, self._classes.known)


def focus(photos: Sequence[Sequence[Said]], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Kind of word -> the share that is right, and the correlations of `focus` and `probability` with being right.

    Args:
        photos: the words of each photo's caption.

    Returns:
        For each of `KINDS` that occurs: `words`, their number, and Figures; without those correlations that cannot be
        had, since all words are right, or alike.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        rows = [[one for one in said if one.kind == kind] for said in photos]
        words = [one for row in rows for one in row]
        if not words:
            continue
        place = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        right = np.array([one.right for one in words], float)
        columns = {"focus": [-one.entropy for one in words]}
        if all(one.logprob is not None for one in words):
            columns["probability"] = [one.logprob or 0.0 for one in words]
        told: dict[str, Any] = {"words": len(words), "right": _figure(None, right, place, len(rows), seed)}
        for name, values in columns.items():
            told[name] = _figure(np.array(values), right, place, len(rows), seed)
        found[kind] = {name: value for name, value in told.items() if value is not None}
    return found


def _figure(values: np.ndarray | None, right: np.ndarray, place: np.ndarray, photos: int, seed: int) -> Figure | None:
    """The correlation of values with being right, of `None` the mean of `right`, with its interval over photos."""

    def of(chosen: np.ndarray) -> float | None:
        return float(right[chosen].mean()) if values is None else spearman(values[chosen], right[chosen])

    whole = of(np.arange(len(right)))
    if whole is None:
        return None
    words = [np.flatnonzero(place == photo) for photo in range(photos)]
    rng = np.random.default_rng(seed)
    drawn = (np.concatenate([words[one] for one in rng.integers(0, photos, photos)]) for _ in range(DRAWS))
    samples = [value for chosen in drawn if len(chosen) and (value := of(chosen)) is not None]
    return Figure(whole, *interval(samples))
