"""How each family's image tokens lie on the photo: from what the processor gave to a `Layout`.

A picture here is one of those that the model's input holds, such as a tile. Each shows the photo at a `Placement`,
which was measured (frames.py).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.adapters.hf.grids import Ints, Layout, View, union
from attnviz.errors import ModelError
from attnviz.photo.frame import Frame

if TYPE_CHECKING:
    from attnviz.adapters.hf.families import Family
    from attnviz.photo.measure import Placement
    from attnviz.photo.sizes import Size


@dataclass(frozen=True)
class Seen:
    """What a layout is made of.

    Attributes:
        family: its row.
        config: the model's configuration.
        photo: size of the photo, (H, W).
        inputs: what the processor gave.
        places: where each picture shows the photo; None for one that does not.
    """

    family: Family
    config: Any
    photo: Size
    inputs: Mapping[str, Any]
    places: Sequence[Placement | None]

    @property
    def cell(self) -> Size:
        """Pixels of a picture that a token stands for, (height, width)."""
        cell = self.family.cell(self.config)
        return cell if isinstance(cell, tuple) else (cell, cell)


def layout_of(seen: Seen) -> Layout:
    """Where the image tokens lie. Raises ModelError for what a family's layout does not provide for."""
    return _LAYOUTS[seen.family.layout](seen)


def _plain(seen: Seen) -> Layout:
    """One picture, whose tokens come row by row."""
    if len(seen.places) != 1:
        raise ModelError(
            f"the processor makes {len(seen.places)} pictures of a photo, and this family is known with one; turn off "
            "what cuts the photo into crops (such as do_pan_and_scan)"
        )
    frame = _frame(seen, _shown(seen, 0))
    return Layout((View(frame, _from(0, frame)),), math.prod(frame.grid), seen.family.leads)


