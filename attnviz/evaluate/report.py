"""One call that measures a model on a split: captions and localization, each beside its baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from attnviz.errors import AttnvizError, DataError
from attnviz.evaluate.captions import bleu, words_of
from attnviz.evaluate.localization import Tally, centre_weights, targets
from attnviz.evaluate.objects import score
from attnviz.explain import BATCH, chunked
from attnviz.network import Asked

if TYPE_CHECKING:
    from attnviz.data import Record, Split
    from attnviz.network import Network, Prepared

Progress = Callable[[int, int], None]


@runtime_checkable
class Baseline(Protocol):
    """A network that has a baseline of its own, as ours has; any other is measured without it."""

    def random_attention(self, seed: int = 0) -> Network:
        """The same network, its attention's parameters drawn anew."""


@dataclass(frozen=True)
class Report:
    """Figures of one model on one split.

    Attributes:
        bleu: `BLEU-1` ... `BLEU-4` in percent; empty for a split without captions.
        localization: who -> `correctness` and `pointing` in [0, 1] and the number of `phrases`; who is the `model`, or
            one of the baselines `uniform`, `centre` and `random` (the same network, its attention's parameters drawn
            anew; only of a `Baseline`). Empty where the network reads no given words.
        objects: how many captions name an object of their photo, see `objects.score`; empty for data without objects.
        captions: photo -> the caption written.
        mode: None of a network that has no such thing.
        beam: None where the network does not tell.
        unread: captions with boxes that were left out, since the network splits their words in another way.
    """

    model: str
    mode: str | None
    data: str
    photos: int
    beam: int | None
    bleu: dict[str, float]
    localization: dict[str, dict[str, float]]
    objects: dict[str, float | str]
    captions: dict[str, str]
    unread: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def figures(self) -> dict[str, float]:
        """The few that a model card shows: BLEU-4 in percent, and the model's own correctness and pointing."""
        own = self.localization.get("model", {})
        chosen = {"BLEU-4": round(self.bleu["BLEU-4"], 1)} if self.bleu else {}
        return chosen | {key: round(own[key], 3) for key in ("correctness", "pointing") if key in own}


def evaluate(
    model: Network, split: Split, *, beam: int | None = None, seed: int = 0, progress: Progress | None = None
) -> Report:
    """Measures `model` on `split`.

    Args:
        model: any network; one that reads no given words is measured by its captions alone.
        beam: sentences kept in the search for the captions; None for the network's own choice.
        seed: of the random baseline.
        progress: called with (photos done, photos in all).

    Raises:
        DataError: for a split without captions.
        ImageError: for a photo that cannot be read.
        ConfigError: when sacrebleu is not installed.
        ModelError: for what the network cannot do, such as so many beams.
    """
    if not any(record.captions for record in split):
        raise DataError(f"{split.lines}: has no captions to measure against")
    bleu([["a"]], [[["a"]]])  # fails now, not after minutes, where sacrebleu is missing
    asked = Asked(beam=beam)
    model.check(asked)
    known = {word for record in split for caption in record.captions for word in caption.words}
    localization, written, done = _Localization(model, seed), dict[str, tuple[str, ...]](), 0
    for chunk in chunked(zip(split, split.photos(), strict=True), BATCH):
        prepared = [model.prepare(photo, asked) for _, photo in chunk]
        traces = model.describe(prepared, asked)
        for (record, _), one, trace in zip(chunk, prepared, traces, strict=True):
            written[record.image] = words_of(trace.joined().tokens, known)
            localization.add(record, one)
            beam = beam or trace.settings.get("beam")
        done += len(chunk)
        if progress:
            progress(done, len(split))
    spoken = [record for record in split if record.captions]
    return Report(
        model=model.name,
        mode=model.mode,
        data=split.name,
        photos=len(split),
        beam=beam,
        bleu=bleu([written[r.image] for r in spoken], [[c.words for c in r.captions] for r in spoken]),
        localization=localization.result(),
        objects=score([written[r.image] for r in split], [r.objects for r in split]),
        captions={name: " ".join(words) for name, words in written.items()},
        unread=localization.unread,
    )


class _Localization:
    """Where the network and the baselines look while the captions of photos are read, counted."""

    def __init__(self, model: Network, seed: int) -> None:
        self._networks = {"model": model}
        if isinstance(model, Baseline):
            self._networks["random"] = model.random_attention(seed)
        self._tallies = {who: Tally() for who in ("model", "uniform", "centre", *list(self._networks)[1:])}
        self._reads, self.unread = _reads(model), 0

    def add(self, record: Record, prepared: Prepared) -> None:
        """Counts all captions of one photo."""
        captions = [caption for caption in record.captions if targets(record, caption, prepared.frame)]
        if not self._reads or not captions:
            return
        asked = Asked(tuple(" ".join(caption.words) for caption in captions))
        for who, network in self._networks.items():
            read = [trace.joined() for trace in network.describe([prepared] * len(captions), asked)]
            for caption, trace in zip(captions, read, strict=True):
                if len(trace) != len(caption.words):
                    self.unread += who == "model"
                    continue
                # A network may choose its grid when it looks: the boxes lie where the trace says.
                frame = trace.frame or prepared.frame
                found = targets(record, caption, frame)
                self._tallies[who].add(trace.weights, found)
                if who == "model":
                    self._tallies["uniform"].add_uniform(found)
                    centre = np.broadcast_to(centre_weights(frame.grid), trace.weights.shape)
                    self._tallies["centre"].add(centre, found)

    def result(self) -> dict[str, dict[str, float]]:
        """See `Report.localization`."""
        return {who: tally.result() for who, tally in self._tallies.items()} if self._tallies["model"].mass else {}


def _reads(model: Network) -> bool:
    """Whether a network reads given words."""
    try:
        model.check(Asked("a word"))
    except AttnvizError:
        return False
    return True
