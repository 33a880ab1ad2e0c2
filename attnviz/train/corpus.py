"""Several splits learned from as one, each as often as it is worth; and sentences for photos that have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import torch

from attnviz.data import Caption
from attnviz.data.things import PERSON
from attnviz.errors import DataError
from attnviz.train.features import FeatureStore
from attnviz.train.inputs import PixelStore

if TYPE_CHECKING:
    from torch import Tensor

    from attnviz.captioner import Captioner
    from attnviz.data import Split
    from attnviz.train.features import Say
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
        texts = [named[0]]
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


def read_inputs(
    model: Captioner,
    splits: Sequence[Split],
    kinds: Iterable[bool],
    say: Say,
    cache: str | None,
    stages: int | None,
    precision: str = "float32",
) -> dict[bool, Inputs]:
    """What the network is fed of several splits, under one numbering; by whether it is mirrored.

    Args:
        kinds: which of the two are wanted.
        say: told about progress.
        cache: the folder for what the frozen layers make of the photos; None for the pixels themselves.
        stages, precision: see `FeatureStore`.

    Raises:
        DataError: when the folder cannot be written.
    """
    sizes = [len(split) for split in splits]
    if cache is not None:
        return {
            flip: Joined([FeatureStore(model, one, flip, cache, say, stages, precision) for one in splits], sizes)
            for flip in kinds
        }
    stores = [PixelStore.read(model, split) for split in splits]
    return {flip: Joined([store.mirrored() if flip else store for store in stores], sizes) for flip in kinds}


def times(split: Split, rate: float, rare: float) -> np.ndarray:
    """How often an epoch takes each photo of a split, (photos,): `rate` on average.

    A photo weighs (1 / n) ** `rare`, n being how many of the split's photos show the rarest of its objects: with 0 all
    count alike, with 1 each kind of object does, roughly. Photos without a list of objects count as those of average
    weight.
    """
    shown = Counter(thing for record in split for thing in set(record.objects))
    weights = np.array([min((shown[t] for t in record.objects), default=0) for record in split], float)
    listed = weights > 0
    weights[listed] **= -rare
    weights[~listed] = weights[listed].mean() if listed.any() else 1.0
    return np.asarray(weights * (rate / weights.mean()))


def draw(wanted: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The photos of one epoch in random order, under one numbering: photo i of split k about `wanted[k][i]` times.

    One that is wanted 2.3 times is taken twice, and in three epochs of ten a third time (systematic sampling over a
    random order: Madow & Madow 1944), so that an epoch always has `count` photos.
    """
    rows, start = [], 0
    for part in wanted:
        order = rng.permutation(len(part))
        sums, total = np.cumsum(part[order]), count([part])
        # The last one exact, whatever the sums were rounded to.
        ends = np.append(sums[:-1] * (total / sums[-1] if sums[-1] else 0.0), total) + rng.random()
        rows.append(start + np.repeat(order, np.diff(np.floor(ends), prepend=0).astype(int)))
        start += len(part)
    return rng.permutation(np.concatenate(rows))


def count(wanted: Iterable[np.ndarray]) -> int:
    """How many photos `draw` gives."""
    return sum(round(float(part.sum())) for part in wanted)
