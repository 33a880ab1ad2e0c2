"""What the encoder makes of photos: once for each, and kept where somebody wants to ask again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from attnviz.captioner.threads import side_by_side

if TYPE_CHECKING:
    from attnviz.captioner.captioner import Captioner
    from attnviz.network import Prepared


@dataclass(frozen=True, eq=False)
class Encoded:
    """In the place of a photo's pixels: its E (1, N, C), and how strange it is, see `Familiar.strangeness`."""

    values: Tensor
    strange: float = 0.0


@torch.inference_mode()
def look(model: Captioner, pixels: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (B, H, W, 3) -> E (B, N, C), and the mean (B, C') of the backbone's finest map, of which `familiar` knows.

    Image by image, so that what one gets cannot depend on the others; on a CPU that is no slower.
    """
    if model.one_by_one:  # all threads on one image round as the original does
        found = [_look_at_one(model, image) for image in pixels]
    else:
        with side_by_side(model.device) as each:
            found = each(lambda image: _look_at_one(model, image), pixels)
    values, pooled = zip(*found, strict=True)
    return torch.cat(values), torch.cat(pooled)


@torch.inference_mode()
def _look_at_one(model: Captioner, pixels: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
    """(H, W, 3) -> E (1, N, C), and (1, C')."""
    # A permuted view of (H, W, 3) is already channels-last, the fast layout for these convolutions.
    image = torch.as_tensor(pixels).to(model.device).permute(2, 0, 1).unsqueeze(0)
    maps = model.backbone(image.float() / 255)
    return model.fuse(maps), maps[0].mean((2, 3))


def encoded(model: Captioner, prepared: Prepared) -> Prepared:
    """A prepared photo with what the encoder makes of it in the place of its pixels."""
    if isinstance(prepared.inputs, Encoded):
        return prepared
    (found,) = _encode(model, [prepared.inputs])
    return replace(prepared, inputs=found, nbytes=found.values.nbytes)


def encode_all(model: Captioner, prepared: Sequence[Prepared]) -> tuple[Tensor, list[float]]:
    """E (B, N, C) of prepared photos, and how strange each is: 0 to a model that cannot tell.

    A photo that comes several times is encoded once, one that is encoded not at all.
    """
    distinct = {id(one): one.inputs for one in prepared}
    fresh = {key: pixels for key, pixels in distinct.items() if not isinstance(pixels, Encoded)}
    known = distinct | dict(zip(fresh, _encode(model, list(fresh.values())), strict=True))
    found: list[Encoded] = [known[id(one)] for one in prepared]
    return torch.cat([one.values for one in found]), [one.strange for one in found]


def _encode(model: Captioner, pixels: Sequence[np.ndarray]) -> list[Encoded]:
    if not pixels:
        return []
    values, pooled = look(model, np.stack(pixels))
    strange = [0.0] * len(pixels)
    if model.familiar is not None:
        strange = model.familiar.strangeness(pooled.cpu().numpy()).tolist()
    return [Encoded(one[None], far) for one, far in zip(values, strange, strict=True)]
