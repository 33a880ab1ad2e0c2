"""The conductor: a model and photos in, traces out, batched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from attnviz import image as images_module
from attnviz.errors import ConfigError
from attnviz.geometry import Frame
from attnviz.image import MAX_PIXELS, Photo
from attnviz.trace import ImageInfo, Trace

if TYPE_CHECKING:
    from attnviz.model import Captioner, Description

BATCH = 16
"""Photos per forward pass: larger ones gain nothing on a CPU."""

T = TypeVar("T")


def explain(
    model: Captioner,
    images: Any,
    *,
    text: str | Sequence[str] | None = None,
    beam: int = 3,
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
        ConfigError: when there are not as many texts as photos.
    """
    sources = [images] if _is_one(images) else list(images)
    if isinstance(text, str) or text is None:
        texts: list[str | None] = [text] * len(sources)
    else:
        texts = list(text)
        if len(texts) != len(sources):
            raise ConfigError(
                f"{len(texts)} texts for {len(sources)} images; give one string for all, or one per image"
            )
    settings = {"beam": beam if text is None else None, "hard": hard, "seed": seed if hard == "sample" else None}
    traces = []
    for chunk in chunked(zip(sources, texts, strict=True), batch):
        photos = [images_module.load(source, max_pixels=max_pixels) for source, _ in chunk]
        frames = [Frame.of(model.frame_kind, photo.size, model.input, model.grid) for photo in photos]
        pixels = np.stack([frame.apply(photo.pixels) for frame, photo in zip(frames, photos, strict=True)])
        given = None if text is None else [str(one) for _, one in chunk]
        found = model.describe(pixels, given, beam=beam, hard=hard, seed=seed)
        traces += [_trace(model, *one, settings, text is not None) for one in zip(photos, frames, found, strict=True)]
    return traces


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _is_one(images: Any) -> bool:
    single = (
        isinstance(images, (str, bytes, bytearray, os.PathLike, Photo))
        or hasattr(images, "getexif")
        or hasattr(images, "read")
    )
    return single or (isinstance(images, np.ndarray) and images.ndim < 4)


def _trace(
    model: Captioner, photo: Photo, frame: Frame, found: Description, settings: dict[str, Any], given: bool
) -> Trace:
    return Trace(
        weights=found.weights,
        tokens=found.tokens,
        logprobs=found.logprobs,
        scores=found.scores,
        channel_weights=found.channel_weights,
        frame=frame,
        image=ImageInfo(photo.name, photo.size, photo.sha256),
        model=model.name,
        mode=model.mode,
        settings={key: value for key, value in settings.items() if value is not None}
        | {"given": given}
        | ({"unknown": list(found.unknown)} if given else {}),
    )
