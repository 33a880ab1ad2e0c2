"""Whole modules of torch as shells: the parts in them, their parameters by name, and how these compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attnviz.adapters.pickles import Shell
from attnviz.adapters.resnet import COUNTER, Shape
from attnviz.adapters.tensors import Tensor
from attnviz.errors import ModelError

MODULES = 5000
"""In one half of a network at most: a ResNet-152 has 509."""

Module = Shell | dict[str, Any]
"""A half of the network: a whole module, or a state dict."""


def unwrapped(module: Module) -> Module:
    """What `DataParallel` holds."""
    if isinstance(module, dict):
        return {str(key).removeprefix("module."): value for key, value in module.items()}
    inner = children(module).get("module") if module.kind.name.endswith("DataParallel") else None
    return inner if isinstance(inner, Shell) else module


def children(module: Shell) -> dict[str, Any]:
    found = module.state.get("_modules")
    return found if isinstance(found, dict) else {}


def parameters(module: Module) -> Iterator[tuple[str, Tensor]]:
    """Name -> tensor, of a module and of those in it. Raises ModelError for what is none."""
    waiting: list[tuple[str, Module]] = [("", module)]
    for _ in range(MODULES):
        if not waiting:
            return
        prefix, one = waiting.pop()
        tables = [one] if isinstance(one, dict) else [one.state.get(key) or {} for key in ("_parameters", "_buffers")]
        for table in tables:
            if not isinstance(table, dict):
                raise ModelError("a module in it has no table of parameters")
            for name, tensor in table.items():
                if tensor is not None and not isinstance(tensor, Tensor):
                    raise ModelError(f"{prefix}{name} in it is no tensor")
                if tensor is not None:
                    yield f"{prefix}{name}", tensor
        parts = {} if isinstance(one, dict) else children(one)
        waiting += [(f"{prefix}{name}.", part) for name, part in reversed(parts.items()) if isinstance(part, Shell)]
    raise ModelError(f"holds more than {MODULES:,} modules, or one that lies in itself")


def compare(which: str, wanted: Mapping[str, Shape], found: Mapping[str, Shape]) -> None:
    """Raises ModelError at the first name where two tables of shapes differ; old files lack the norms' counters."""
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name) and not (name.endswith(COUNTER) and name not in found):
            shapes = (" x ".join(map(str, table[name])) if name in table else "missing" for table in (found, wanted))
            held, asked = shapes
            raise ModelError(f"its {which} is another than the tutorial's: {name} is {held}, not {asked}")
