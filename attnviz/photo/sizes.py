"""Sizes as people give them, checked: whole numbers, real numbers, pairs of them."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from attnviz.errors import ConfigError

Size = tuple[int, int]
Reals = tuple[int, int] | tuple[float, float]
MAX_SIDE = 2**31 - 1

T = TypeVar("T")


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`. Raises ConfigError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_) or not least <= number <= MAX_SIDE:
        raise ConfigError(f"{name} must be {'positive ' if least > 0 else ''}whole numbers, not {value!r:.60}")
    return number


def whole_pair(name: str, value: Any, least: int = 1) -> Size:
    """`value` as two ints. Lists (from JSON) and numpy's integers will do. Raises ConfigError."""
    return _pair(name, value, "whole numbers", lambda item: whole(name, item, least))


def real_pair(name: str, value: Any, least: float = 1) -> Reals:
    """`value` as two numbers, those without a fraction as ints. Raises ConfigError."""

    def real(item: Any) -> float:
        known = isinstance(item, numbers.Real) and not isinstance(item, bool | np.bool_)
        if not known or not least <= item <= MAX_SIDE:  # which NaN and huge numbers are not
            raise ConfigError(f"{name} must be {'positive ' if least > 0 else ''}numbers, not {item!r:.40}")
        value = float(item)
        return int(value) if value.is_integer() else value

    return _pair(name, value, "numbers", real)


def _pair(name: str, value: Any, kind: str, convert: Callable[[Any], T]) -> tuple[T, T]:
    if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != 2:
        raise ConfigError(f"{name} must be two {kind}, (height, width), not {value!r:.60}")
    first, second = map(convert, value)
    return first, second
