"""Several splits learned from as one, each as often as it is worth; and sentences for photos that have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import torch

from attnviz.data import Caption
from attnviz.data.things import PERSON
from attnviz.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from attnviz.data import Split
    from attnviz.train.inputs import Inputs


def teachable(split: Split) -> Split:
    """The photos of a split that can teach: those without captions get sentences made from their objects, and those
    with neither are left out.

    Raises:
        DataError: when none is left.
    """
    records = [
        record if record.captions else replace(record, captions=sentences(record.objects))
        for record in split
        if record.captions or record.objects
    ]
    if not records:
        raise DataError(f"{split.lines}: no photo has captions or objects to learn from")
    return split.with_records(records)


def rewrite(split: Split, written: Mapping[str, tuple[Caption, ...]]) -> Split:
    """The split with other captions for some photos: image name -> captions."""
    return split.with_records([replace(one, captions=written.get(one.image, one.captions)) for one in split])


def sentences(objects: Sequence[str]) -> tuple[Caption, ...]:
    """Plain true sentences that name a photo's objects, such as "a cat next to a couch"; persons come first.

    They teach the network the words for things that its captioned photos show too seldom.
    """
    named = [_with_article(name) for name in objects if name != PERSON]
    if PERSON in objects:
        texts = [f"a person with {name}" for name in named] or ["a person"]
    elif len(named) == 1:
        texts = [named[0], f"a close up of {named[0]}"]
    else:
        pairs = list(zip(named, (*named[1:], named[0]), strict=True))
        texts = [f"{one} {join} {other}" for join in ("and", "next to", "with") for one, other in pairs]
    return tuple(Caption(tuple(text.split()), listed=True) for text in texts)


def _with_article(name: str) -> str:
    if name.endswith("s") and not name.endswith(("ss", "us")):
        return name  # skis, scissors
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


class Joined:
    """The inputs of several splits under one numbering: the first split's photos, then the second's, ..."""

    def __init__(self, parts: Sequence[Inputs], sizes: Sequence[int]) -> None:
        self.parts, self.ends = parts, list(accumulate(sizes))

    def batch(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """As of one split; `rows` are ascending."""
        found, start = [], 0
        for part, end in zip(self.parts, self.ends, strict=True):
            inside = rows[(start <= rows) & (rows < end)]
            if len(inside):
                found.append(part.batch(inside - start))
            start = end
        return tuple(torch.cat(maps) for maps in zip(*found, strict=True))


def draw(sizes: Sequence[int], rates: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """The photos of one epoch in random order: each of split k about `rates[k]` times.

    A rate of 2.3 takes every photo twice, and three of ten, drawn anew each epoch, a third time.
    """
    rows, start = [], 0
    for size, rate in zip(sizes, rates, strict=True):
        whole = np.repeat(np.arange(size), int(rate))
        part = rng.permutation(size)[: round((rate - int(rate)) * size)]
        rows += [start + whole, start + part]
        start += size
    return rng.permutation(np.concatenate(rows))


def count(sizes: Iterable[int], rates: Iterable[float]) -> int:
    """How many photos `draw` gives."""
    return sum(size * int(rate) + round((rate - int(rate)) * size) for size, rate in zip(sizes, rates, strict=True))
