"""The layer that tells which kind of thing a cell shows, learned from lists of what whole photos show.

Nobody says in which cell a thing is. What a photo shows somewhere, some of its cells should say (multiple-instance
learning, Dietterich et al. 1997): with k_ij the log odds of kind j in cell i of the encoder's last map, those of the
photo are log mean_i exp(k_ij), between mean and maximum (Pinheiro & Collobert 2015, arXiv:1411.6228), and learn by the
cross-entropy of what is listed. That is what the decoder asks under an even look at all cells, see `captioner.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.data.things import AMBIGUOUS, PERSON, names_of

if TYPE_CHECKING:
    from attnviz.captioner.vocabulary import Vocabulary

MOST = 10_000
"""Photos that it learns from at most; their last maps lie in memory as float16, some 160 kB each."""

PHOTOS = 128
"""Photos of a batch."""

RATE = 2e-3
DECAY = 0.1
DROPOUT = 0.5
"""Of AdamW, and the share of channels that a photo is seen without: the photos are few, and the layer learns them by
heart."""

RARE = -3.0
"""The log odds that all kinds start from: most photos show a few of them."""

LEAST = 1e-3
"""Floor of a channel's deviation."""


def kinds_in(objects: Sequence[Sequence[str]], vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    """The kinds of things in lists of photos' objects, and the single words of the vocabulary that name each.

    People are none: in captions they go by who they are and what they do. Words that more often mean something else are
    left out, and so are kinds that no single word names.
    """
    found = {}
    for kind in sorted({thing for things in objects for thing in things} - {PERSON}):
        forms = sorted(form[0] for form in names_of(kind) - AMBIGUOUS if len(form) == 1)
        if known := tuple(word for word in forms if word in vocabulary):
            found[kind] = known
    return found


def fit_kinds(
    maps: Callable[[np.ndarray], Tensor], objects: Sequence[Sequence[str]], kinds: Sequence[str], epochs: int, seed: int
) -> nn.Conv2d:
    """The layer for `kinds`, over the encoder's last map.

    Args:
        maps: gives that map (P, C, h, w) of photos by their numbers, ascending.
        objects: per photo, the names of what it shows; one without a list teaches nothing, and one at least has some.
        epochs: passes over the photos.
        seed: of the order, and of what is dropped.
    """
    rng = np.random.default_rng(seed)
    listed = np.array([row for row, things in enumerate(objects) if things], int)
    listed = np.sort(rng.permutation(listed)[:MOST])
    seen, there = _gather(maps, listed), _targets(objects, listed, kinds)
    mean, scale = _spread(seen)
    layer = nn.Conv1d(seen.shape[1], len(kinds), 1).to(seen.device)
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, RARE)  # type: ignore[arg-type]
    optimiser = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=DECAY)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - epoch / epochs)
        for rows in torch.split(torch.randperm(len(seen), generator=generator), PHOTOS):
            kept = (torch.rand(len(rows), seen.shape[1], 1, generator=generator) >= DROPOUT) / (1 - DROPOUT)
            cells = (seen[rows].float() - mean) / scale * kept.to(seen.device)
            odds = layer(cells).logsumexp(-1) - np.log(seen.shape[-1])
            loss = F.binary_cross_entropy_with_logits(odds, there[rows].to(seen.device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return _over_raw(layer, mean, scale)


@torch.no_grad()
def _gather(maps: Callable[[np.ndarray], Tensor], rows: np.ndarray) -> Tensor:
    """(photos, C, cells) float16, in memory once."""
    found = torch.empty(0)
    for start in range(0, len(rows), PHOTOS):
        part = maps(rows[start : start + PHOTOS]).flatten(2)
        if not start:
            found = part.new_empty((len(rows), *part.shape[1:]), dtype=torch.float16)
        found[start : start + len(part)] = part
    return found


def _targets(objects: Sequence[Sequence[str]], rows: np.ndarray, kinds: Sequence[str]) -> Tensor:
    """(photos, K): 1 for what is listed."""
    place = {kind: number for number, kind in enumerate(kinds)}
    there = torch.zeros(len(rows), len(kinds))
    for i, row in enumerate(rows.tolist()):
        there[i, [place[thing] for thing in objects[row] if thing in place]] = 1
    return there


def _spread(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel over all cells, (C, 1) each."""
    total = square = torch.zeros(seen.shape[1], 1, dtype=torch.float64, device=seen.device)
    for part in torch.split(seen, PHOTOS):
        wide = part.double()
        total, square = total + wide.sum((0, 2)).unsqueeze(1), square + wide.square().sum((0, 2)).unsqueeze(1)
    count = seen.shape[0] * seen.shape[2]
    mean = total / count
    return mean.float(), (square / count - mean.square()).clamp_min(0).sqrt().float() + LEAST


def _over_raw(layer: nn.Conv1d, mean: Tensor, scale: Tensor) -> nn.Conv2d:
    """The same layer, over a map as it is: W (x - mean) / scale + b = (W / scale) x + (b - (W / scale) mean)."""
    found = nn.Conv2d(layer.in_channels, layer.out_channels, 1).to(mean.device)
    with torch.no_grad():
        weight = layer.weight / scale.unsqueeze(0)  # (K, C, 1)
        found.weight.copy_(weight.unsqueeze(-1))
        found.bias.copy_(layer.bias - (weight.squeeze(-1) @ mean).squeeze(-1))  # type: ignore[union-attr, operator]
    return found.requires_grad_(False)
