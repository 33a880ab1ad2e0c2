"""The readers under test: each module has a `TARGET`, and is called by its name."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.target import Target

TARGETS = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def target(name: str) -> Target:
    """The target of that name."""
    found: Target = import_module(f"{__name__}.{name}").TARGET
    return found
