"""What a checkpoint says of itself: its JSON header, read without its weights and without torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attnviz.errors import ModelError
from attnviz.files import absent, is_file, is_folder, spelled, unfit

VERSION = 2
"""Of the format. Version 2 has the decoder `show-attend-tell`; what has not is written as version 1, which attnviz 0.1
can read."""

WEIGHTS = Path(__file__).parent / "weights"
"""The bundled checkpoints: NAME-MODE.safetensors, and the backbones they share."""


def read_meta(path: str | Path) -> dict[str, Any]:
    """The JSON header of a checkpoint, its weights unread.

    Raises:
        ModelError: for a missing or damaged file, or one of another program or of a later version.
    """
    path = spelled(path)
    with opened(path, "np") as file:
        return parse(path, file.metadata())


@contextmanager
def opened(path: Path, framework: str) -> Iterator[Any]:
    """A safetensors file; its tensors come as those of `framework`, "np" or "pt". Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework) as file:
            yield file
    except (OSError, SafetensorError, ValueError) as error:  # ValueError: a NUL in the name
        raise ModelError(unreadable(path, error)) from error


def parse(path: Path, header: Mapping[str, str] | None) -> dict[str, Any]:
    """The header of the safetensors file at `path` as a checkpoint's. Raises ModelError where it is none of ours."""
    try:
        meta: dict[str, Any] = json.loads((header or {})["attnviz"])
        version = int(meta["version"])
        if not all(isinstance(meta.get(key, {}), dict) for key in ("config", "card", "encoder")):
            raise TypeError("config, card and encoder must be objects")
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{path.name}: a safetensors file, but not one of attnviz") from error
    if version > VERSION:
        raise ModelError(f"{path.name}: written by a later attnviz (checkpoint version {version}); upgrade attnviz")
    return meta


def unreadable(path: Path, error: Exception) -> str:
    """Why a file could not be opened, in one line."""
    if reason := unfit(path):
        return f"{path}: is no checkpoint: {reason}"
    if not os.path.lexists(path):
        return f"{path}: {absent(path, 'checkpoint')}"
    if is_file(path / "config.json"):
        return f"{path}: is a folder as Hugging Face's models are; name it as hf:{path}"
    if is_folder(path):
        return f"{path}: is a folder; name the checkpoint file in it"
    if _begins(path).startswith((b"PK", b"\x80\x02")):
        return (
            f"{path}: is a file of torch, which may run anything when it is opened; a checkpoint of the Show, Attend "
            "and Tell tutorial becomes one of attnviz with: attnviz convert"
        )
    return f"{path}: not a readable safetensors file ({str(error).splitlines()[0]})"


def _begins(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(2)
    except OSError:
        return b""
