"""attnviz shows where an image-to-text network looks while it writes each word.

The public names are resolved on first use, so that `import attnviz` is immediate and a program that only draws saved
traces never loads torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from attnviz._version import __version__
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.explain import explain
    from attnviz.photo.frame import Frame
    from attnviz.zoo import load_model
    from attnviz.render import draw
    from attnviz.render.figure import figure
    from attnviz.render.view import show
    from attnviz.trace import Step, Trace

__all__ = ["AttnvizError", "Frame", "Step", "Trace", "__version__", "draw", "explain", "figure", "load_model", "show"]

_HOMES = {
    "Frame": "attnviz.photo.frame",
    "Step": "attnviz.trace",
    "Trace": "attnviz.trace",
    "draw": "attnviz.render",
    "explain": "attnviz.explain",
    "figure": "attnviz.render.figure",
    "load_model": "attnviz.zoo",
    "show": "attnviz.render.view",
}


class _Package(ModuleType):
    """Keeps `attnviz.explain` the function: importing the module of that name would put the module in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _Package
