"""attnviz shows where an image-to-text network looks while it writes each word.

The public names, and the packages below, are resolved on first use, so that `import attnviz` is immediate and a program
that only draws saved traces never loads torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

from attnviz._version import __version__
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz import (
        adapters as adapters,
        batch as batch,
        captioner as captioner,
        data as data,
        errors as errors,
        evaluate as evaluate,
        evidence as evidence,
        network as network,
        photo as photo,
        render as render,
        trace as trace,
        train as train,
        zoo as zoo,
    )
    from attnviz.adapters.hf import adapt
    from attnviz.adapters.watch import watch
    from attnviz.explain import explain
    from attnviz.photo.frame import Frame
    from attnviz.render import draw
    from attnviz.render.figure import figure, figures
    from attnviz.render.single import log, overlay
    from attnviz.render.view import show
    from attnviz.trace import Step, Trace
    from attnviz.zoo import load_model

__all__ = [
    "AttnvizError",
    "Frame",
    "Step",
    "Trace",
    "__version__",
    "adapt",
    "draw",
    "explain",
    "figure",
    "figures",
    "load_model",
    "log",
    "overlay",
    "show",
    "watch",
]

_HOMES = {
    "Frame": "attnviz.photo.frame",
    "Step": "attnviz.trace",
    "Trace": "attnviz.trace",
    "adapt": "attnviz.adapters.hf",
    "draw": "attnviz.render",
    "explain": "attnviz.explain",
    "figure": "attnviz.render.figure",
    "figures": "attnviz.render.figure",
    "load_model": "attnviz.zoo",
    "log": "attnviz.render.single",
    "overlay": "attnviz.render.single",
    "show": "attnviz.render.view",
    "watch": "attnviz.adapters.watch",
}

_MODULES = (
    "adapters",
    "batch",
    "captioner",
    "data",
    "errors",
    "evaluate",
    "evidence",
    "network",
    "photo",
    "render",
    "trace",
    "train",
    "zoo",
)
"""Public modules: `attnviz.batch.run(...)` works after `import attnviz`."""

_MOVED = {
    "attnviz.geometry": "attnviz.photo.frame",
    "attnviz.image": "attnviz.photo.image",
    "attnviz.model": "attnviz.zoo",
}
"""Where public names lived before 0.2: these modules can still be imported."""


class _Package(ModuleType):
    """Keeps `attnviz.explain` the function: importing the module of that name would put the module in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


class _Moved:
    """Finds the modules of `_MOVED` where they are now."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, _Moved) if name in _MOVED else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__dict__["__getattr__"] = lambda name: getattr(import_module(_MOVED[spec.name]), name)
        return module

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """There is nothing to run: names are looked up in the new module on use."""


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


sys.modules[__name__].__class__ = _Package
sys.meta_path.append(_Moved)
