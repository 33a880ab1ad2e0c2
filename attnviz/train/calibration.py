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

STEPS = np.linspace(np.log(COLDEST), np.log(HOTTEST), 61)
"""The logarithms of the temperatures that are tried."""

SEEN = 2000
"""Training photos that are looked at for `Familiar`: more changed nothing."""


def temperature_of(read: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The temperature at which the likeliest words are, on average, as likely as they are often right; to a thousandth.

    Expectation consistency (Clarté et al. 2023, arXiv:2303.02644). The temperature of the least cross-entropy, as Guo
    et al. fit it, looks at rare words most: for the bundled `concat` it left the error at 0.08, and this one at 0.02.

    Args:
        read: pairs of logits (..., V) and the words to come (...), PAD where there is none. The end of a sentence does
            not count: no trace shows its probability.

    Returns:
        The temperature, from `COLDEST` to `HOTTEST`; 1 where there is no word.
    """
    sums, right, count = np.zeros(len(STEPS)), 0, 0
    for logits, target in read:
        there = (target != PAD) & (target != END)
        chosen = logits[there].float()
        likeliest = chosen.amax(-1, keepdim=True)
        right += int((chosen.argmax(-1) == target[there]).sum())
        count += len(chosen)
        # The likeliest word's probability is 1 over this sum.
        sums += [float((1 / ((chosen - likeliest) / float(np.exp(t))).exp().sum(-1)).sum()) for t in STEPS]
    # The hotter, the less likely: between two temperatures tried, a straight line.
    return round(float(np.exp(np.interp(-right, -sums, STEPS))), 3) if count else 1.0


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
