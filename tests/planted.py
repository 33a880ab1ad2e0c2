"""A network in plain numpy whose words hang on known cells of the photo, so that evidence has a right answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.errors import ModelError
from attnviz.network import NOTHING_ASKED, Asked, Prepared
from attnviz.photo.frame import Frame
from attnviz.photo.image import Photo
from attnviz.trace import ImageInfo, Trace

GRID = (4, 4)
INPUT = (64, 64)
STEEP = 12.0  # logits from a black cell to a white one


class Planted:
    """Says `words`; word t is likely when cell `cells[t]` is bright, always alike where that is None.

    Args:
        maps: (T, 4, 4), what it claims to look at.
    """

    name, mode, device, concurrent = "planted", None, "cpu", True

    def __init__(self, words: Sequence[str], cells: Sequence[tuple[int, int] | None], maps: np.ndarray) -> None:
        self.words, self.cells, self.maps = tuple(words), tuple(cells), np.asarray(maps, np.float32)

    def fingerprint(self) -> str:
        return repr((self.words, self.cells, self.maps.tolist()))

    def check(self, asked: Asked) -> None:
        if asked.map != "attention":
            raise ModelError("planted has one map")

    def prepare(self, photo: Photo, asked: Asked = NOTHING_ASKED) -> Prepared:
        frame = Frame.stretch(photo.size, INPUT, GRID)
        seen = frame.apply(photo.pixels).reshape(4, 16, 4, 16, 3).mean(axis=(1, 3, 4)) / 255
        return Prepared(seen, frame, ImageInfo(photo.name, photo.size, photo.sha256), seen.nbytes)

    def describe(self, prepared: Sequence[Prepared], asked: Asked) -> list[Trace]:
        return [
            Trace(
                weights=self.maps,
                tokens=self.words,
                logprobs=np.array([self.logprob(one.inputs, cell) for cell in self.cells], np.float32),
                frame=one.frame,
                image=one.image,
                model=self.name,
            )
            for one in prepared
        ]

    @staticmethod
    def logprob(seen: np.ndarray, cell: tuple[int, int] | None) -> float:
        return -0.5 if cell is None else -float(np.logaddexp(0, -STEEP * (seen[cell] - 0.6)))


def peaked(*cells: tuple[int, int]) -> np.ndarray:
    """(T, 4, 4): half of each word's weight on its cell, the rest falling off from cell to cell in order."""
    maps = np.tile(np.linspace(2, 1, 16).reshape(GRID), (len(cells), 1, 1))
    maps /= 2 * maps.sum(axis=(1, 2), keepdims=True)
    for row, cell in zip(maps, cells, strict=True):
        row[cell] += 0.5
    found: np.ndarray = maps / maps.sum(axis=(1, 2), keepdims=True)
    return found


def lit(*cells: tuple[int, int], size: tuple[int, int] = (80, 120)) -> Photo:
    """A black photo with white cells."""
    pixels = np.zeros((*size, 3), np.uint8)
    for row, column in cells:
        high, wide = size[0] // 4, size[1] // 4
        pixels[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = 255
    return Photo(pixels, "lit.png", None)


def removed(photo: Photo, gone: list[int]) -> Photo:
    """The cells in `gone` in the photo's mean colour, pixel by pixel."""
    pixels = photo.pixels.copy()
    mean = np.rint(photo.pixels.reshape(-1, 3).astype(float).mean(axis=0)).astype(np.uint8)
    h, w = photo.size
    for y in range(h):
        for x in range(w):
            if int((y + 0.5) * 4 / h) * 4 + int((x + 0.5) * 4 / w) in gone:
                pixels[y, x] = mean
    return Photo(pixels, photo.name, None)
