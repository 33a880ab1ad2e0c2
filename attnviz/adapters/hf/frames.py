"""Where a model's own processor puts the photo, measured once for each size of photo (see attnviz.photo.measure)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attnviz.errors import ConfigError, ModelError
from attnviz.photo.measure import measure_tiles

if TYPE_CHECKING:
    from attnviz.photo.measure import Placement
    from attnviz.photo.sizes import Size

SIZES = 256
"""Sizes of photos that are remembered."""


class Places:
    """Remembers, for each size of photo, where the pictures in a model's input show it.

    Args:
        process: from a PIL image to what `generate` takes.
        merge: of processors that cut pictures into patches (`image_grid_thw`), how many along a side make a token.
    """

    def __init__(self, process: Callable[[Any], dict[str, Tensor]], merge: int = 1) -> None:
        self._process, self._merge = process, merge
        self._known: OrderedDict[Size, list[Placement | None]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, photo: Size) -> list[Placement | None]:
        """For each picture in the model's input, where it shows a photo of this size; None where it does not.

        Raises:
            ModelError: a processor that turns, mirrors or bends the photo, or is random.
        """
        with self._lock:
            if photo not in self._known:
                try:
                    self._known[photo] = measure_tiles(
                        lambda picture: pictures(self._process(picture), self._merge), photo, repeats=1
                    )
                except ConfigError as error:
                    raise ModelError(
                        f"where the model's processor puts a {photo[1]}x{photo[0]} photo cannot be told: {error}"
                    ) from error
                if len(self._known) > SIZES:
                    self._known.popitem(last=False)
            self._known.move_to_end(photo)
            return self._known[photo]


def pictures(inputs: dict[str, Tensor], merge: int = 1) -> Tensor:
    """(n, C, H, W): the pictures in a model's input; patches are put together again."""
    pixels = inputs["pixel_values"]
    if "image_grid_thw" not in inputs:
        return pixels.reshape(-1, *pixels.shape[-3:])
    times, high, wide = (int(number) for number in inputs["image_grid_thw"][0])
    depth = 2 if pixels.shape[1] % 2 == 0 else 1
    return _whole(pixels, (times, high, wide), merge, depth)


def _whole(patches: Tensor, grid: tuple[int, int, int], merge: int, depth: int) -> Tensor:
    """(T, C, H, W) from Qwen's patches, (T * h * w, C * depth * side * side).

    Squares of `merge` x `merge` patches come row by row, in each square its patches row by row, and in each patch its
    channels, frames (`depth` of them, alike) and pixels.
    """
    times, high, wide = grid
    side = round((patches.shape[1] / (3 * depth)) ** 0.5)
    split = patches.reshape(times, high // merge, wide // merge, merge, merge, 3, depth, side, side)[:, ..., 0, :, :]
    rows_and_columns = split.permute(0, 5, 1, 3, 6, 2, 4, 7)  # T, C, then the rows' three axes and the columns'
    return torch.reshape(rows_and_columns, (times, 3, high * side, wide * side))
