"""What a tile of the gallery shows: a photo's words, where each was looked for, and which of them stands for all.

A gallery may have thousands of tiles, so their maps are small: one byte a cell, on a coarse grid where the model's is
fine. A code of 0 is nothing; from 1 on, density grows by the same factor each, so that a colour is right to a level or
two of 256 on a logarithmic bar. The explorer that a tile opens has the exact numbers.
"""

from __future__ import annotations

import base64
import math
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from attnviz.errors import AttnvizError
from attnviz.photo.frame import Frame
from attnviz.render.compare import check_words, kind_of, names_of
from attnviz.render.folder import SUMMARY
from attnviz.render.options import DrawOptions
from attnviz.trace import Trace
from attnviz.trace.file import loads
from attnviz.trace.wording import main_word, unsure

LEAST, MOST = 2.0**-4, 2.0**12  # densities of the codes 1 and 255, in times uniform
MOST_CELLS = 400  # of a tile's grid; finer ones are averaged
_TRACE = re.compile(r"trace(-.+)?\.npz")
_SUMMARY_BYTES = 16 * 2**20

MALFORMED = (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError)
"""What a summary that holds anything at all may raise."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tile:
    """The traces of one photo, ready to be shown.

    Attributes:
        traces: as they are drawn; the first wrote the words.
        options: how its pictures were drawn.
        steps: the drawn ones.
    """

    traces: tuple[Trace, ...]
    options: DrawOptions
    steps: tuple[int, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """All words of the caption."""
        return self.traces[0].tokens

    @property
    def labels(self) -> list[str]:
        """What the traces are called: their modes, or their models."""
        if len(self.traces) > 1:
            return names_of(self.traces)
        return [self.traces[0].mode or self.traces[0].model or ""]

    @property
    def kind(self) -> str:
        """What `labels` are names of."""
        return kind_of(self.traces) if len(self.traces) > 1 else "mode" if self.traces[0].mode else "model"

    def doubtful(self, number: int = 0) -> list[bool]:
        """Which of the drawn words a trace's network was unsure of."""
        flags = unsure(self.traces[number].logprobs, len(self.traces[number]))
        return [flags[step] for step in self.steps]

    @property
    def main(self) -> int | None:
        """Which of the drawn words stands for the caption: its main one, or where that is not drawn the first."""
        word = main_word(self.words)
        return self.steps.index(word) if word in self.steps else 0 if self.steps else None

    def to_dict(self) -> dict[str, Any]:
        """What the gallery's script paints, JSON-ready."""
        return {
            "steps": list(self.steps),
            "main": self.main,
            "rows": [
                {"label": label, "unsure": self.doubtful(number), **maps(trace, self.steps)}
                for number, (trace, label) in enumerate(zip(self.traces, self.labels, strict=True))
            ],
        }


def read(data: Callable[[str], bytes], folder: str, files: Sequence[str]) -> Tile | None:
    """The tile of a folder of results; None where its traces cannot be read any more.

    Args:
        data: gives the bytes of a file.
        folder: where the results lie.
        files: their names.
    """
    names = sorted((name for name in files if _TRACE.fullmatch(name)), key=lambda name: name != "trace.npz")
    try:
        options = _options(data(f"{folder}/{SUMMARY}"))
        traces = tuple(options.shown(loads(data(f"{folder}/{name}"), Trace)) for name in names)
        check_words(traces)
        return Tile(traces, options, options.chosen(len(traces[0])))
    except (AttnvizError, OSError, *MALFORMED):  # changed or removed since they were written
        return None


def _options(summary: bytes) -> DrawOptions:
    """How a folder's pictures were drawn."""
    import json

    if len(summary) > _SUMMARY_BYTES:
        raise ValueError("too long for a summary")
    found = json.loads(summary)
    options = found.get("options") if isinstance(found, dict) else None
    if options and options.get("style") == "contour":  # drawn as heat, with heat's own opacity
        options = {**options, "opacity": None}
    known = {name for name, field in DrawOptions.__dataclass_fields__.items() if field.init}
    return DrawOptions(**{name: value for name, value in (options or {}).items() if name in known})


def maps(trace: Trace, steps: Sequence[int]) -> dict[str, Any]:
    """The maps of some steps: `grid` (h, w), `frame`, and `codes`, packed."""
    density = trace.density[list(steps)]
    frame = trace.frame
    if frame is None:
        frame = Frame.stretch(trace.image.size if trace.image else trace.grid, trace.grid, trace.grid)
    if math.prod(frame.grid) > MOST_CELLS:
        grid = coarse(frame.photo)
        density = np.nan_to_num(frame.upsample(density, grid))
        frame = Frame.stretch(frame.photo, frame.photo, grid)
    packed = base64.b64encode(zlib.compress(codes(density).tobytes(), 9)).decode()
    return {"grid": list(frame.grid), "frame": frame.to_dict(), "codes": packed}


def coarse(photo: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of a grid of at most MOST_CELLS cells that are about square on a photo of (H, W)."""
    side = math.sqrt(photo[0] * photo[1] / MOST_CELLS)
    height = min(max(1, round(photo[0] / side)), MOST_CELLS)
    width = min(max(1, round(photo[1] / side)), MOST_CELLS // height)
    return min(height, photo[0]), min(width, photo[1])


def codes(density: Floats) -> npt.NDArray[np.uint8]:
    """Densities of any shape as bytes: 0 below about LEAST, then 1 to 255 for LEAST to MOST, by equal factors."""
    with np.errstate(divide="ignore"):
        place = 1 + 254 * np.log(density / LEAST) / math.log(MOST / LEAST)
    found: npt.NDArray[np.uint8] = np.clip(np.rint(np.nan_to_num(place, nan=0, neginf=0)), 0, 255).astype(np.uint8)
    return found
