"""What the encoder makes of photos: once for each, and kept where somebody wants to ask again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from attnviz.network import Prepared

Encode = Callable[[np.ndarray], "Tensor"]
"""(B, H, W, 3) uint8 -> E (B, N, C)."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """In the place of a photo's pixels: its E (1, N, C)."""

    values: Tensor


def encoded(encode: Encode, prepared: Prepared) -> Prepared:
    """A prepared photo with E in the place of its pixels."""
    if isinstance(prepared.inputs, Encoded):
        return prepared
    values = encode(prepared.inputs[None])
    return replace(prepared, inputs=Encoded(values), nbytes=values.nbytes)


def encode_all(encode: Encode, prepared: Sequence[Prepared]) -> Tensor:
    """E (B, N, C) of prepared photos; one that comes several times is encoded once, one that is encoded not at all."""
    distinct = {id(one): one for one in prepared}
    fresh = {key: one.inputs for key, one in distinct.items() if not isinstance(one.inputs, Encoded)}
    values = encode(np.stack(list(fresh.values()))) if fresh else ()
    new = dict(zip(fresh, values, strict=True))  # (N, C) each
    return torch.cat([new[id(one)][None] if id(one) in new else one.inputs.values for one in prepared])
