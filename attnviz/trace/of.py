"""Attention as people have it becomes the fields of a trace: arrays of any shape and kind, tuples of a library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.errors import TraceError, counted
from attnviz.photo.frame import Frame
from attnviz.photo.sizes import whole_pair
from attnviz.trace.arrays import check_shape, texts
from attnviz.trace.meta import ImageInfo
from attnviz.trace.rows import Choice, Rows, rows_of
from attnviz.trace.words import Pieces

if TYPE_CHECKING:
    from attnviz.photo.sizes import Size


def fields_of(
    array: Any,
    tokens: Any,
    image: Any,
    grid: Size | int | None,
    skip: int | tuple[int, int],
    heads: Any,
    layers: Any,
    frame: Frame | None,
) -> dict[str, Any]:
    """What `Trace` is made of, from what `Trace.of` takes; see there. Raises AttnvizError."""
    words = None
    if isinstance(tokens, Pieces):
        tokens, words = tokens
    tokens = texts(tokens)
    if frame is not None and not isinstance(frame, Frame):
        raise TraceError(f"frame must be an attnviz.Frame, such as Frame.crop(...) makes, not {frame!r:.60}")
    if grid is not None:
        grid = whole_pair("grid", (grid, grid) if isinstance(grid, int) else grid)
    of_layers, of_heads = Choice.of("layers", layers), Choice.of("heads", heads)
    rows = rows_of(array, len(tokens), frame.grid if grid is None and frame is not None else grid)
    before, cells = _columns(rows, skip)
    height, width = cells
    check_shape("weights", (len(tokens), height, width))
    weights = np.zeros((len(tokens), height, width), np.float32)
    on_image = np.zeros(len(tokens), np.float32)
    for step, token in enumerate(tokens):
        name = f'attention of step {step} ("{token}")'
        with np.errstate(invalid="ignore"):  # of what is no number; it is said below
            chosen = of_heads.pick(of_layers.pick(rows.step(step), axis=0), axis=1)
        if not (np.isfinite(chosen) & (chosen >= 0)).all():
            raise TraceError(f"{name} is negative or no number; give it after the softmax")
        part = chosen[..., before : before + height * width]
        one = of_layers.reduce(of_heads.reduce(part, axis=1), axis=0)
        if not one.sum() > 0:
            raise TraceError(f"{name} is 0 on all of the picture's cells, so there is no map; leave the step out")
        weights[step] = (one / one.sum()).reshape(cells)
        # Rows that sum to less than 1 were cut from such that did; those that sum to more were never normalised.
        on_image[step] = part.sum(axis=-1).mean() / max(chosen.sum(axis=-1).mean(), 1.0)
    info = _info(image)
    return {
        "weights": weights,
        "tokens": tokens,
        "words": words,
        "on_image": on_image,
        "frame": Frame.stretch(info.size, info.size, cells) if frame is None and info is not None else frame,
        "image": info,
        "layers": of_layers.told if rows.layered else None,
        "heads": of_heads.told if rows.headed else None,
    }


def _columns(rows: Rows, skip: Any) -> tuple[int, Size]:
    """Where the picture's cells begin in a row, and the grid (h, w) that they make."""
    after: int | None
    before, after = (skip, None) if isinstance(skip, int | np.integer) else skip if _is_pair(skip) else (-1, None)
    if isinstance(before, bool) or before < 0 or (after is not None and after < 0):
        raise TraceError(
            f"skip must be the number of columns before the picture's (such as 1 for a CLS token), or (before, after), "
            f"not {skip!r:.40}"
        )
    length, left = rows.length, rows.length - int(before) - (after or 0)
    if left < 1:
        raise TraceError(f"attention has {counted(length, 'column')}, so skip={skip!r} leaves none for the picture")
    if rows.grid is None:
        if rows.growing:
            raise TraceError(
                "attention grows from step to step, so it looks at text too; say where the picture's columns are with "
                "grid=(h, w) and skip, the number of columns before them"
            )
        side = math.isqrt(left)
        if side * side == left:
            return int(before), (side, side)
        raise TraceError(f"{left} cells are no square grid; give grid=(h, w){_hint(left, None, skip)}")
    cells = math.prod(rows.grid)
    if left < cells or (left > cells and not rows.growing):
        shown = f"{rows.grid[0]}x{rows.grid[1]}"
        raise TraceError(
            f"attention has {counted(length, 'column')}, of which skip={skip!r} leaves {left}, but a grid of {shown} "
            f"has {counted(cells, 'cell')}{_hint(left, cells, skip)}"
        )
    return int(before), rows.grid


def _hint(left: int, cells: int | None, skip: Any) -> str:
    """What may be meant where columns are left over."""
    for extra, what in ((1, "a CLS token"), (2, "CLS and distillation tokens")):
        fits = left - extra == cells if cells is not None else math.isqrt(left - extra) ** 2 == left - extra > 0
        if fits and skip == 0:
            return f"; {what} in front? then skip={extra}"
    return "; skip=(before, after) leaves columns out at both ends" if cells is not None and left > cells else ""


def _is_pair(skip: Any) -> bool:
    return (
        isinstance(skip, tuple | list)
        and len(skip) == 2
        and all(isinstance(count, int | np.integer) and not isinstance(count, bool) for count in skip)
    )


def _info(image: Any) -> ImageInfo | None:
    if image is None or isinstance(image, ImageInfo):
        return image
    from attnviz.photo.image import Photo, load

    return ImageInfo.of(image if isinstance(image, Photo) else load(image))
