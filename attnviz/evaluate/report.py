"""One call that measures a model on a split: captions and localization, each beside its baselines."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from attnviz.errors import DataError
from attnviz.evaluate.captions import bleu
from attnviz.evaluate.localization import Tally, centre_weights, targets
from attnviz.evaluate.objects import score
from attnviz.explain import chunked
from attnviz.limits import BEAM
from attnviz.photo.frame import Frame

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.data import Record, Split

BATCH = 32

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """Figures of one model on one split.

    Attributes:
        bleu: `BLEU-1` ... `BLEU-4` in percent; empty for a split without captions.
        localization: who -> `correctness` and `pointing` in [0, 1] and the number of `phrases`; who is the `model`, or
            one of the baselines `uniform`, `centre` and `random` (the same network, its attention's parameters drawn
            anew).
        objects: how many captions name an object of their photo, see `objects.score`; empty for data without objects.
        captions: photo -> the caption written.
    """

    model: str
    mode: str
    data: str
    photos: int
    beam: int
    bleu: dict[str, float]
    localization: dict[str, dict[str, float]]
    objects: dict[str, float | str]
    captions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def figures(self) -> dict[str, float]:
        """The few that a model card shows: BLEU-4 in percent, and the model's own correctness and pointing."""
        own = self.localization.get("model", {})
        chosen = {"BLEU-4": round(self.bleu["BLEU-4"], 1)} if self.bleu else {}
        return chosen | {key: round(own[key], 3) for key in ("correctness", "pointing") if key in own}


def evaluate(
    model: Captioner, split: Split, *, beam: int = BEAM, seed: int = 0, progress: Progress | None = None
) -> Report:
    """Measures `model` on `split`.

    Args:
        beam: sentences kept in the search for the captions.
        seed: of the random baseline.
        progress: called with (photos done, photos in all).

    Raises:
        DataError: for a split without captions.
        ImageError: for a photo that cannot be read.
        ConfigError: when sacrebleu is not installed.
    """
    if not any(record.captions for record in split):
        raise DataError(f"{split.lines}: has no captions to measure against")
    bleu([["a"]], [[["a"]]])  # fails now, not after minutes, where sacrebleu is missing
    random = random_attention(model, seed)
    tallies = {who: Tally() for who in ("model", "uniform", "centre", "random")}
    written: dict[str, tuple[str, ...]] = {}
    done = 0
    for chunk in chunked(zip(split, split.photos(), strict=True), BATCH):
        frames = [Frame.of(model.frame_kind, photo.size, model.input, model.grid) for _, photo in chunk]
        with torch.inference_mode():
            values = model.encode(np.stack([f.apply(p.pixels) for f, (_, p) in zip(frames, chunk, strict=True)]))
        for (record, _), words in zip(chunk, model.write(values, beam), strict=True):
            written[record.image] = tuple(word for word, _ in words)
        for image, ((record, _), frame) in enumerate(zip(chunk, frames, strict=True)):
            _localize(model, random, record, frame, values[image : image + 1], tallies)
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
        localization={who: tally.result() for who, tally in tallies.items()} if tallies["model"].mass else {},
        objects=score([written[r.image] for r in split], [r.objects for r in split]),
        captions={name: " ".join(words) for name, words in written.items()},
    )


def _localize(
    model: Captioner, random: Captioner, record: Record, frame: Frame, values: torch.Tensor, tallies: dict[str, Tally]
) -> None:
    """Counts all captions of one photo, read side by side over its features E (1, N, C)."""
    pairs = [(caption, found) for caption in record.captions if (found := targets(record, caption, frame))]
    if not pairs:
        return
    given = [[(word, word) for word in caption.words] for caption, _ in pairs]
    repeated = values.expand(len(given), -1, -1)
    for who, network in (("model", model), ("random", random)):
        for (_, found), read in zip(pairs, network.follow(repeated, given), strict=True):
            tallies[who].add(read.weights, found)
    centre = centre_weights(frame.grid)
    for caption, found in pairs:
        tallies["uniform"].add_uniform(found)
        tallies["centre"].add(np.broadcast_to(centre, (len(caption.words), *frame.grid)), found)


def random_attention(model: Captioner, seed: int = 0) -> Captioner:
    """A copy of `model`, its attention's parameters drawn anew; `dot` and `channel-dot` have none, so it is equal."""
    fresh = copy.deepcopy(model)
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    fresh.decoder.attention = fresh.decoder.attention.anew().eval().requires_grad_(False)
    torch.set_rng_state(state)
    return fresh
