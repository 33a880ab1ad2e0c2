"""The checkpoint's file as such, written tensor by tensor. Needs no torch.

A safetensors file: eight bytes that say how long the header is, the header in JSON, and the tensors' bytes one after
the other (https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.captioner.config import DECODERS, ModelConfig
from attnviz.captioner.header import VERSION
from attnviz.files import writing

TYPES = {"float16": "F16", "float32": "F32", "int64": "I64"}


class Stored(NamedTuple):
    """A tensor of the file: its shape, what reads it (float16 or float32) when its turn comes, and numpy's name of its
    type."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    type: str = "float32"


def write_model(
    path: str | Path,
    name: str,
    config: ModelConfig,
    words: Sequence[str],
    tensors: Mapping[str, Stored],
    card: Mapping[str, Any],
) -> None:
    """Writes a whole checkpoint; see `checkpoint.save_checkpoint`. Raises OutputError when it cannot be written."""
    write_tensors(path, tensors, header(name, config, words, card))


def header(name: str, config: ModelConfig, words: Sequence[str], card: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    return {
        "version": 1 if config.decoder == DECODERS[0] else VERSION,
        "name": name,
        "config": config.to_dict(),
        "vocabulary": list(words),
        "card": dict(card or {}),
    }


def write_tensors(path: str | Path, tensors: Mapping[str, Stored], meta: Mapping[str, Any]) -> None:
    """Writes tensors and a header to `path`, whole or not at all, one tensor in memory at a time.

    Raises:
        OutputError: when the file cannot be written.
    """
    table: dict[str, Any] = {"__metadata__": {"attnviz": json.dumps(meta, ensure_ascii=False)}}
    place = 0
    for name, one in tensors.items():
        end = place + int(np.prod(one.shape, dtype=np.int64)) * np.dtype(one.type).itemsize
        table[name] = {"dtype": TYPES[one.type], "shape": list(one.shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers lie where machines like to have them
    with writing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, one in tensors.items():
            numbers = np.asarray(one.read(), f"<{np.dtype(one.type).str[1:]}", order="C")
            if numbers.shape != one.shape:
                raise AssertionError(f"{name} is {numbers.shape}, not {one.shape}")
            file.write(numbers.reshape(-1).view(np.uint8).data)
