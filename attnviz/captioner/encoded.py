"""What the backbone sees of photos: once for each, and kept where somebody wants to ask again.

What is seen depends on no word and, where networks share a backbone, on none of them more than on another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from attnviz.captioner.description import read
from attnviz.captioner.threads import side_by_side

if TYPE_CHECKING:
    from torch import nn

    from attnviz.captioner.captioner import Captioner
    from attnviz.captioner.description import Description, Words
    from attnviz.network import Prepared

T = TypeVar("T")
R = TypeVar("R")

ALIKE = 8
"""Photos over which the same words are read at a time; more gain nothing."""


@dataclass(frozen=True, eq=False)
class Seen:
    """In the place of a photo's pixels: the backbone's maps (1, C, h, w), finest grid first."""

    maps: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """The memory that they take."""
        return sum(one.nbytes for one in self.maps)


Look = np.ndarray | Tensor | Seen
"""A photo as pixels (H, W, 3) uint8, the size of the network's input, or what was seen of it."""


@torch.inference_mode()
def look(model: Captioner, photos: Iterable[Look]) -> tuple[Tensor, Tensor]:
    """Pixels (B, H, W, 3) -> E (B, N, C), and the mean (B, C') of the backbone's finest map, of which `familiar` knows.

    Image by image, so that what one gets cannot depend on the others; on a CPU that is no slower.
    """

    @torch.inference_mode()
    def one(photo: Look) -> tuple[Tensor, Tensor]:
        maps = _see_one(model, photo).maps
        return model.fuse(maps), maps[0].mean((2, 3))

    values, pooled = zip(*_each(model, one, photos), strict=True)
    return torch.cat(values), torch.cat(pooled)


def see(model: Captioner, prepared: Sequence[Prepared]) -> list[Prepared]:
    """Prepared photos with what the backbone sees of them in the place of their pixels."""
    seen = _each(model, lambda one: _see_one(model, one.inputs), prepared)
    return [replace(one, inputs=found, nbytes=found.nbytes) for one, found in zip(prepared, seen, strict=True)]


@torch.inference_mode()
def _see_one(model: Captioner, photo: Look) -> Seen:
    if isinstance(photo, Seen):
        return photo
    # A permuted view of (H, W, 3) is already channels-last, the fast layout for these convolutions.
    image = torch.as_tensor(photo).to(model.device).permute(2, 0, 1).unsqueeze(0)
    return Seen(tuple(model.backbone(image.float() / 255)))


def _each(model: Captioner, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    if model.one_by_one:  # all threads on one image round as the original does
        return [function(item) for item in items]
    with side_by_side(model.device) as each:
        return each(function, items)


def encode_all(model: Captioner, prepared: Sequence[Prepared]) -> tuple[Tensor, list[float]]:
    """E (B, N, C) of prepared photos, and how strange each is: 0 to a model that cannot tell.

    A photo that comes several times is encoded once, one that was seen is not seen again.
    """
    distinct = {id(one): one.inputs for one in prepared}
    values, pooled = look(model, distinct.values())
    strange = [0.0] * len(distinct)
    if model.familiar is not None:
        strange = model.familiar.strangeness(pooled.cpu().numpy()).tolist()
    place = {key: number for number, key in enumerate(distinct)}
    places = [place[id(one)] for one in prepared]
    return values[places], [strange[number] for number in places]


def all_seen(prepared: Sequence[Prepared]) -> bool:
    """Whether photos are several, and all of them were seen before."""
    return len(prepared) > 1 and all(isinstance(one.inputs, Seen) for one in prepared)


def read_alike(model: Captioner, values: Tensor, given: Sequence[Words]) -> list[Description] | None:
    """Reads words over E (B, N, C), `ALIKE` images at a time where all are given the same words; else None.

    That costs less than image by image, and the last bits of an image's numbers may depend on the others.
    """
    words = given[0]
    if model.one_by_one or not words or any(other != words for other in given):
        return None

    def some(part: Tensor) -> list[Description]:
        return read(model.decoder, model.vocabulary, model.grid, part, words, temperature=model.temperature)

    with side_by_side(model.device) as each:
        return [one for found in each(some, torch.split(values, ALIKE)) for one in found]


def eyes_of(model: Captioner) -> str:
    """What decides what is seen, and how a photo lies on it: the same for networks that share it."""
    config = model.config
    known = [config.backbone, config.layer, config.input, config.frame, model.grid, str(model.device)]
    return digest(known, model.backbone)


def digest(known: Any, part: nn.Module, more: Sequence[str] = ()) -> str:
    """SHA-256, in hexadecimal, of JSON-ready values, more text, and a part's numbers."""
    found = hashlib.sha256(json.dumps(known).encode())
    for text in more:
        found.update(text.encode())
    for name, tensor in sorted(part.state_dict().items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return found.hexdigest()
