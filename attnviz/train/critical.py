"""Self-critical training: the network samples captions, and learns to say more often what scores above its average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from attnviz.captioner.search import sample
from attnviz.captioner.vocabulary import PAD, START, UNKNOWN
from attnviz.train.batches import LONGEST
from attnviz.train.losses import advantages, critical_loss
from attnviz.train.reward import References, Reward

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.train.batches import Batch, Lesson
    from attnviz.train.naming import Naming


class Critic:
    """Draws captions and weighs them.

    Args:
        lessons: mirrored -> one lesson per training photo; the captions of those as they are decide how rare an n-gram
            is. Listed names ("a cat and a chair") are no captions.
        samples: sentences drawn for each photo.
        naming: gives points for naming the photos' things.
        weight: of those points beside what the captions give: over a photo's samples, the latter varies by 1.5.
    """

    def __init__(
        self, lessons: Mapping[bool, Sequence[Lesson]], samples: int, naming: Naming | None = None, weight: float = 0.0
    ) -> None:
        self.lessons, self.samples, self.naming, self.weight = lessons, samples, naming, weight
        self.reward = Reward([_captions(one) for one in lessons[False] if not _listed(one)])
        self.known: dict[tuple[bool, int], References] = {}

    def loss(self, model: Captioner, values: Tensor, batch: Batch) -> tuple[Tensor, float]:
        """The loss over E (P, N, C) of the batch's photos, and the mean reward of what was drawn."""
        decoder = model.decoder
        model.eval()  # the policy that draws must be the one that learns: dropout would make them differ
        drawn = sample(decoder, values, self.samples, LONGEST)
        rewards = self._rewards(drawn, batch)
        start = torch.full_like(drawn[..., :1], START)
        state = decoder.start(values, self.samples)
        output, _ = decoder(decoder.prepare(values), state, torch.cat([start, drawn[..., :-1]], -1))
        logits = output.logits.view(*drawn.shape, -1)
        return critical_loss(logits, drawn, advantages(rewards).to(values.device)), float(rewards.mean())

    def _rewards(self, drawn: Tensor, batch: Batch) -> Tensor:
        """(P, K), of sentences drawn (P, K, T)."""
        captions, rows = [_trim(row) for row in drawn.tolist()], batch.rows.tolist()
        rewards = np.zeros(drawn.shape[:2])
        told = [i for i, row in enumerate(rows) if not _listed(self.lessons[batch.mirrored][row])]
        if told:
            known = [self._references(batch.mirrored, rows[i]) for i in told]
            rewards[told] = self.reward([captions[i] for i in told], known)
        if self.naming is not None:
            rewards += self.weight * self.naming(captions, rows)
        return torch.from_numpy(rewards).float()

    def _references(self, mirrored: bool, row: int) -> References:
        key = (mirrored, row)
        if key not in self.known:
            self.known[key] = self.reward.read(_captions(self.lessons[mirrored][row]))
        return self.known[key]


def _listed(lesson: Lesson) -> bool:
    """Whether its sentences are listed names, kept apart from captions by their first sign."""
    return bool(lesson.words[0, 0] == UNKNOWN)


def _captions(lesson: Lesson) -> list[list[int]]:
    """A photo's captions as word numbers with the end."""
    return _trim(lesson.words[:, 1:].tolist())


def _trim(rows: list[list[int]]) -> list[list[int]]:
    return [[word for word in row if word != PAD] for row in rows]
