"""Our network with something taken from it, for tests of what its attention is worth.

Adebayo et al. 2018, "Sanity checks for saliency maps" (arXiv:1810.03292): a map that stays the same when the weights
are random does not tell of the weights. Wiegreffe and Pinter 2019, "Attention is not not explanation"
(arXiv:1908.04626): a word that is as likely under uniform attention does not need where it looks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from attnviz.captioner.attention import Attended, Attention, Features
    from attnviz.captioner.captioner import Captioner
    from attnviz.captioner.hard import Chooser


ENCODER = "encoder"


def randomised(model: Captioner, seed: int = 0, coarse: bool = False) -> Iterator[tuple[str, Captioner]]:
    """Copies of `model` with more and more layers at random, from the attention down to the first layer of the encoder.

    A layer's parameters keep their values and lose their places: so all that changes is what was learned, whatever the
    layer's own initialisation is. (Adebayo et al. draw them anew.) `dot` and `channel-dot` have no parameters in their
    attention and begin with the decoder's. The language LSTM and the output come after the attention, which for given
    words does not depend on them: they are left out.

    Args:
        seed: of the new places.
        coarse: takes the backbone as one layer.

    Yields:
        (layer, network): a copy that shares with `model` the layers whose turn has not come.
    """
    fresh, generator = model, torch.Generator().manual_seed(seed)
    for number, (name, modules) in enumerate(_layers(model, coarse)):
        if not any(True for module in modules for _ in module.parameters()):
            continue
        fresh = _copy(fresh, list(_layers(fresh, coarse))[number][1])
        own = list(_layers(fresh, coarse))[number][1]
        with torch.no_grad():
            for tensor in (parameter for module in own for parameter in module.parameters()):
                order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
                tensor.copy_(tensor.flatten()[order].reshape(tensor.shape))
        yield name, fresh


def unfocused(model: Captioner) -> Captioner:
    """A copy of `model` whose attention is uniform: over the cells, or over the channels of a channel mode."""
    fresh = _copy(model, [model.decoder.attention])
    fresh.decoder.attention = Uniform(fresh.decoder.attention).eval()  # type: ignore[assignment]
    return fresh


def random_attention(model: Captioner, seed: int = 0) -> Captioner:
    """A copy of `model`, its attention's parameters drawn anew; `dot` and `channel-dot` have none, so it is equal."""
    fresh = _copy(model, [model.decoder.attention])
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    fresh.decoder.attention = fresh.decoder.attention.anew().eval().requires_grad_(False)
    torch.set_rng_state(state)
    return fresh


class Uniform(nn.Module):
    """An attention that scores as `inner` does and then weighs everything alike."""

    def __init__(self, inner: Attention) -> None:
        super().__init__()
        self.inner = inner

    def prepare(self, values: Tensor) -> Features:
        """As the inner attention's."""
        return self.inner.prepare(values)

    def forward(self, features: Features, query: Tensor, choose: Chooser | None = None) -> Attended:
        """As the inner attention's, with uniform weights in the place of its own; `choose` has nothing to choose."""
        found: Attended = self.inner(features, query, _alike)
        return found


def _alike(weights: Tensor) -> tuple[Tensor, Tensor]:
    return torch.full_like(weights, 1 / weights.shape[-1]), weights.new_full(weights.shape[:-1], torch.inf)


def _copy(model: Captioner, parts: Iterable[nn.Module]) -> Captioner:
    """A copy of `model` that has `parts` of its own, and shares the others with it."""
    own = {id(module) for part in parts for module in part.modules()}
    shared = [one for one in model.modules() if not any(id(inner) in own for inner in one.modules())]
    return copy.deepcopy(model, {id(one): one for one in (*shared, model.vocabulary)})


def _layers(model: Captioner, coarse: bool) -> Iterator[tuple[str, list[nn.Module]]]:
    """The layers that a map depends on, from the attention down."""
    decoder = model.decoder
    yield "attention", [decoder.attention]
    yield decoder.asking()
    yield "fuse", [model.fuse]
    if coarse:
        yield ENCODER, [model.backbone]
        return
    parts = [(name, part) for name, part in model.backbone.named_children() if any(True for _ in part.parameters())]
    for name, part in reversed(parts):
        blocks = list(part.named_children()) if isinstance(part, nn.ModuleList) else []
        for number, block in reversed(blocks):
            yield f"{ENCODER} {name} {number}", [block]
        if not blocks:
            yield f"{ENCODER} {name}", [part]
