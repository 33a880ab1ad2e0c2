"""The colour bar: what each colour stands for, in times uniform, and where painting begins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from attnviz.render.heatmap import THRESHOLD, Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

PARTS = Scale("parts", 1.0)  # for pictures side by side that have a scale of their own each: parts of its top

GREY = 150  # the photo value that the bar's colours lie on, as they lie on the photo in the picture

# From the longest wording to the shortest: a strip takes the first that fits.
TITLES = {
    "log": (
        "attention, times uniform · the same scale in every picture",
        "attention, times uniform",
        "× uniform",
    ),
    "linear": ("attention, times uniform · fixed scale", "× uniform · fixed scale", "× uniform"),
    "shared": ("attention, times uniform · one scale for all steps", "× uniform · shared scale", "× uniform"),
    "step": (
        "attention, times uniform · own scale at each step",
        "× uniform · own scale each step",
        "× uniform · own scale",
        "own scale",
    ),
    "parts": (
        "attention, % of each picture's largest (above it, times uniform)",
        "% of each picture's largest",
        "% of its largest",
        "own scales",
    ),
}


def titles(scale: Scale, known: Mapping[str, Sequence[str]] = TITLES) -> list[str]:
    """What a scale's bar is called, from the longest wording to the shortest; what is no plain attention is named."""
    found = [*known[scale.name]]
    if scale.of == "attention":
        return found
    short = "relative" if scale.of == "relative attention" else scale.of.split(" × ")[0]
    return [*(one.replace("attention", scale.of) for one in found if "attention" in one), scale.of, short]


def gradient(scale: Scale, table: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(H, W, 3): the colours of the bar from end to end, as painted over a middling grey."""
    height, width = size
    row = table[:, scale.levels(scale.at((np.arange(width) + 0.5) / width)), GREY].T
    return np.repeat(row[None], height, axis=0)


def ticks(scale: Scale) -> list[tuple[float, str]]:
    """(position from 0 to 1, label) of round numbers and of the scale's top, ascending.

    A bar of doublings has one mark each, and says that what lies below its first is not painted.
    """
    if scale.doubling:
        count = round(math.log2(scale.top / scale.bottom))
        values = [scale.bottom * 2**number for number in range(count + 1)]
        signs = ["≤", *[""] * (count - 1), "≥" if scale.clipped else ""]
        return [(scale.position(value), f"{sign}{value:g}") for sign, value in zip(signs, values, strict=True)]
    if scale.name == PARTS.name:
        return [(part / 4, f"{25 * part} %" if part else "0") for part in range(5)]
    rough = scale.top / 5
    power = 10.0 ** math.floor(math.log10(rough))
    pitch = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    marks = [(value / scale.top, f"{value:g}") for value in (pitch * i for i in range(math.ceil(scale.top / pitch)))]
    top = f"{scale.top:.3g}" if scale.top < 100 else f"{scale.top:.0f}"
    return [*marks, (1.0, f"≥{top}" if scale.clipped else top)]


def spread(
    marks: list[tuple[float, str]], width: int, measure: Callable[[str], int], gap: int
) -> list[tuple[int, str]]:
    """(x of the label's left edge, label) on a bar of `width` pixels; labels that would touch are left out.

    The first and the last number always stay.
    """
    placed: list[tuple[int, str]] = []
    last = _left(marks[-1], width, measure)
    for mark in marks[:-1]:
        left = _left(mark, width, measure)
        free = placed[-1][0] + measure(placed[-1][1]) + gap if placed else 0
        if not placed or (left >= free and left + measure(mark[1]) + gap <= last):
            placed.append((left, mark[1]))
    return [*placed, (last, marks[-1][1])]


def _left(mark: tuple[float, str], width: int, measure: Callable[[str], int]) -> int:
    text = measure(mark[1])
    return min(max(round(mark[0] * width - text / 2), 0), max(width - text, 0))


def onset(scale: Scale) -> float | None:
    """Where on the bar painting begins, from 0 to 1; None where it does at its very end."""
    return None if scale.doubling else THRESHOLD
