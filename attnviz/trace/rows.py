"""Rows of attention, step by step, out of arrays of any shape and out of nested tuples."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from attnviz.errors import TraceError, counted
from attnviz.photo.arrays import to_numpy

if TYPE_CHECKING:
    from attnviz.photo.sizes import Size

Floats = npt.NDArray[np.float64]

NOTHING = (
    "attention holds nothing: the model's attention kernel keeps no weights; load it with attn_implementation='eager'"
)
SHAPES = "(T, N), (T, h, w), (L, H, T, N), or tuples as generate() gives them"


@dataclass(frozen=True)
class Rows:
    """The attention of some steps.

    Attributes:
        step: gives a step's rows, (L, H, K) of layers, heads and columns.
        length: K at the first step.
        grid: (h, w) of the picture's cells, where it is known.
        layered, headed: whether there were layers and heads to begin with.
        growing: K grows from step to step: the columns are of a text too, which is written meanwhile.
    """

    step: Callable[[int], Floats]
    length: int
    grid: Size | None
    layered: bool = False
    headed: bool = False
    growing: bool = False


@dataclass(frozen=True)
class Choice:
    """Which layers or heads are meant, and what becomes of several.

    Attributes:
        name: "layers" or "heads".
        told: the choice as text.
        numbers: which; None for all.
        largest: of several the largest value counts, not the mean.
    """

    name: str
    told: str
    numbers: tuple[int, ...] | None = None
    largest: bool = False

    @classmethod
    def of(cls, name: str, value: Any) -> Self:
        """From "mean", "all", "max", "last", a number, "10-20", or several numbers. Raises TraceError."""
        if isinstance(value, str):
            match = re.fullmatch(r"(mean|all)|(max)|(last)|([0-9]{1,4})(?:-([0-9]{1,4}))?", value)
            if match is not None and match[1]:
                return cls(name, "all" if name == "layers" else "mean")
            if match is not None and match[4]:
                first, last = int(match[4]), int(match[5] or match[4])
                if first <= last:
                    return cls(name, value, tuple(range(first, last + 1)))
            elif match is not None:
                return cls(name, value, (-1,) if match[3] else None, bool(match[2]))
        elif value is not None:
            numbers = list(value) if hasattr(value, "__iter__") else [value]
            if numbers and all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers):
                return cls(name, ",".join(str(n) for n in numbers), tuple(int(n) for n in numbers))
        raise TraceError(f"{name} must be mean, max, a number from 0, or several as 10-20, not {value!r:.60}")

    def pick(self, rows: Floats, axis: int) -> Floats:
        """The chosen ones along an axis. Raises TraceError where there are not so many."""
        count = rows.shape[axis]
        for number in self.numbers or ():
            if not -count <= number < count:
                raise TraceError(f"{self.name}: there is no {number}; there are {count}, counted from 0")
        return rows if self.numbers is None else rows.take(self.numbers, axis)

    def reduce(self, rows: Floats, axis: int) -> Floats:
        """One for all along an axis."""
        reduced: Floats = rows.max(axis=axis) if self.largest else rows.mean(axis=axis)
        return reduced


def rows_of(attention: Any, steps: int, grid: Size | None) -> Rows:
    """The rows of attention for so many tokens.

    Args:
        attention: see `Trace.of`.
        steps: the number of tokens.
        grid: (h, w), where it is known.

    Raises:
        TraceError: of another shape, of another number of steps, or empty.
    """
    if isinstance(attention, Mapping) or hasattr(attention, "sequences"):
        raise TraceError("attention must be arrays; of what generate() returns, give cross_attentions or attentions")
    if isinstance(attention, tuple | list) and not _is_numbers(attention):
        return _of_parts(attention, steps, grid)
    array = _numbers(attention)
    shape = array.shape
    if array.ndim == 2:
        _check_count(shape[0], steps, grid)
        return Rows(lambda step: array[step].astype(np.float64)[None, None], shape[1], grid)
    if array.ndim == 3 and _are_maps(shape, steps, grid):
        _check_count(shape[0], steps, grid)
        if grid is not None and shape[1:] != grid:
            raise TraceError(f"attention of shape {shape} is on a grid of {shape[1:]}, not of {grid}; leave grid out")
        flat = array.reshape(len(array), -1)
        return Rows(lambda step: flat[step].astype(np.float64)[None, None], flat.shape[1], (shape[1], shape[2]))
    if array.ndim == 5 and shape[1] == 1:
        array = array[:, 0]
    elif array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or 0 in array.shape:
        raise TraceError(f"attention of shape {shape} is none of {SHAPES}")
    _check_count(array.shape[2], steps, grid)
    return Rows(lambda step: array[:, :, step].astype(np.float64), array.shape[3], grid, len(shape) > 3, True)


def _are_maps(shape: tuple[int, ...], steps: int, grid: Size | None) -> bool:
    """Whether three axes are (T, h, w), and not (H, T, N)."""
    if grid is not None and shape[1:] == grid:
        return True
    if shape[1] != steps:
        return True
    if shape[0] == steps > 1 and grid is None and shape[1] != shape[2]:
        raise TraceError(
            f"attention of shape {shape} may be maps (T, h, w) or heads (H, T, N); say which with grid=(h, w)"
        )
    return shape[0] == steps > 1 and grid is None


def _of_parts(attention: Sequence[Any], steps: int, grid: Size | None) -> Rows:
    """Of a tuple for each step, of a tensor for each layer; or of a tensor for each step or layer."""
    if any(part is None or (isinstance(part, tuple | list) and not part) for part in (attention, *attention)):
        raise TraceError(NOTHING)
    first = attention[0]
    if isinstance(first, tuple | list) and not _is_numbers(first):
        _check_count(len(attention), steps, grid)
        lengths = [_last_row(part[0]).shape[-1] for part in attention]
        return Rows(
            lambda step: np.stack([_last_row(layer) for layer in attention[step]]),
            lengths[0],
            grid,
            True,
            True,
            len(set(lengths)) > 1,
        )
    parts = [_numbers(part) for part in attention]
    if parts[0].ndim < 3:
        if len({part.shape for part in parts}) > 1:
            raise TraceError("attention has parts of several shapes; give one of (N,) or (h, w) for each token")
        return rows_of(np.stack(parts), steps, grid)
    if len(parts) == steps and parts[0].shape[-2] != steps:  # a tensor for each step, of a single layer
        return _of_parts([(part,) for part in parts], steps, grid)
    layers = [part[0] if part.ndim == 4 and len(part) == 1 else part for part in parts]
    if any(layer.ndim != 3 or layer.shape != layers[0].shape for layer in layers):
        raise TraceError(f"attention has parts of shape {parts[0].shape}, which is none of {SHAPES}{_batch(parts[0])}")
    return rows_of(np.stack(layers), steps, grid)


def _last_row(layer: Any) -> Floats:
    """(H, K): what the newest token looks at, of (1, H, q, K), (H, q, K), (q, K) or (K,)."""
    array = _numbers(layer)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim > 3 or 0 in array.shape:
        raise TraceError(f"attention of a step has the shape {array.shape}, not (1, H, q, N){_batch(array)}")
    last = array[..., -1, :] if array.ndim > 1 else array
    return np.atleast_2d(last).astype(np.float64)


def _batch(array: npt.NDArray[Any]) -> str:
    if array.ndim != 4 or len(array) < 2:
        return ""
    return f"; the first axis is a batch of {len(array)}: give one image's, and greedy search instead of beams"


def _numbers(value: Any) -> npt.NDArray[Any]:
    if value is None:
        raise TraceError(NOTHING)
    array = to_numpy("attention", value, TraceError)
    if array.dtype.kind not in "fiu" or array.ndim == 0:
        raise TraceError(f"attention must be numbers, {SHAPES}, not {type(value).__name__} of {array.dtype}")
    return array


def _is_numbers(values: Sequence[Any]) -> bool:
    """Whether nested lists hold plain numbers, and not arrays."""
    inner: Any = values
    while isinstance(inner, tuple | list) and inner:
        inner = inner[0]
    return isinstance(inner, int | float | np.generic)


def _check_count(found: int, steps: int, grid: Size | None) -> None:
    if found != steps:
        end = "; the step of the end token is to be left out" if found == steps + 1 else ""
        raise TraceError(
            f"attention of {counted(found, 'step')}, but {counted(steps, 'token')}; give one token a step{end}"
        )
