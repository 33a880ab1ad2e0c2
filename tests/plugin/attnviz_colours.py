"""A network for attnviz that names the colours of a photo: no learning, no torch, but all that attnviz asks of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz import Frame, Trace
from attnviz.errors import ModelError
from attnviz.network import NOTHING_ASKED, Asked, Prepared
from attnviz.trace import ImageInfo

if TYPE_CHECKING:
    from attnviz.photo.image import Photo

PALETTE = {
    "black": (20, 20, 20),
    "grey": (128, 128, 128),
    "white": (240, 240, 240),
    "red": (200, 40, 40),
    "orange": (230, 140, 30),
    "yellow": (235, 220, 60),
    "green": (60, 140, 50),
    "blue": (50, 90, 190),
    "brown": (120, 80, 50),
    "pink": (230, 150, 170),
}
MOST_WORDS, LEAST_SHARE = 5, 0.05
CELL = 8  # pixels of the input that a cell has on each side


class Colours:
    """Writes the names of the colours that cover most, and looks at the cells that have them."""

    name = "colours"
    mode = None  # one way of looking: there is nothing to choose
    device = "cpu"
    concurrent = True  # nothing is kept between calls

    def __init__(self, cells: int = 24) -> None:
        self.cells = cells  # along the longer side of a photo

    def fingerprint(self) -> str:
        """Whatever decides the result: `attnviz batch` does a folder anew when this changes."""
        return f"1.0 {self.cells} {PALETTE}"

    def check(self, asked: Asked) -> None:
        """Refuses in one line what this network does not know."""
        if others := sorted(asked.changed()):
            raise ModelError(f"{self.name}: there is no {others[0]} to choose; leave it out")

    def prepare(self, photo: Photo, asked: Asked = NOTHING_ASKED) -> Prepared:
        """(h, w, colours): of each cell, the share that each colour has. The photo itself is not kept."""
        longer = max(photo.size)
        grid = tuple(max(1, round(self.cells * side / longer)) for side in photo.size)
        input = (CELL * grid[0], CELL * grid[1])
        frame = Frame.stretch(photo.size, input, (grid[0], grid[1]))
        pixels = frame.apply(photo.pixels).astype(np.float32)  # (H, W, 3)
        palette = np.array(list(PALETTE.values()), np.float32)
        nearest = ((pixels[:, :, None] - palette) ** 2).sum(-1).argmin(-1)  # (H, W)
        one_hot = nearest[..., None] == np.arange(len(palette))
        shares = one_hot.reshape(grid[0], CELL, grid[1], CELL, -1).mean((1, 3), dtype=np.float32)
        return Prepared(shares, frame, ImageInfo.of(photo), shares.nbytes)

    def describe(self, prepared: Sequence[Prepared], asked: Asked) -> list[Trace]:
        """A trace for each photo: of its own words, or of those that are given."""
        self.check(asked)
        return [self._trace(one, asked.text_of(number)) for number, one in enumerate(prepared)]

    def _trace(self, one: Prepared, text: str | None) -> Trace:
        covered = dict(zip(PALETTE, one.inputs.mean((0, 1)), strict=True))  # colour -> its share of the photo
        most = sorted(covered, key=lambda colour: -covered[colour])[:MOST_WORDS]
        own = [colour for colour in most if covered[colour] >= LEAST_SHARE]
        words = own if text is None else text.split()
        maps = dict(zip(PALETTE, np.moveaxis(one.inputs, -1, 0), strict=True))
        everywhere = np.ones(one.frame.grid, np.float32)
        looked = [maps[word] if covered.get(word) else everywhere for word in (word.lower() for word in words)]
        chances = [covered.get(word.lower(), 0.0) for word in words]
        settings: dict[str, Any] = {"given": text is not None, "cells": self.cells}
        return Trace(
            weights=np.stack([weights / weights.sum() for weights in looked]),  # each step sums to 1
            tokens=tuple(words),
            logprobs=np.log(np.maximum(chances, 1e-6)).astype(np.float32),
            frame=one.frame,
            image=one.image,
            model=self.name,
            settings=settings,
        )


def load(rest: str = "", *, mode: str | None = None, device: str = "auto") -> Colours:
    """`--model colours`, or `--model colours:32` for 32 cells along the longer side of a photo."""
    if mode is not None:
        raise ModelError(f"colours has no modes; leave out {mode}")
    if not (rest or "24").isdecimal() or not 1 <= int(rest or 24) <= 200:
        raise ModelError(f"colours:{rest}: give a number of cells from 1 to 200, such as colours:32")
    return Colours(int(rest or 24))
