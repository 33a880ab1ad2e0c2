"""From recorded calls of attention functions to the rows of a sentence's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from attnviz.errors import TraceError, counted

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Call:
    """One attention that was computed.

    Attributes:
        name: of the module that it was computed in, as in `net.named_modules()`; "" outside of modules.
        kind: "softmax", "scaled_dot_product_attention" or "multi_head_attention".
        weights: (..., N) float32, as the function had them: (B, N), (B, T, N), (B, H, T, N) and so on.
    """

    name: str
    kind: str
    weights: Floats = field(repr=False)


@dataclass(frozen=True)
class Batch:
    """Which image of a batch is meant.

    Attributes:
        index: of the image.
        images: how many there are. A first axis that is longer holds the heads of each, one image after the other.
    """

    index: int = 0
    images: int = 1

    def of(self, weights: Floats, name: str) -> Floats:
        """(H, ...) of (B * H, ...), or of (B, H, T, N): the image's part."""
        heads, rest = divmod(len(weights), self.images)
        if rest or (weights.ndim > 3 and heads > 1) or not 0 <= self.index < self.images:
            raise TraceError(
                f"{name}: there is no image {self.index} of {self.images} in an axis of {len(weights)}; "
                "give batch and images as they are"
            )
        rest_shape = weights.shape[1:] if weights.ndim < 4 else weights.shape[-2:]
        chosen: Floats = weights.reshape(self.images, -1, *rest_shape)[self.index]
        return chosen


ONE = Batch()


def array_of(calls: Sequence[Call], steps: int, batch: Batch = ONE, per_step: int = 1) -> Floats:
    """(L, H, T, N): the rows of T tokens, layer by layer in the order in which these ran.

    Args:
        calls: of one sentence, by any number of layers.
        steps: T.
        batch: which image.
        per_step: how often a step calls an attention of the same name.

    Raises:
        TraceError: not as many calls, or rows, as fit the tokens.
    """
    layers: dict[tuple[str, int], list[Floats]] = {}
    counts: dict[str, int] = {}
    for call in calls:
        number = counts[call.name] = counts.get(call.name, -1) + 1
        layers.setdefault((call.name or "attention", number % per_step), []).append(call.weights)
    found = {name: _layer(name[0], weights, steps, batch) for name, weights in layers.items()}
    if len({layer.shape for layer in found.values()}) > 1:
        shapes = ", ".join(f"{name} {layer.shape}" for (name, _), layer in found.items())
        raise TraceError(f"attention of several kinds was seen, (heads, tokens, cells): {shapes}; choose with only=...")
    return np.stack(list(found.values()))


def _layer(name: str, calls: list[Floats], steps: int, batch: Batch) -> Floats:
    """(H, T, N) of one layer: it ran once for the whole sentence, or once for each token."""
    if len(calls) == 1:
        rows = _of_sentence(name, calls[0], batch)
        if rows.shape[1] in (steps, steps + 1):  # the last is that of the end
            return rows[:, :steps]
        if steps != 1:
            raise TraceError(
                f"{name} ran once, with {counted(rows.shape[1], 'row')}, but there are {counted(steps, 'token')}; "
                "give all the words that "
                "the network read, or wrote"
            )
    if len(calls) not in (steps, steps + 1):
        raise TraceError(
            f"{name} ran {len(calls)} times, but there are {counted(steps, 'token')}; watch one sentence at a time "
            "(clear() "
            "forgets), or say with per_step how often each step runs it"
        )
    # Heads have the same number at every step; rows, of all tokens so far, grow.
    growing = len({call.shape[-2] for call in calls if call.ndim > 1}) > 1
    return np.stack([_of_step(name, call, batch, growing) for call in calls[:steps]], axis=1)


def _of_sentence(name: str, weights: Floats, batch: Batch) -> Floats:
    """(H, T, N) of the weights of a whole sentence: (N,), (T, N), (B * H, T, N) or (B, H, T, N)."""
    if weights.ndim < 3:
        return np.atleast_2d(weights)[None]
    return batch.of(weights, name)


def _of_step(name: str, weights: Floats, batch: Batch, growing: bool) -> Floats:
    """(H, N): what the newest token looks at, of (N,), (B, N), (B, H, N), (B * H, T, N) or (B, H, T, N)."""
    newest: Floats
    if weights.ndim == 1:
        return weights[None]
    if weights.ndim == 2:
        if growing:
            return weights[-1:]
        one = batch.of(weights, name)
        if len(one) > 1:
            raise TraceError(f"{name}: a batch of {len(weights)} at each step; give images={len(weights)}, and batch")
        return one
    if weights.ndim == 3 and len(weights) == batch.images and weights.shape[1] > 1 and not growing:
        newest = batch.of(weights, name)[0]
    else:
        newest = batch.of(weights, name)[:, -1]
    return newest
