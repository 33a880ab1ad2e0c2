"""The score functions: what each cell (or channel) of the encoder's output is worth to the decoder's state.

Every module takes E (B, N, C), the encoder's output, once per image through `prepare`, and then queries d (B, Q, D):
Q decoder states of the same image, be they the steps of a teacher-forced caption or the beams of a search. So E is
never repeated, and a whole caption's scores are one matrix product.

`dot`, `general`, `concat`: Luong et al. 2015 (arXiv:1508.04025), over cells as in Xu et al. 2015 (arXiv:1502.03044);
`concat` is the additive score of Bahdanau et al. 2015 (arXiv:1409.0473). `channel-dot`, `channel-general` and
`flat-concat` are the listings of the article that attnviz comes from, with their slips mended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.errors import ModelError, counted

if TYPE_CHECKING:
    from attnviz.captioner.hard import Chooser


@dataclass(frozen=True)
class Features:
    """One batch of images, prepared for scoring.

    Attributes:
        values: (B, N, C).
        keys: what the scores take of them, which each mode shapes as it likes.
        odds: (B, N, K), of each kind of thing in each cell, see `Kinds`; None for a network that asks for none.
    """

    values: Tensor
    keys: Tensor
    odds: Tensor | None = None


@dataclass(frozen=True)
class Attended:
    """What a score function gives for queries (B, Q, D).

    Attributes:
        context: (B, Q, C), what the decoder sees.
        weights: (B, Q, N), over cells, each row summing to 1.
        scores: (B, Q, N), before softmax; None for the channel modes, whose scores belong to channels.
        channel_weights: (B, Q, C) of the channel modes, each row summing to 1; else None.
        margin: (B, Q), by how much hard attention preferred what it chose; None for soft attention. See `Chooser`.
    """

    context: Tensor
    weights: Tensor
    scores: Tensor | None = None
    channel_weights: Tensor | None = None
    margin: Tensor | None = None


class AdditiveScore(torch.autograd.Function):
    """w . tanh(k_i + q_j) for all cells i and queries j, image by image.

    Torch's own graph would keep (B, Q, N, A) numbers for the way back, hundreds of megabytes a batch; this keeps the
    keys and queries and computes the tanh anew: three times as fast, since one image's numbers stay in the cache.
    """

    @staticmethod
    def forward(ctx: Any, keys: Tensor, queries: Tensor, w: Tensor) -> Tensor:
        """(B, N, A), (B, Q, A), (A,) -> (B, Q, N)."""
        ctx.save_for_backward(keys, queries, w)
        images = zip(keys, queries, strict=True)
        return torch.stack([torch.tanh(k.unsqueeze(0) + q.unsqueeze(1)) @ w for k, q in images])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        keys, queries, w = ctx.saved_tensors
        to_keys, to_queries, to_w = torch.empty_like(keys), torch.empty_like(queries), torch.zeros_like(w)
        for image, grad in enumerate(grads[0]):  # (Q, N)
            t = torch.tanh(keys[image].unsqueeze(0) + queries[image].unsqueeze(1))  # (Q, N, A)
            to_w += t.flatten(0, 1).T @ grad.flatten()
            slope = t.mul_(t).neg_().add_(1).mul_(grad.unsqueeze(-1))  # d tanh = 1 - tanh^2; w follows after the sums
            to_keys[image], to_queries[image] = slope.sum(0) * w, slope.sum(1) * w
        return to_keys, to_queries, to_w


class Attention(nn.Module):
    """Base of the modes that weigh cells: softmax over the N scores, context = sum_i a_i E_i.

    Args:
        channels: C of E.
        state: D of the decoder's state.
        cells: N of the grid; only some modes are tied to it.
        width: A, the size that `general`, `concat` and `channel-general` project to.
        reduced: how many channels `flat-concat` projects E to for its scores; 0 for none, as in the article.
    """

    fixed_grid: ClassVar[bool] = False

    def __init__(self, channels: int, state: int, cells: int, width: int, reduced: int = 0) -> None:
        super().__init__()
        self.channels, self.state, self.cells, self.width, self.reduced = channels, state, cells, width, reduced

    def anew(self) -> Attention:
        """The same score function with parameters drawn anew, on the same device."""
        fresh = type(self)(self.channels, self.state, self.cells, self.width, self.reduced)
        return fresh.to(next(iter(self.parameters()), torch.empty(0)).device)

    def prepare(self, values: Tensor) -> Features:
        """What depends on the image alone. `values` is E, (B, N, C).

        Raises:
            ModelError: for a grid that a mode with fixed grid was not made for.
        """
        if self.fixed_grid and values.shape[1] != self.cells:
            raise ModelError(
                f"this model was made for a grid of {counted(self.cells, 'cell')} and given one of {values.shape[1]}"
            )
        return Features(values, self.keys(values))

    def keys(self, values: Tensor) -> Tensor:
        raise NotImplementedError

    def score(self, features: Features, query: Tensor) -> Tensor:
        """Scores (B, Q, N) of queries (B, Q, D)."""
        raise NotImplementedError

    def forward(self, features: Features, query: Tensor, choose: Chooser | None = None) -> Attended:
        """Scores, weighs and sums; `choose` makes the attention hard."""
        scores = self.score(features, query)
        weights, margin = scores.softmax(-1), None
        if choose is not None:
            weights, margin = choose(weights)
        return Attended(weights @ features.values, weights, scores, None, margin)


class Dot(Attention):
    """s_i = E_i . d (Luong et al. 2015). Needs C == D, else ModelError."""

    def __init__(self, channels: int, state: int, cells: int, width: int, reduced: int = 0) -> None:
        if channels != state:
            raise ModelError(
                f"dot needs as many encoder channels as decoder states, not C = {channels} and D = {state}"
            )
        super().__init__(channels, state, cells, width, reduced)

    def keys(self, values: Tensor) -> Tensor:
        return values

    def score(self, features: Features, query: Tensor) -> Tensor:
        return query @ features.keys.transpose(1, 2)  # (B, Q, D) @ (B, D, N)


class General(Attention):
    """s_i = (We E_i) . (Wd d), projected to A on both sides, without bias (Luong et al. 2015)."""

    def __init__(self, channels: int, state: int, cells: int, width: int, reduced: int = 0) -> None:
        super().__init__(channels, state, cells, width, reduced)
        self.We = nn.Linear(channels, width, bias=False)
        self.Wd = nn.Linear(state, width, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        return self.We(values)  # type: ignore[no-any-return]

    def score(self, features: Features, query: Tensor) -> Tensor:
        return self.Wd(query) @ features.keys.transpose(1, 2)  # type: ignore[no-any-return]


class Concat(Attention):
    """s_i = w . tanh(Wc [E_i ; d]), without bias (Luong et al. 2015; Bahdanau et al. 2015)."""

    def __init__(self, channels: int, state: int, cells: int, width: int, reduced: int = 0) -> None:
        super().__init__(channels, state, cells, width, reduced)
        # Wc [E_i ; d] = We E_i + Wd d: kept in two halves, so that each is computed once per cell and once per query.
        self.We = nn.Linear(channels, width, bias=False)
        self.Wd = nn.Linear(state, width, bias=False)
        self.w = nn.Parameter(torch.empty(width).uniform_(-1, 1).div_(math.sqrt(width)))

    def keys(self, values: Tensor) -> Tensor:
        return self.We(values)  # type: ignore[no-any-return]

    def score(self, features: Features, query: Tensor) -> Tensor:
        return AdditiveScore.apply(features.keys, self.Wd(query), self.w)  # type: ignore[no-any-return]


class _Channel(Attention):
    """Base of the modes that weigh channels, with P = relu(E) in score, context and map.

    context_c = C a_c mean_i P_ic, so that uniform weights give mean pooling; the map on the grid is sum_c a_c P_ic,
    normalised to sum 1, and uniform where that sum is zero: a class-activation map (Zhou et al. 2016) in effect.
    """

    fixed_grid = True

    def prepare(self, values: Tensor) -> Features:
        return super().prepare(F.relu(values))

    def forward(self, features: Features, query: Tensor, choose: Chooser | None = None) -> Attended:
        rectified = features.values
        channel_weights, margin = self.score(features, query).softmax(-1), None  # (B, Q, C)
        if choose is not None:
            channel_weights, margin = choose(channel_weights)
        context = self.channels * channel_weights * rectified.mean(1).unsqueeze(1)
        activation = channel_weights @ rectified.transpose(1, 2)  # (B, Q, C) @ (B, C, N)
        total = activation.sum(-1, keepdim=True)
        uniform = torch.full_like(activation, 1 / activation.shape[-1])
        weights = torch.where(total > 0, activation / total.clamp_min(torch.finfo(total.dtype).tiny), uniform)
        return Attended(context, weights, None, channel_weights, margin)


class ChannelDot(_Channel):
    """s_c = sum_i d_i P_ic: the state weighs cells, channels are scored. Needs D == N, else ModelError."""

    def __init__(self, channels: int, state: int, cells: int, width: int, reduced: int = 0) -> None:
        if state != cells:
            raise ModelError(f"channel-dot needs as many decoder states as grid cells, not D = {state} and N = {cells}")
        super().__init__(channels, state, cells, width, reduced)

    def keys(self, values: Tensor) -> Tensor:
        return values

    def score(self, features: Features, query: Tensor) -> Tensor:
        return query @ features.keys  # (B, Q, N) @ (B, N, C)


class ChannelGeneral(_Channel):
    """s_c = (Wd d) . (We P_:c), with We: N -> A and Wd: D -> A, without bias."""

    def __init__(self, channels: int, state: int, cells: int, width: int, reduced: int = 0) -> None:
        super().__init__(channels, state, cells, width, reduced)
        self.We = nn.Linear(cells, width, bias=False)
        self.Wd = nn.Linear(state, width, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        return self.We(values.transpose(1, 2))  # type: ignore[no-any-return]  # (B, C, A)

    def score(self, features: Features, query: Tensor) -> Tensor:
        return self.Wd(query) @ features.keys.transpose(1, 2)  # type: ignore[no-any-return]  # (B, Q, C)


class FlatConcat(Attention):
    """s = tanh(FC([d ; flatten(E)])), FC: D + N C -> N with bias; C is `reduced` where that is given, since the
    parameters grow with N^2 C (14x14 cells of 256 channels: 10 million).

    tanh bounds the scores to [-1, 1], so no weight exceeds e / (e + (N - 1) / e): 2.82 % for 16x16, 3.65 % for 14x14.
    """

    fixed_grid = True

    def __init__(self, channels: int, state: int, cells: int, width: int, reduced: int = 0) -> None:
        super().__init__(channels, state, cells, width, reduced)
        # FC in two parts, as in Concat; flatten(E) is cell-major: all channels of cell 0, then of cell 1, ...
        self.reduce = nn.Linear(channels, reduced, bias=False) if reduced else nn.Identity()
        self.state_part = nn.Linear(state, cells, bias=False)
        self.image_part = nn.Linear(cells * (reduced or channels), cells, bias=True)

    def keys(self, values: Tensor) -> Tensor:
        return self.image_part(self.reduce(values).flatten(1)).unsqueeze(1)  # type: ignore[no-any-return]  # (B, 1, N)

    def score(self, features: Features, query: Tensor) -> Tensor:
        return torch.tanh(self.state_part(query) + features.keys)


SCORES: dict[str, type[Attention]] = {
    "dot": Dot,
    "general": General,
    "concat": Concat,
    "channel-dot": ChannelDot,
    "channel-general": ChannelGeneral,
    "flat-concat": FlatConcat,
}


def build_attention(mode: str, **sizes: Any) -> Attention:
    """The score function called `mode`, for the sizes that `Attention` takes.

    Raises:
        ModelError: for an unknown mode, or sizes that the mode cannot take.
    """
    if mode not in SCORES:
        raise ModelError(f"no mode is called {mode!r}; there are {', '.join(SCORES)}")
    return SCORES[mode](**sizes)
