"""What a finished model should know of its own limits: how sure its words are, and which photos are unlike its own.

Its temperature is what its scores are divided by, so that its probabilities mean what they say: Guo et al. 2017, "On
calibration of modern neural networks" (arXiv:1706.04599). One number, fitted to the given words of the dev split; the
search does not see it, and finds what it found. Which photos are familiar to it: see `Familiar`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.captioner.checkpoint import COLDEST, HOTTEST
from attnviz.captioner.encoded import look
from attnviz.captioner.familiar import FEWEST, Familiar
from attnviz.captioner.vocabulary import END, PAD
from attnviz.errors import DataError, counted
from attnviz.train.batches import collate, lesson
from attnviz.train.features import frames, inputs

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.data import Split

STEPS = np.linspace(np.log(COLDEST), np.log(HOTTEST), 37)
"""The logarithms of the temperatures that are tried."""

SEEN = 2000
"""Training photos that are looked at for `Familiar`: more changed nothing."""


def temperature_of(read: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The temperature with the least cross-entropy of the words to come, to a thousandth.

    Between the temperatures tried, the lowest point is that of the parabola through the least and its neighbours.

    Args:
        read: pairs of logits (..., V) and the words to come (...), PAD where there is none. The end of a sentence does
            not count: no trace shows its probability.

    Returns:
        The temperature, from `COLDEST` to `HOTTEST`; 1 where there is no word.
    """
    sums = np.zeros(len(STEPS))
    for logits, target in read:
        there = (target != PAD) & (target != END)
        chosen, words = logits[there].float(), target[there]
        if len(words):
            sums += [float(F.cross_entropy(chosen / float(np.exp(t)), words, reduction="sum")) for t in STEPS]
    if not sums.any():
        return 1.0
    best = int(sums.argmin())
    place = STEPS[best]
    if 0 < best < len(STEPS) - 1:
        below, here, above = sums[best - 1 : best + 2]
        place += 0.5 * (STEPS[1] - STEPS[0]) * (below - above) / (below - 2 * here + above)
    return round(float(np.exp(place)), 3)


def calibrate(model: Captioner, dev: Split, seen: Sequence[Split] = ()) -> None:
    """Sets the temperature of `model` by the captions of `dev`, and, from splits that it was trained on, which photos
    are familiar to it: `dev` then sets the threshold.

    Raises:
        DataError: for a split without captions, or too few photos that were seen.
        ImageError: for a photo that cannot be read.
    """
    described = dev.with_records(record for record in dev if record.captions)
    if not len(described):
        raise DataError(f"{dev.lines}: has no captions to fit a temperature to")
    known: list[np.ndarray] = []
    model.temperature = temperature_of(_read(model, described, known))
    if seen:
        each = SEEN // len(seen)
        rng = np.random.default_rng(0)
        pooled = [_pooled(model, split, np.sort(rng.permutation(len(split))[:each])) for split in seen]
        model.familiar = Familiar.fit(np.concatenate(pooled), np.concatenate(known))
        if model.familiar is None:
            count = sum(map(len, pooled))
            raise DataError(f"{seen[0].lines}: {counted(count, 'photo')} cannot tell what is familiar; give {FEWEST}")


def _pooled(model: Captioner, split: Split, rows: np.ndarray) -> np.ndarray:
    """What `Familiar` takes, of the photos `rows` of a split."""
    part = split.with_records(split.records[row] for row in rows)
    return np.concatenate([look(model, pixels[None])[1].cpu().numpy() for pixels in inputs(model, part)])


@torch.inference_mode()
def _read(model: Captioner, split: Split, pooled: list[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
    """The logits of each photo's captions, and the words to come; `pooled` gets what `Familiar` takes."""
    for record, frame, pixels in zip(split, frames(model, split), inputs(model, split), strict=True):
        one = lesson(record, model.vocabulary, frame, len(record.captions))
        batch = collate([one], np.zeros(1, int), mirrored=False)
        values, mean = look(model, pixels[None])
        pooled.append(mean.cpu().numpy())
        state = model.decoder.start(values, batch.words.shape[1])
        words, pick = batch.words.to(model.device), batch.pick.to(model.device)
        output, _ = model.decoder(model.decoder.prepare(values), state, words, pick=pick)
        yield output.logits, batch.target.to(model.device)
