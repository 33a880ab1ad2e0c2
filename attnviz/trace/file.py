"""Trace files: what is in a `.npz`, and what is said of malformed ones."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.errors import ConfigError, TraceError
from attnviz.files import write_atomically
from attnviz.trace import npz
from attnviz.trace.arrays import check_shape
from attnviz.trace.meta import Meta

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

ARRAYS = ("weights", "logprobs", "scores", "channel_weights", "on_image", "words")


def write(path: str | os.PathLike[str], fields: Mapping[str, Any]) -> None:
    """Writes the fields of a trace as one `.npz`, whole or not at all. Raises OutputError."""
    write_atomically(os.fspath(path), dumps(fields))


def dumps(fields: Mapping[str, Any]) -> bytes:
    """The bytes that `write` writes; the same fields give the same."""
    meta = Meta(**{name: fields[name] for name in Meta._fields})
    arrays = {name: fields[name] for name in ARRAYS if fields[name] is not None}
    named = {"tokens": np.array(fields["tokens"], dtype=np.str_), "meta": np.array(meta.dumps())}
    return npz.dumps({**arrays, **named})


def read(path: str | os.PathLike[str], make: Callable[..., T]) -> T:
    """What `make` makes of the fields in a file; only `weights` and `tokens` must be there.

    Raises:
        TraceError: a file that is missing or malformed, in whatever way, or that `make` refuses; names the file.
    """
    try:
        return _made(npz.load(path, (*ARRAYS, "tokens", "meta"), check_shape), make)
    except (TraceError, ConfigError) as error:
        raise TraceError(f"{os.fspath(path)}: {error}") from error


def loads(data: bytes, make: Callable[..., T]) -> T:
    """As `read`, of the bytes of a file."""
    with npz.reading("a trace file (.npz)"):
        arrays = npz.load_from(io.BytesIO(data), (*ARRAYS, "tokens", "meta"), check_shape)
    return _made(arrays, make)


def _made(arrays: dict[str, Any], make: Callable[..., T]) -> T:
    for name in ("weights", "tokens"):
        if name not in arrays:
            raise TraceError(f"has no {name!r}; a trace has 'weights' (T, h, w) and 'tokens' (T,)")
    tokens, meta = arrays.pop("tokens"), arrays.pop("meta", np.array("{}"))
    if tokens.dtype.kind != "U" or tokens.ndim != 1:
        raise TraceError(f"tokens must be unicode text (T,), not {tokens.dtype} of {tokens.shape}")
    if meta.dtype.kind != "U" or meta.size != 1:
        raise TraceError(f"meta must be one JSON string, not {meta.dtype} of {meta.shape}")
    return make(tokens=tuple(tokens.tolist()), **arrays, **Meta.loads(meta.item())._asdict())
