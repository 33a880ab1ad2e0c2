"""The conductor: a model and photos in, traces out, batched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from attnviz.errors import ConfigError
from attnviz.limits import BEAM
from attnviz.photo import image as images_module
from attnviz.photo.frame import Frame
from attnviz.photo.image import MAX_PIXELS, Photo, Pixels
from attnviz.trace import ImageInfo, Trace

if TYPE_CHECKING:
    from attnviz.captioner import Captioner, Description

BATCH = 16
"""Photos per forward pass: larger ones gain nothing on a CPU."""

T = TypeVar("T")


def explain(
    model: Captioner,
    images: Any,
    *,
    text: str | Sequence[str] | None = None,
    beam: int = BEAM,
    hard: Literal["sample", "argmax"] | None = None,
    seed: int = 0,
    batch: int = BATCH,
    max_pixels: int = MAX_PIXELS,
) -> list[Trace]:
    """Captions photos, or reads given words over them, and records where the network looks at each word.

    Args:
        model: from `attnviz.load_model`.
        images: paths, PIL images, (H, W, 3) uint8 arrays, bytes, or `Photo`s; one alone is taken as a list of one.
        text: given words, one string for all photos or one per photo; None lets the network write.
        beam: sentences kept side by side in the search; 1 is greedy.
        hard: hard attention; one cell gives the context, the best one or one drawn with `seed`.
        batch: photos per forward pass.
        max_pixels: larger photos are refused.

    Returns:
        One trace per photo, in order.

    Raises:
        ImageError: for a photo that cannot be read.
        ModelError: for a given text without a word, or too many beams.
        ConfigError: for images or texts that are none, when there are not as many texts as photos, or for a batch below
            one photo.
    """
    if type(batch) is not int or batch < 1:
        raise ConfigError(f"batch must be a number of photos, at least 1, not {batch!r}")
    if not _is_one(images) and not isinstance(images, Iterable):
        raise ConfigError(f"images must be a photo or a list of photos, not {type(images).__name__}")
    sources = [images] if _is_one(images) else list(images)
    texts = _texts(text, len(sources))
    traces = []
    for chunk in chunked(zip(sources, texts, strict=True), batch):
        inputs = [network_input(model, images_module.load(source, max_pixels=max_pixels)) for source, _ in chunk]
        given = None if text is None else [one for _, one in chunk]
        traces += describe(model, inputs, given, beam=beam, hard=hard, seed=seed)
    return traces


@dataclass(frozen=True, eq=False)
class Input:
    """What the network needs of a photo, so that the photo itself need not be kept.

    Attributes:
        pixels: (h, w, 3) uint8, the size of the network's input.
        frame: how the photo lies on it.
        image: which photo it is.
    """

    pixels: Pixels
    frame: Frame
    image: ImageInfo


def network_input(model: Captioner, photo: Photo) -> Input:
    """A photo as the network takes it."""
    frame = Frame.of(model.frame_kind, photo.size, model.input, model.grid)
    return Input(frame.apply(photo.pixels), frame, ImageInfo(photo.name, photo.size, photo.sha256))


def describe(
    model: Captioner,
    inputs: Sequence[Input],
    texts: Sequence[str] | None = None,
    *,
    beam: int = BEAM,
    hard: Literal["sample", "argmax"] | None = None,
    seed: int = 0,
    fixed: int | None = None,
) -> list[Trace]:
    """One forward pass: what `explain` does for each batch.

    Args:
        texts: given words, one string per photo; None lets the network write.
        fixed: run at the shape of a batch of so many photos, whatever their number and the length of their captions:
            a photo then gets the same bits whatever stands beside it.

    Raises:
        ModelError: as `explain` does.
    """
    # Copies of the last photo fill the batch: an empty one might be described at greater length.
    filling = max(0, (fixed or 0) - len(inputs))
    pixels = np.stack([one.pixels for one in inputs] + [inputs[-1].pixels] * filling)
    given = None if texts is None else [*texts, *[texts[-1]] * filling]
    found = model.describe(pixels, given, beam=beam, hard=hard, seed=seed, steps=model.longest if fixed else 0)
    settings = {
        "beam": beam if texts is None else None,
        "hard": hard,
        "seed": seed if hard == "sample" else None,
    }
    return [_trace(model, one, told, settings, texts is not None) for one, told in zip(inputs, found, strict=False)]


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _texts(text: str | Sequence[str] | None, count: int) -> list[str]:
    """One text per photo; empty ones, which nobody reads, where the network writes."""
    if text is None or isinstance(text, str):
        return [text or ""] * count
    texts: list[Any] = list(text) if hasattr(text, "__iter__") else [text]
    if not all(isinstance(one, str) for one in texts):
        raise ConfigError("text must be one string for all images, or a list with one string per image")
    if len(texts) != count:
        raise ConfigError(f"{len(texts)} texts for {count} images; give one string for all, or one per image")
    return texts


def _is_one(images: Any) -> bool:
    single = (
        isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike, Photo))
        or hasattr(images, "getexif")
        or hasattr(images, "read")
    )
    return single or (isinstance(images, np.ndarray) and images.ndim < 4)


def _trace(model: Captioner, one: Input, found: Description, settings: dict[str, Any], given: bool) -> Trace:
    return Trace(
        weights=found.weights,
        tokens=found.tokens,
        logprobs=found.logprobs,
        scores=found.scores,
        channel_weights=found.channel_weights,
        frame=one.frame,
        image=one.image,
        model=model.name,
        mode=model.mode,
        settings={key: value for key, value in settings.items() if value is not None}
        | {"given": given}
        | ({"unknown": list(found.unknown)} if given else {}),
    )
