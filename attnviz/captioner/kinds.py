"""Which thing is it? Where the decoder names one, the cells that it looks at are asked which.

The decoder reads the encoder's maps through E, a few hundred channels learned from captions, and there what tells a
horse from a cow is hardly left; the encoder's last map still has it. A linear layer over that map gives each cell i the
log odds k_ij of every kind j of thing, and the attention a_ti says which cells count:

    o_tj = f + sum_i a_ti exp(k_ij)                         the odds of kind j where word t looks; f: `FLOOR`
    o_tj = f                                                of a kind that an earlier word has named
    p'(w) = p(w) o_tw^c / sum_v p(v) o_tv^c * sum_v p(v)    for the words v, w that name kinds; c: `POWER`

A product of experts (Hinton 2002) among these words alone: their sum stays, so that whether a thing is named, and every
other word, is the decoder's own affair. A word that names two kinds (a bike) has the odds of both. What was named is
not asked for again: the cells below a cat still say cat where the decoder is to tell what it lies on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnviz.captioner.config import ModelConfig
from attnviz.captioner.vocabulary import UNKNOWN
from attnviz.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from attnviz.captioner.captioner import Captioner
    from attnviz.captioner.vocabulary import Vocabulary

POWER = 2.0
"""How much the layer counts beside the decoder. With more, more captions of COCO's dev photos name one of their things
(79 % with 1, 80 % with 2, 82 % with 3, by three modes), but what looks odd is taken for something else: with 3, two
dogs at a wall for a teddy bear."""

FLOOR = 0.1
"""What the odds never fall below: a layer that says no is wrong more often than one that says yes, and must not forbid
what the decoder is sure of. With 0.3 (and a power of 3), 80 % instead of 82 % named a thing; with 0.03 (and a power
of 2), captions by people were less likely."""

EXTREME = 30.0
"""Bound of log odds: whatever a file holds, no exponential overflows."""


class Kinds:
    """The words that name kinds of things.

    Args:
        words: (K, ...), the numbers of each kind's words.
    """

    def __init__(self, words: Sequence[Sequence[int]]) -> None:
        self.count = len(words)
        self.words = sorted({number for kind in words for number in kind})
        self._meant = [[float(number in kind) for number in self.words] for kind in words]
        self._tensors: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @classmethod
    def of(cls, kinds: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Kinds:
        """Of words as text. Raises ModelError for one that the vocabulary has not."""
        numbers = [vocabulary.encode(kind) for kind in kinds]
        for kind, row in zip(kinds, numbers, strict=True):
            if UNKNOWN in row:
                raise ModelError(f"{kind[row.index(UNKNOWN)]!r} names a kind and is not in the vocabulary")
        return cls(numbers)

    def named(self, words: Tensor, before: Tensor) -> Tensor:
        """Which kinds the words (n, T) have named, each with those before it: (n, T, K), 0 or 1.

        Args:
            before: (n, K), those that were named before the first of these words.
        """
        numbers, meant = self._on(words.device)
        said = (words.unsqueeze(-1) == numbers).to(before.dtype) @ meant.T.to(before.dtype)  # (n, T, W) @ (W, K)
        return said.cumsum(1).add(before.unsqueeze(1)).clamp_max(1)

    def deal(self, logits: Tensor, weights: Tensor, odds: Tensor, named: Tensor) -> Tensor:
        """The logits (B, Q, V) with p' in the place of p.

        Args:
            weights: (B, Q, N), where each word looks, rows summing to 1.
            odds: (B, N, K), of each kind in each cell.
            named: (B, Q, K), 1 for the kinds that earlier words have named.
        """
        words, meant = self._on(logits.device)
        own = logits.index_select(-1, words)
        asked = (weights @ odds) * (1 - named)
        dealt = own + POWER * (FLOOR + asked @ meant.to(odds.dtype)).log()
        dealt = dealt + (own.logsumexp(-1, keepdim=True) - dealt.logsumexp(-1, keepdim=True))
        return logits.index_copy(-1, words, dealt)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The words (W,), and which of them means which kind (K, W)."""
        if device not in self._tensors:
            with torch.inference_mode(False):  # else no gradient may ever pass
                self._tensors[device] = (
                    torch.tensor(self.words, dtype=torch.long, device=device),
                    torch.tensor(self._meant, device=device),
                )
        return self._tensors[device]


def odds_of(values: Tensor) -> Tensor:
    """Log odds as the layer gives them -> odds."""
    return values.clamp_max(EXTREME).exp()


def ask(model: Captioner, kinds: Sequence[Sequence[str]], layer: nn.Conv2d | None) -> None:
    """Has `model` ask from now on which kind of thing is meant; with no kinds and no layer, it asks no more.

    Args:
        kinds: the words that name each.
        layer: over the backbone's last map, with as many outputs.

    Raises:
        ModelError: for a word that is not in the vocabulary, or another decoder than `two-lstm`.
    """
    config = ModelConfig.from_dict({"kinds": kinds}, model.config)
    model.decoder.kinds = Kinds.of(kinds, model.vocabulary) if kinds else None
    model.fuse.kinds = layer  # type: ignore[assignment]
    model.config = config
