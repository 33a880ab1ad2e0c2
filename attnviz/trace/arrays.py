"""What people hand over for a trace, as checked numpy arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from attnviz.errors import TraceError, counted
from attnviz.limits import MOST_CELLS, MOST_CHARACTERS, MOST_STEPS, MOST_VALUES
from attnviz.photo.arrays import to_numpy

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

SUM_TOLERANCE = 1e-3  # how far a step's weights may sum from 1: half precision passes


def check_shape(name: str, shape: Sequence[int]) -> None:
    """Raises TraceError for an array (T, ...) beyond the limits of a trace, which the guide on trace files names."""
    if shape and shape[0] > MOST_STEPS:
        raise TraceError(f"{name} of {shape[0]:,} steps are too many; a trace has at most {MOST_STEPS:,}: keep fewer")
    if len(shape) == 3 and max(shape[1:]) > MOST_CELLS:
        raise TraceError(
            f"{name} on a grid of {shape[1]:,}x{shape[2]:,} cells are too fine; a grid has at most "
            f"{MOST_CELLS:,}x{MOST_CELLS:,}: average neighbouring cells"
        )
    if math.prod(shape) > MOST_VALUES:
        raise TraceError(
            f"{name} of shape {tuple(shape)} are too many; a trace has at most {MOST_VALUES:,} of them: keep fewer "
            "steps, or average neighbouring cells"
        )


def floats(name: str, value: Any, axes: tuple[str, ...]) -> Floats:
    """`value` as a float32 array of its own, with so many axes, that nobody can write to. Raises TraceError."""
    array = to_numpy(name, value, TraceError)
    if array.dtype.kind != "f":
        raise TraceError(f"{name} must be floating-point numbers ({', '.join(axes)}), not {array.dtype}")
    if array.ndim != len(axes) or 0 in array.shape[1:]:
        raise TraceError(f"{name} must have the shape ({', '.join(axes)}), not {array.shape}")
    check_shape(name, array.shape)
    if array.dtype == np.float32 and array.flags.c_contiguous and array.flags.owndata and not array.flags.writeable:
        return array  # it is such a one already, fresh from a file
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.array(array, np.float32, order="C")
    array.setflags(write=False)
    return array


def over_mean(weights: Floats) -> Floats:
    """(T, h, w): each step divided by the mean of all steps, and made to sum to 1; 0 where the mean is."""
    found = np.zeros_like(weights)
    mean = weights.mean(axis=0, dtype=np.float64) if len(weights) else found
    for step, one in enumerate(weights):  # one by one: copies of all as float64 would take much memory
        ratio = np.divide(one, mean, out=np.zeros(one.shape), where=mean > 0)
        found[step] = ratio / ratio.sum()
    return found


def word_numbers(value: Any, steps: int) -> Ints:
    """(T,) int32: the number of each piece's word, counted from 0 without a gap. Raises TraceError."""
    array = to_numpy("words", value, TraceError)
    if array.dtype.kind not in "iu" or array.shape != (steps,):
        raise TraceError(f"words must be whole numbers, one a step ({steps},), not {array.dtype} of {array.shape}")
    rises = np.diff(array.astype(np.int64), prepend=-1)
    if steps and (rises[0] != 1 or not np.isin(rises, (0, 1)).all()):
        raise TraceError("words must count from 0 and rise by 0 or 1 from piece to piece")
    array = array.astype(np.int32)
    array.setflags(write=False)
    return array


def shares(name: str, value: Any, steps: int) -> Floats:
    """(T,) float32 from 0 to 1. Raises TraceError."""
    array = floats(name, value, ("T",))
    if array.shape != (steps,):
        raise TraceError(f"{name} of shape {array.shape} do not fit {counted(steps, 'step')}")
    if not ((array >= 0) & (array <= 1 + SUM_TOLERANCE)).all():
        raise TraceError(f"{name} must be shares, from 0 to 1")
    array = np.minimum(array, np.float32(1))
    array.setflags(write=False)
    return array


def texts(value: Any) -> tuple[str, ...]:
    """Tokens as a tuple of strings. Raises TraceError."""
    if isinstance(value, str) or not hasattr(value, "__iter__") or not all(isinstance(text, str) for text in value):
        raise TraceError("tokens must be a tuple of strings, one a step")
    if any("\0" in text for text in value):
        raise TraceError("a token holds the character NUL, which no trace file can keep; leave it out")
    if len(value) * (longest := max(map(len, value), default=0)) > MOST_CHARACTERS:
        raise TraceError(
            f"{len(value):,} tokens of up to {longest:,} characters are too long; a trace has at most "
            f"{MOST_CHARACTERS:,}, each token counted as the longest"
        )
    return tuple(map(str, value))  # numpy's strings too


def indices(steps: Any, count: int) -> list[int]:
    """Steps of a trace that has `count`, as Python's indices; those below 0 count from the end. Raises TraceError."""
    if isinstance(steps, str) or not hasattr(steps, "__iter__"):
        raise TraceError(f"steps must be a sequence of whole numbers, not {steps!r}")
    for step in (chosen := list(steps)):
        if not isinstance(step, int | np.integer) or isinstance(step, bool) or not -count <= step < count:
            raise TraceError(f"there is no step {step!r}; the trace has {count}, counted from 0")
    return [int(step) for step in chosen]


def check_distributions(name: str, weights: Floats) -> None:
    """Raises TraceError unless each step's weights, (T, ...), are at least 0 and sum to 1."""
    cells = tuple(range(1, weights.ndim))
    sound = (np.isfinite(weights) & (weights >= 0)).all(axis=cells)
    if not sound.all():
        step = int(sound.argmin())
        raise TraceError(f"{name} of step {step} are negative or no numbers; give them after the softmax")
    sums = weights.sum(axis=cells, dtype=np.float64)
    wrong = np.abs(sums - 1) > SUM_TOLERANCE
    if not wrong.any():
        return
    step = int(wrong.argmax())
    if sums[step] == 0:
        raise TraceError(
            f"{name} of step {step} are all 0, which is no attention; leave the step out (its token too), or fill it "
            f"with 1/{weights[0].size} to say that it looks everywhere alike"
        )
    raise TraceError(f"{name} of step {step} sum to {sums[step]:.6g}, not 1; divide each step by its sum")
