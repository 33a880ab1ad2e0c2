"""Networks built without memory: names and shapes alone, to be compared with a file before anything is read of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

COUNTING = ("arange", "linspace", "tensor", "as_tensor")  # torchvision makes plain numbers of what these give


class _Untouched(TorchFunctionMode):
    """Whatever changes a tensor in place does nothing, so no weights are drawn.

    That saves time too: on torch's meta device, the first of such functions imports its whole symbolic machinery (2 s).
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, named = getattr(func, "__name__", ""), dict(kwargs or {})
        target = args[0] if args else named.get("tensor")  # as the functions of torch.nn.init name it
        if name.endswith("_") and not name.endswith("__") and isinstance(target, Tensor):
            return target
        if name in COUNTING:
            named.setdefault("device", "cpu")
        return func(*args, **named)


@contextmanager
def blank() -> Iterator[None]:
    """Modules made within have parameters of a shape and a type, and nothing in them; `assign` weights to them."""
    with torch.device("meta"), _Untouched():
        yield


def is_blank(module: torch.nn.Module) -> bool:
    """Whether some of the module's parameters or buffers still have nothing in them."""
    return any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
