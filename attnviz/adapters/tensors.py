"""What the pickle of a torch checkpoint may hold, and what stands for each: storages and tensors by their places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnviz.adapters.pickles import Answer, Name
from attnviz.errors import ModelError

BFLOAT = "bfloat16"
STORAGES = {"Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": BFLOAT, "Long": "i8", "Int": "i4", "Short": "i2"}
STORAGES |= {"Char": "i1", "Byte": "u1", "Bool": "?"}


@dataclass(eq=False)
class Storage:
    """A run of numbers in the file.

    Attributes:
        type: numpy's name of the number type, or `BFLOAT`.
        count: how many numbers.
        key: what the container calls it.
        start: the number it begins at, of the storage that it is a view of.
    """

    type: str
    count: int
    key: str
    start: int = 0

    @property
    def width(self) -> int:
        """Bytes of a number."""
        return 2 if self.type == BFLOAT else np.dtype(self.type).itemsize


@dataclass(eq=False)
class Tensor:
    """A tensor in the file; hashable, since optimisers keep their state by parameter. `offset` and `stride` count
    numbers of the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def span(self) -> int:
        """How many numbers lie between its first and its last, both included."""
        reach = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return reach + 1 if all(self.shape) else 0


def rebuild(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Tensor:
    """What stands for torch's function. Raises ModelError for a tensor that is not inside its storage."""
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, Storage) or len(shape) != len(stride):
        raise ModelError("a tensor in it has no storage or no shape")
    if not all(type(number) is int and 0 <= number < 2**48 for number in numbers):
        raise ModelError("a tensor in it has an impossible shape")
    found = Tensor(storage, storage.start + offset, tuple(shape), tuple(stride))
    size = 1
    for side in shape:
        size *= side
    if offset + found.span > storage.count or size > storage.count:
        raise ModelError("a tensor in it reaches beyond its storage: the file is damaged, or made to do harm")
    return found


def _parameter(data: Any, *_: Any) -> Any:
    """A parameter is its tensor."""
    if not isinstance(data, Tensor):
        raise ModelError("a parameter in it is no tensor")
    return data


def _again(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor that has attributes of its own, which are left out."""
    if function not in TENSORS:
        raise ModelError(f"a tensor in it is made by {function}")
    return TENSORS[function](*arguments)


def _scalar(*_: Any) -> None:
    """NumPy's numbers, such as a score: not needed."""


TENSORS: dict[Name, Answer] = {
    Name("torch._utils", "_rebuild_tensor"): rebuild,
    Name("torch._utils", "_rebuild_tensor_v2"): rebuild,
    Name("torch._utils", "_rebuild_parameter"): _parameter,
    Name("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    Name("torch.nn.parameter", "Parameter"): _parameter,
    Name("torch.autograd.variable", "Variable"): _parameter,
}
ANSWERS: dict[Name, Answer] = {
    **TENSORS,
    Name("torch._tensor", "_rebuild_from_type_v2"): _again,
    Name("torch", "Size"): tuple,
    Name("torch", "device"): lambda *named: ":".join(map(str, named)),
    Name("torch.nn.backends.thnn", "_get_thnn_function_backend"): lambda: None,
    Name("collections", "OrderedDict"): lambda pairs=(): dict(pairs),
    Name("collections", "defaultdict"): lambda *_: {},
    Name("_codecs", "encode"): lambda text, _: str(text),  # how bytes are written where there are none
    **{Name(module, "scalar"): _scalar for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    Name("numpy", "dtype"): _scalar,
    **{Name(module, "set"): lambda items=(): set(items) for module in ("__builtin__", "builtins")},
    **{Name(module, "dict"): dict for module in ("__builtin__", "builtins")},
}
"""What may be called, and what is called in its place."""

VALUES = frozenset(
    f"torch.{name}" for name in ("float16", "float32", "float64", "bfloat16", "int64", "bool", "strided")
)
"""What may be named and is never called."""


STORAGE_TYPES = {
    Name(module, f"{kind}Storage"): type_ for kind, type_ in STORAGES.items() for module in ("torch", "torch.cuda")
}


def persistent(storages: dict[str, Storage], written: Any) -> Any:
    """What torch writes in the place of a storage, or of a class with the text of its source, which is left out.

    Fills `storages`: key -> the whole storage.
    """
    if isinstance(written, tuple) and len(written) == 4 and written[0] == "module" and isinstance(written[1], Name):
        return written[1]
    if not isinstance(written, tuple) or len(written) not in (5, 6) or written[0] != "storage":
        raise ModelError("a storage in it is described in a way that torch does not have")
    _, kind, key, _, count, *views = written
    if kind not in STORAGE_TYPES or not isinstance(key, str) or type(count) is not int or not 0 <= count < 2**48:
        raise ModelError("a storage in it has a type, name or size that torch does not have")
    whole = Storage(STORAGE_TYPES[kind], count, key)
    if key in storages and (storages[key].count, storages[key].type) != (count, whole.type):
        raise ModelError("a storage in it is described in two ways")
    storages[key] = whole
    if not views or views[0] is None:
        return whole
    view = views[0]  # of torch 0.3 and before: name, first number, count
    numbers = view[1:] if isinstance(view, tuple) and len(view) == 3 else (-1,)
    if not all(type(number) is int and number >= 0 for number in numbers) or sum(numbers) > count:
        raise ModelError("a storage in it reaches beyond the one that it is a view of")
    return Storage(whole.type, view[2], key, view[1])


def known(is_shell: Callable[[Name], bool], name: Name) -> bool:
    return name in STORAGE_TYPES or str(name) in VALUES or is_shell(name)
