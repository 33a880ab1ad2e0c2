"""The conductor: a model and photos in, traces out, batched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from attnviz.errors import ConfigError
from attnviz.network import Asked, describe_rows
from attnviz.photo.image import MAX_PIXELS, Photo, load

if TYPE_CHECKING:
    from attnviz.network import Hard, Map, Network, View
    from attnviz.trace import Trace

BATCH = 16
"""Photos that a network is given at a time: more gain nothing on a CPU."""

T = TypeVar("T")


def explain(
    model: Network,
    images: Any,
    *,
    text: str | Sequence[str] | None = None,
    prompt: str | None = None,
    beam: int | None = None,
    hard: Hard | None = None,
    seed: int = 0,
    layers: str = "all",
    heads: str = "mean",
    pieces: bool = False,
    view: View = "all",
    map: Map = "attention",
    batch: int = BATCH,
    max_pixels: int = MAX_PIXELS,
) -> list[Trace]:
    """Captions photos, or reads given words over them, and records where the network looks at each word.

    Args:
        model: from `attnviz.load_model`, or any other `attnviz.network.Network`.
        images: paths, PIL images, (H, W, 3) uint8 arrays, bytes, or `Photo`s; one alone is taken as a list of one.
        text: given words, one string for all photos or one per photo; None lets the network write.
        prompt: the question or instruction of a network that takes one.
        beam: sentences kept side by side in the search; 1 is greedy. None for the network's own choice.
        hard: hard attention; one cell gives the context, the best one or one drawn with `seed`.
        layers, heads, view: of networks that have such; see `attnviz.network.Asked`.
        map: "attention", or "gradient", attention times what the word's probability owes to it.
        pieces: keep a step for each of the tokenizer's pieces, instead of joining them to words (`Trace.joined`).
        batch: photos that the network is given at a time.
        max_pixels: larger photos are refused.

    Returns:
        One trace per photo, in order.

    Raises:
        ImageError: for a photo that cannot be read.
        ModelError: for a given text without a word, or for what the network cannot do.
        ConfigError: for images or texts that are none, when there are not as many texts as photos, for a value that
            nothing can be asked with, or for a batch below one photo.
    """
    asked = Asked(text, prompt, beam, hard, seed, layers, heads, view, map)
    traces = explain_as(model, images, asked, batch=batch, max_pixels=max_pixels)
    return traces if pieces else [trace.joined() for trace in traces]


def explain_as(
    model: Network, images: Any, asked: Asked, *, batch: int = BATCH, max_pixels: int = MAX_PIXELS
) -> list[Trace]:
    """`explain` for what is asked as one record; the same arguments and errors. Pieces are not joined to words."""
    return [rows[0] for rows in explain_rows(model, images, asked, (), batch=batch, max_pixels=max_pixels)]


def explain_rows(
    model: Network,
    images: Any,
    asked: Asked,
    layers: Sequence[str],
    *,
    batch: int = BATCH,
    max_pixels: int = MAX_PIXELS,
) -> list[list[Trace]]:
    """As `explain_as`, with a trace of each photo for each choice of layers; see `network.describe_rows`."""
    if type(batch) is not int or batch < 1:
        raise ConfigError(f"batch must be a number of photos, at least 1, not {batch!r}")
    if not _is_one(images) and not isinstance(images, Iterable):
        raise ConfigError(f"images must be a photo or a list of photos, not {type(images).__name__}")
    sources = [images] if _is_one(images) else list(images)
    if isinstance(asked.text, tuple) and len(asked.text) != len(sources):
        raise ConfigError(
            f"{len(asked.text)} texts for {len(sources)} images; give one string for all, or one per image"
        )
    traces: list[list[Trace]] = []
    for chunk in chunked(sources, batch):
        part = asked.part(len(traces), len(traces) + len(chunk))
        photos = (load(source, max_pixels=max_pixels) for source in chunk)
        traces += describe_rows(model, [model.prepare(photo, part) for photo in photos], part, layers)
    return traces


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _is_one(images: Any) -> bool:
    single = (
        isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike, Photo))
        or hasattr(images, "getexif")
        or hasattr(images, "read")
    )
    return single or (isinstance(images, np.ndarray) and images.ndim < 4)