def _merged(seen: Seen) -> Layout:
    """Qwen: a grid of patches of its own for each photo (`image_grid_thw`), of which squares become one token."""
    times, high, wide = (int(number) for number in seen.inputs["image_grid_thw"][0])
    merge = int(seen.config.vision_config.spatial_merge_size)
    if times != 1:
        raise ModelError("the processor makes a video of the photo; attnviz looks at single photos")
    place = _shown(seen, 0)
    frame = Frame(seen.photo, place.input, (high // merge, wide // merge), *_whole(place))
    return Layout((View(frame, _from(0, frame)),), math.prod(frame.grid))


def _listed(seen: Seen) -> Layout:
    """Pix2Struct: as many patches as fit, each with the number of its row and column, both from 1; then padding.

    The photo is stretched to the patches' grid. It cannot be measured, since each picture is brought to mean 0 and
    deviation 1 by itself.
    """
    patches = seen.inputs["flattened_patches"][0]
    rows, columns = (patches[:, axis].round().int().numpy() for axis in (0, 1))
    count = int((rows > 0).sum())
    grid = (int(rows.max()), int(columns.max()))
    order = np.full(grid, -1, np.intp)
    order[rows[:count] - 1, columns[:count] - 1] = np.arange(count)
    if (order < 0).any():
        raise ModelError("the processor's patches do not cover the photo; use the processor that came with the model")
    side = math.isqrt((patches.shape[1] - 2) // 3)
    frame = Frame.stretch(seen.photo, (grid[0] * side, grid[1] * side), grid)
    return Layout((View(frame, order),), len(rows))


def _tiles(seen: Seen) -> Layout:
    """Idefics3, SmolVLM, InternVL: tiles row by row, and behind them, where there are several, the whole photo."""
    several = len(seen.places) > 1
    tiles = _on_one_scale(seen, range(len(seen.places) - several))
    size = _size(tiles)
    views = [View(frame, _from(number * size, frame)) for number, frame in enumerate(tiles) if frame is not None]
    if several:
        frame = _frame(seen, _shown(seen, len(seen.places) - 1))
        views.append(View(frame, _from(len(tiles) * size, frame), overview=True))
    return Layout(tuple(views), (len(tiles) + several) * size)


def _squares(seen: Seen) -> Layout:
    """Llama 3.2 Vision: tiles with a class token in front of each. Those that are not used are there, and masked."""
    number = int(seen.inputs["aspect_ratio_ids"][0, 0]) - 1  # 0 is for no picture
    tiles = _on_one_scale(seen, range(len(seen.places)), seen.config.vision_config.supported_aspect_ratios[number])
    size = 1 + _size(tiles)
    views = [View(frame, _from(number * size + 1, frame)) for number, frame in enumerate(tiles) if frame is not None]
    return Layout(tuple(views), len(tiles) * size)


def _packed(seen: Seen) -> Layout:
    """LLaVA-NeXT and OneVision: the whole photo, then tiles put together, less the padding, each row with an end."""
    whole = _frame(seen, _shown(seen, 0))
    overview = View(whole, _from(0, whole), overview=True)
    count = overview.tokens.size
    if len(seen.places) == 1:
        return Layout((overview,), count + 1)
    tiles, kept = _canvas(seen, whole)
    grid = (len(kept[0]), len(kept[1]))
    side = whole.grid[0]
    most = str(getattr(seen.config, "vision_aspect_ratio", "")).removeprefix("anyres_max_")
    ratio = math.sqrt(grid[0] * grid[1] / (int(most) * side**2)) if most.isdigit() else 1.0
    if ratio > 1.1:  # OneVision, of many tiles: fewer cells, over the same part
        frame = union([part for _, _, part in tiles])
        fewer = (int(grid[0] // ratio), int(grid[1] // ratio))
        frame = replace(frame, grid=fewer)
        lines = np.arange(fewer[0] * (fewer[1] + 1)).reshape(fewer[0], fewer[1] + 1)
        return Layout((overview, View(frame, count + lines[:, :-1])), count + lines.size)
    lines = count + np.arange(grid[0] * (grid[1] + 1)).reshape(grid[0], grid[1] + 1)
    views = [View(part, lines[rows, columns]) for rows, columns, part in tiles]
    return Layout((overview, *views), count + lines.size)


def _canvas(seen: Seen, whole: Frame) -> tuple[list[tuple[slice, slice, Frame]], tuple[range, range]]:
    """The tiles that a canvas is cut into, as (rows of the kept cells, columns of them, frame); and which cells of the
    canvas are kept.
    """
    from transformers.image_processing_utils import select_best_resolution

    photo = [int(number) for number in seen.inputs["image_sizes"][0]]
    wanted = select_best_resolution(photo, seen.config.image_grid_pinpoints)
    picture, side, cell = _shown(seen, 0).input, whole.grid, seen.cell
    across = (wanted[0] // picture[0], wanted[1] // picture[1])
    kept = _unpadded(photo, (across[0] * side[0], across[1] * side[1]))
    best = max(range(1, len(seen.places)), key=lambda number: _area(seen, number))
    resized, offset = _whole(_shown(seen, best))
    at = divmod(best - 1, across[1])
    tiles = []
    for row, column in itertools.product(range(across[0]), range(across[1])):
        spans = []
        for axis, number in enumerate((row, column)):
            first = max(number * side[axis], kept[axis].start)
            stop = min((number + 1) * side[axis], kept[axis].stop)
            corner = offset[axis] + (at[axis] - number) * picture[axis] - (first - number * side[axis]) * cell[axis]
            spans.append((first - kept[axis].start, stop - first, corner))
        (top, high, y), (left, wide, x) = spans
        if high > 0 and wide > 0:
            extent = (high * cell[0], wide * cell[1])
            if _overlap((y, x), resized, extent):
                frame = Frame(seen.photo, extent, (high, wide), resized, (y, x))
                tiles.append((slice(top, top + high), slice(left, left + wide), frame))
    return tiles, kept


def _unpadded(photo: Sequence[int], canvas: Size) -> tuple[range, range]:
    """The cells of a canvas, on each axis, that are kept when the padding beside a photo of this shape is cut off."""
    (height, width), (rows, columns) = photo, canvas
    if width / height > columns / rows:
        margin = (rows - int(round(height * columns / width, 7))) // 2
        return range(margin, rows - margin), range(columns)
    margin = (columns - int(round(width * rows / height, 7))) // 2
    return range(rows), range(margin, columns - margin)


def _size(tiles: Sequence[Frame | None]) -> int:
    """Cells of a tile."""
    return next(math.prod(frame.grid) for frame in tiles if frame is not None)


def _from(first: int, frame: Frame) -> Ints:
    """(h, w) the numbers of image tokens that come row by row, from `first`."""
    return first + np.arange(math.prod(frame.grid)).reshape(frame.grid)


def _shown(seen: Seen, number: int) -> Placement:
    place = seen.places[number]
    if place is None:
        raise ModelError("the processor's picture does not show the photo; use the processor that came with the model")
    return place


def _whole(place: Placement) -> tuple[Size, Size]:
    """(resized, offset) as the whole numbers that they must be."""
    (height, width), (top, left) = place.resized, place.offset
    return (round(height), round(width)), (round(top), round(left))


def _area(seen: Seen, number: int) -> float:
    """Pixels of a picture that show the photo."""
    place = seen.places[number]
    return 0.0 if place is None else _overlap(place.offset, place.resized, place.input)


def _overlap(offset: Sequence[float], resized: Sequence[float], extent: Sequence[float]) -> float:
    """Pixels of a picture of size `extent` that a photo covers, resized and put at an offset."""
    spans = zip(offset, resized, extent, strict=True)
    return math.prod(max(min(start + size, whole) - max(start, 0), 0) for start, size, whole in spans)


def _frame(seen: Seen, place: Placement) -> Frame:
    """The frame of a picture and its cells. What the cells do not reach, at its end, the model does not see."""
    grid, extent = zip(
        *((size // cell, size // cell * cell) for size, cell in zip(place.input, seen.cell, strict=True)), strict=True
    )
    return Frame(seen.photo, (extent[0], extent[1]), (grid[0], grid[1]), *_whole(place))


def _on_one_scale(seen: Seen, numbers: Sequence[int], across: Sequence[int] | None = None) -> list[Frame | None]:
    """The frames of tiles, which are parts of one picture; None for those that do not show the photo.

    The picture's scale is measured best where the most of it is shown, and every tile is whole tiles away from there.

    Args:
        across: rows and columns of tiles; by default where they are is measured.
    """
    best = max(numbers, key=lambda number: _area(seen, number))
    place = _shown(seen, best)
    resized, offset = _whole(place)
    own = _frame(seen, place)
    frames: list[Frame | None] = []
    for number in numbers:
        away = _tiles_away(seen, number, best, across)
        if away is not None:
            corner = (offset[0] - away[0] * place.input[0], offset[1] - away[1] * place.input[1])
            if _overlap(corner, resized, own.input):
                frames.append(Frame(seen.photo, own.input, own.grid, resized, corner))
                continue
        frames.append(None)
    return frames


def _tiles_away(seen: Seen, number: int, other: int, across: Sequence[int] | None) -> Size | None:
    """How many tiles down and right of another one a tile lies; None for one that is not used."""
    if across is not None:  # known even of a tile that shows too little to be measured
        (row, column), (row_0, column_0) = divmod(number, across[1]), divmod(other, across[1])
        return None if number >= math.prod(across) else (row - row_0, column - column_0)
    place, there = seen.places[number], seen.places[other]
    if place is None or there is None:
        return None
    down, right = (
        round((far - near) / size) for far, near, size in zip(there.offset, place.offset, place.input, strict=True)
    )
    return down, right


_LAYOUTS: dict[str, Callable[[Seen], Layout]] = {
    "plain": _plain,
    "merged": _merged,
    "listed": _listed,
    "tiles": _tiles,
    "squares": _squares,
    "packed": _packed,
}
