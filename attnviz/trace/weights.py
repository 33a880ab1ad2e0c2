"""Files that hold attention and nothing else: NumPy's, JSON, safetensors, told by content. Nothing is unpickled."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from attnviz.errors import TraceError
from attnviz.trace import npz

if TYPE_CHECKING:
    import numpy.typing as npt

KINDS = "a file of weights (.npy, .npz, .json, .safetensors)"
MAX_JSON = 2**26  # bytes; lists of numbers take ten times as much memory as text
NAMES = ("weights", "attention", "attentions", "cross_attentions")  # of several arrays, the one that is meant
PICKLE = (
    "is a pickle, which may run anything when it is read; save the tensor as safetensors: "
    "safetensors.torch.save_file({'weights': tensor.contiguous()}, 'weights.safetensors')"
)


class Weights(NamedTuple):
    """What a file holds: numbers of any shape, and the tokens where it has them."""

    array: Any
    tokens: tuple[str, ...] | None


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """The attention in a file.

    `.npy`; `.npz` and `.safetensors` with one array, or with one called `weights`; `.json` with nested lists, or an
    object with `weights`. `.npz` and `.json` may have `tokens` too.

    Raises:
        TraceError: a file that is missing, of another kind, damaged, or larger than 1 GiB (JSON: 64 MiB).
    """
    try:
        with npz.reading(KINDS), npz.opened(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            start = file.read(16)
            file.seek(0)
            if size > 2 * npz.MAX_BYTES:
                raise TraceError(f"takes {size:,} bytes; at most {2 * npz.MAX_BYTES:,} are read: save fewer layers")
            if start.startswith(b"\x93NUMPY"):
                return Weights(_npy(file, size), None)
            if start.startswith(b"PK"):
                return _npz(file)
            if start[:1] == b"\x80":
                raise TraceError(PICKLE)
            if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size:
                return _safetensors(file, size)
            if start.lstrip()[:1] in (b"[", b"{"):
                return _json(file, size)
            raise TraceError(f"is none of what weights are read from; name {KINDS}")
    except TraceError as error:
        raise TraceError(f"{os.fspath(path)}: {error}") from error


def _npy(file: BinaryIO, size: int) -> npt.NDArray[Any]:
    shape, wanted = npz.header(file, "the array")
    if wanted > size - file.tell():
        raise TraceError(f"is cut off: an array of {shape} takes {wanted:,} bytes; save it again")
    file.seek(0)
    array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _npz(file: BinaryIO) -> Weights:
    def wanted(there: set[str]) -> list[str]:
        if any(name.endswith("data.pkl") for name in there):  # of torch.save
            raise TraceError(PICKLE)
        return [_choice(there - {"tokens"}), "tokens"]

    arrays = npz.load_from(file, wanted, lambda name, shape: None)
    tokens = arrays.pop("tokens", np.zeros(0))
    (array,) = arrays.values()
    return Weights(array, tuple(tokens.ravel().tolist()) if tokens.dtype.kind == "U" else None)


def _json(file: BinaryIO, size: int) -> Weights:
    if size > MAX_JSON:
        raise TraceError(f"takes {size:,} bytes; JSON of at most {MAX_JSON:,} is read: save it as .npy")
    found = _parsed(file.read())
    if isinstance(found, dict):
        tokens = found.get("tokens")
        words = tuple(tokens) if isinstance(tokens, list) and _are_texts(tokens) else None
        return Weights(found[_choice(set(found) - {"tokens"})], words)
    return Weights(found, None)


def read_tokens(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The words in a file: a JSON list of texts, or else a line each.

    Raises:
        TraceError: a file that is missing, too long, not UTF-8, or JSON of another kind.
    """
    try:
        with npz.reading("a file of words (.txt, .json)"), npz.opened(path) as file:
            data = file.read(MAX_JSON + 1)
            if len(data) > MAX_JSON:
                raise TraceError(f"takes more than {MAX_JSON:,} bytes, too many for words")
            if not os.fspath(path).endswith(".json"):
                return tuple(line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip())
            found = _parsed(data)
            if not _are_texts(found):
                raise TraceError('must be a list of texts, such as ["a", "dog"]')
            return tuple(found)
    except TraceError as error:
        raise TraceError(f"{os.fspath(path)}: {error}") from error


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"is not valid JSON ({error}); save it again") from error


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _safetensors(file: BinaryIO, size: int) -> Weights:
    from safetensors import SafetensorError, deserialize

    if size > npz.MAX_BYTES:
        raise TraceError(f"takes {size:,} bytes; at most {npz.MAX_BYTES:,} are read: save fewer layers")
    try:
        tensors = dict(deserialize(file.read()))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise TraceError(f"is damaged ({error}); save it again") from error
    tensor = tensors[_choice(set(tensors))]
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
    if tensor["dtype"] not in kinds:
        raise TraceError(f"holds numbers of the kind {tensor['dtype']}; save them as float32")
    array = np.frombuffer(tensor["data"], kinds[tensor["dtype"]]).reshape(tensor["shape"])
    # The upper half of a float32 is a bfloat16.
    return Weights((array.astype("<u4") << 16).view("<f4") if tensor["dtype"] == "BF16" else array, None)


def _choice(names: set[str]) -> str:
    if len(names) == 1:
        return next(iter(names))
    chosen = next((name for name in NAMES if name in names), None)
    if chosen is None:
        held = ", ".join(sorted(names)[:8]) or "nothing"
        raise TraceError(f"holds {held}; call the array that is meant 'weights'")
    return chosen
