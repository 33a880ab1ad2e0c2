"""Outlines of boxes, such as those that people drew around the things of a photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.patches import Rectangle

from attnviz.errors import ConfigError, counted
from attnviz.files import composed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attnviz.photo.image import Photo

Floats = npt.NDArray[np.float64]

STROKES = ((0.2, "#101014"), (0.1, "#ffffff"))  # (width in letters' heights, colour): white with a dark edge


@dataclass(frozen=True)
class Outlines:
    """The boxes of one photo: (n, 4) of (y0, x0, y1, x1) in its pixels. Those of a word belong to it alone."""

    everywhere: Floats
    words: Mapping[str, Floats]

    def on(self, word: str | None) -> Floats:
        """The boxes to outline on the panel of `word`; all of them on the photo itself (None)."""
        if word is None:
            return np.concatenate([self.everywhere, *self.words.values()])
        return np.concatenate([self.everywhere, self.words.get(composed(word).casefold(), np.empty((0, 4)))])


def outlines(boxes: Any, photos: Sequence[Photo]) -> list[Outlines]:
    """Each photo's boxes, checked. Raises ConfigError for what are no boxes, or not as many as photos."""
    items = [None] * len(photos) if boxes is None else list(boxes)
    if len(items) != len(photos):
        raise ConfigError(
            f"boxes: {counted(len(items), 'item')} for {counted(len(photos), 'photo')}; give one, or None, for each"
        )
    found = []
    for item in items:
        if isinstance(item, Mapping):
            words = {composed(str(word)).casefold(): _checked(some) for word, some in item.items()}
            found.append(Outlines(words.pop("", np.empty((0, 4))), words))
        else:
            found.append(Outlines(_checked([] if item is None else item), {}))
    return found


def _checked(boxes: Any) -> Floats:
    try:
        array = np.asarray(boxes, np.float64).reshape(-1, 4)
    except (TypeError, ValueError):
        raise ConfigError("boxes: must be (n, 4) numbers, (y0, x0, y1, x1) of each box in pixels") from None
    if not np.isfinite(array).all() or (array[:, :2] > array[:, 2:]).any():
        raise ConfigError("boxes: must be (y0, x0, y1, x1) with y0 <= y1 and x0 <= x1")
    return array


def draw_outlines(axes: Axes, boxes: Outlines, word: str | None, size: float) -> None:
    """Draws the boxes of a panel, as lines that lie above the picture and stay sharp at any size."""
    for y0, x0, y1, x1 in boxes.on(word):
        for width, colour in STROKES:
            axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=width * size))
