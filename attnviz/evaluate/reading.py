"""Given words are read by the network and by its baselines, and what they reach is counted."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.evaluate.alone import Alone, points, queries
from attnviz.evaluate.figures import ALL, Figure, by_category, counts
from attnviz.evaluate.localization import Tally, centre_weights, targets
from attnviz.evaluate.regions import SHARES
from attnviz.network import Asked
from attnviz.photo.image import MAX_PIXELS

if TYPE_CHECKING:
    from attnviz.data import Caption, Record
    from attnviz.network import Network, Prepared
    from attnviz.trace import Trace

Measures = dict[str, dict[str, dict[str, Figure]]]
"""Measure -> category -> who -> figure."""


@runtime_checkable
class Baseline(Protocol):
    """A network that has a baseline of its own, as ours has; any other is measured without it."""

    def random_attention(self, seed: int = 0) -> Network:
        """The same network, its attention's parameters drawn anew."""


class Readings:
    """Where the network and the baselines look while words are read over photos: captions, and phrases alone."""

    def __init__(self, model: Network, seed: int) -> None:
        self._networks = {"model": model}
        if isinstance(model, Baseline):
            self._networks["random"] = model.random_attention(seed)
        who = ("model", "uniform", "centre", *list(self._networks)[1:])
        self.tallies = {one: Tally() for one in who}
        self._alone = {one: Alone() for one in ("model", "uniform", "centre")}
        self._reads, self._photos, self.unread = _reads(model), 0, 0

    def add(self, record: Record, prepared: Prepared) -> None:
        """Counts all captions and phrases of one photo."""
        photo, self._photos = self._photos, self._photos + 1
        if not self._reads:
            return
        captions = [caption for caption in record.captions if targets(record, caption, prepared.frame)]
        size = _pixels(record, prepared)
        asked = queries(record, size)
        phrases = list(dict.fromkeys(query.text for query in asked))
        sentences = [" ".join(caption.words) for caption in captions]
        for who, network in self._networks.items():
            # The model's captions and phrases at once, so that the photo is encoded once.
            texts = (*sentences, *phrases) if who == "model" else tuple(sentences)
            if texts:
                read = [trace.joined() for trace in network.describe([prepared] * len(texts), Asked(texts))]
                self._count(who, record, prepared, list(zip(captions, read, strict=False)), photo)
                if who == "model":
                    where = dict(zip(phrases, self._points(read[len(captions) :], prepared, size), strict=True))
                    self._alone["model"].add(asked, [where[query.text] for query in asked], photo)
        self._alone["uniform"].add_uniform(asked, photo)
        self._alone["centre"].add_centre(asked, photo)

    def _count(
        self, who: str, record: Record, prepared: Prepared, read: list[tuple[Caption, Trace]], photo: int
    ) -> None:
        """Counts what one network reached on the captions of a photo, and with the model's the fixed baselines."""
        for caption, trace in read:
            if len(trace) != len(caption.words):
                self.unread += who == "model"
                continue
            # A network may choose its grid when it looks: the boxes lie where the trace says.
            frame = trace.frame or prepared.frame
            found = targets(record, caption, frame)
            self.tallies[who].add(trace.weights, found, photo)
            if who == "model":
                self.tallies["uniform"].add_uniform(found, photo)
                centre = np.broadcast_to(centre_weights(frame.grid), trace.weights.shape)
                self.tallies["centre"].add(centre, found, photo)

    @staticmethod
    def _points(read: list[Trace], prepared: Prepared, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Where the maps of phrases, each the mean over its words, point to; to the corner where there is no map."""
        found = list[tuple[int, int]]()
        for frame, traces in groupby(read, lambda trace: trace.frame or prepared.frame):
            maps = [trace.weights.mean(axis=0) if len(trace) else np.zeros(frame.grid) for trace in traces]
            found += points(maps, frame, size)
        return found

    def localization(self) -> dict[str, dict[str, float]]:
        """See `Report.localization`."""
        return {who: tally.result() for who, tally in self.tallies.items()} if self.tallies["model"].mass else {}

    def shares(self) -> dict[str, dict[str, float]]:
        """See `Report.shares`."""
        tallies = {who: tally for who, tally in self.tallies.items() if tally.mass}
        return {
            name: {who: float(SHARES[_best(getattr(tally, column))]) for who, tally in tallies.items()}
            for name, column in (("iou", "iou"), ("box accuracy", "boxed"))
            if tallies
        }

    def box_share(self) -> int | None:
        """Which of `regions.SHARES` gives the model the best boxes; None where it read no phrase."""
        boxed = self.tallies["model"].boxed
        return _best(boxed) if boxed else None

    def measures(self, seed: int = 0) -> Measures:
        """See `Report.measures`."""
        found: Measures = {}
        if self.tallies["model"].mass:
            columns = {
                "correctness": {who: tally.mass for who, tally in self.tallies.items()},
                "pointing": {who: tally.hits for who, tally in self.tallies.items()},
                "iou": {who: _at_best(tally.iou) for who, tally in self.tallies.items()},
                "box accuracy": {who: _at_best(tally.boxed) for who, tally in self.tallies.items()},
            }
            of = self.tallies["model"]
            for name, rows in columns.items():
                found[name] = by_category(rows, of.photo, of.types, self._photos, seed)
        if self._alone["model"].hits:
            alone, rows = self._alone["model"], {who: one.hits for who, one in self._alone.items()}
            found["pointing alone"] = by_category(rows, alone.photo, alone.types, self._photos, seed)
        return found

    def phrases(self) -> dict[str, dict[str, int]]:
        """See `Report.phrases`."""
        read, alone = counts(self.tallies["model"].types), counts(self._alone["model"].types)
        given = dict.fromkeys(("correctness", "pointing", "iou", "box accuracy"), read) if read[ALL] else {}
        return given | ({"pointing alone": alone} if alone[ALL] else {})


def _pixels(record: Record, prepared: Prepared) -> tuple[int, int]:
    """The size of the original photo; of the one that the data hold, where they tell none that can be."""
    height, width = record.size
    told = height > 0 and width > 0 and height * width <= MAX_PIXELS
    return record.size if told else prepared.frame.photo


def _best(rows: list[np.ndarray]) -> int:
    """The first share at which the mean over phrases (n of (K,)) is largest."""
    return int(np.stack(rows).mean(axis=0).argmax())


def _at_best(rows: list[np.ndarray]) -> list[float]:
    """Each phrase's value at that share."""
    best = _best(rows)
    return [float(row[best]) for row in rows]


def _reads(model: Network) -> bool:
    """Whether a network reads given words."""
    try:
        model.check(Asked("a word"))
    except AttnvizError:
        return False
    return True
