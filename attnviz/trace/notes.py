"""What should be known before a trace's pictures are believed, in plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.errors import counted
from attnviz.trace.habits import late, on_picture, sinks
from attnviz.trace.step import outside, variation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from attnviz.photo.frame import Frame
    from attnviz.trace.arrays import Floats

# A step is near-uniform where less than a tenth of its weight would have to move to make it even, and no cell has
# twice its even share: on the default colour scale, which reaches at least 4 times even, such a step stays in the
# lower half everywhere.
UNIFORM_DISTANCE = 0.1
UNIFORM_PEAK = 2.0
# Attention is the same at every step where no step is further than this from the mean of all (total variation): two
# steps then share at least nine tenths of their weight.
SAME_DISTANCE = 0.05
# Padding is worth a word from a fifth of all weight, or half of a step's: so much of what the model looks at is not
# in the picture.
OUTSIDE_MEAN = 0.2
OUTSIDE_STEP = 0.5
MARKS = ".,;:!?\u2026()[]{}\"'\u2018\u2019\u201c\u201d\u00ab\u00bb"  # around a word, and no part of it


def notes(
    weights: Floats,
    tokens: Sequence[str],
    frame: Frame | None,
    settings: Mapping[str, Any],
    on_image: Floats | None = None,
) -> list[str]:
    """Sentences on dead attention (near-uniform, or the same at every step), on its habits (see habits.py), on padding
    and on unknown words.

    The distances are total variation: half the sum of the absolute differences, the share of the weight that would
    have to move.

    Args:
        weights: (T, h, w), each step's sum 1.
        tokens: T words.
        frame: how photo and grid lie on each other, if that is known.
        settings: a list of words under "unknown" is told, what `_unlike` and `_tutorial` read, and whether "map" is
            "gradient".
        on_image: (T,), the share of the whole attention that lies on the picture, if that is known.
    """
    if not len(tokens):
        return ["There are no steps: the model ended the sentence before its first word."]
    gradient = settings.get("map") == "gradient"
    what = "map by gradient" if gradient else "attention"
    dead = _dead(weights, what)
    return [
        *_unlike(settings),
        *(_helpless(weights) if gradient else ()),
        *dead,
        *(() if dead else sinks(weights, what)),
        *(() if dead or gradient else late(weights, tokens)),
        *on_picture(on_image, what),
        *_outside(weights, tokens, frame, what),
        *_cropped(frame),
        *_unknown(settings),
        *_tutorial(frame, settings),
    ]


def _helpless(maps: Floats) -> list[str]:
    """Of maps by gradient that are even since no cell of the picture helps their word."""
    count = sum(float(np.ptp(one)) == 0 for one in maps)
    if not count or maps[0].size == 1:
        return []
    return [f"At {count} of {counted(len(maps), 'word')} no cell of the picture helps, so the map by gradient is even."]


def _dead(maps: Floats, what: str) -> list[str]:
    count = maps[0].size
    if count == 1:
        return ["The grid has a single cell, so the attention has nothing to choose from."]
    uniform = sum(
        variation(one, 1 / count) < UNIFORM_DISTANCE and float(one.max()) * count < UNIFORM_PEAK for one in maps
    )
    if uniform == len(maps):
        meant = "the model looks everywhere alike" if what == "attention" else "no cell helps much more than others"
        return [f"The {what} is nearly uniform at every step: {meant}."]
    found = []
    if 2 * uniform >= len(maps):
        found.append(f"The {what} is nearly uniform at {uniform} of {counted(len(maps), 'step')}.")
    mean = maps.mean(axis=0, dtype=np.float64)
    if len(maps) > 1 and all(variation(one, mean) < SAME_DISTANCE for one in maps):
        found.append(f"The {what} is nearly the same at every step: it does not follow the words.")
    return found


def _outside(weights: Floats, tokens: Sequence[str], frame: Frame | None, what: str) -> list[str]:
    if frame is None:
        return []
    on_padding = outside(weights, frame)
    share = 1 - frame.coverage().mean()
    found = []
    if on_padding.mean() >= OUTSIDE_MEAN:
        found.append(
            f"{on_padding.mean():.0%} of the {what} lies on the padding around the photo, which is {share:.0%} of "
            "the model's input and is not drawn."
        )
    worst = int(on_padding.argmax())
    if on_padding[worst] >= OUTSIDE_STEP:
        found.append(f'At step {worst} ("{tokens[worst]}") {on_padding[worst]:.0%} of the {what} lies on the padding.')
    return found


def _cropped(frame: Frame | None) -> list[str]:
    if frame is None or frame.kind != "crop":
        return []
    boxes = frame.boxes()
    inside = np.clip(boxes[-1, -1, 2:], 0, frame.photo) - np.clip(boxes[0, 0, :2], 0, frame.photo)
    return [f"The model saw {np.prod(inside / frame.photo):.0%} of the photo; the rest is drawn dimmed."]


def _unknown(settings: Mapping[str, Any]) -> list[str]:
    words = settings.get("unknown")
    if not isinstance(words, list) or not words:
        return []
    bare = dict.fromkeys(str(word).strip(MARKS) or str(word) for word in words)
    quoted = ", ".join(f'"{word}"' for word in bare)
    return [f"The model does not know {quoted}: it saw an unknown word in the place of each."]


def _unlike(settings: Mapping[str, Any]) -> list[str]:
    """Of networks that know what their training photos look like: "unlike" is how strange the photo is, above 1."""
    strange = settings.get("unlike")
    if isinstance(strange, bool) or not isinstance(strange, int | float) or not strange > 1:
        return []
    return ["This photo is unlike what the model was trained on: doubt the words."]


def _tutorial(frame: Frame | None, settings: Mapping[str, Any]) -> list[str]:
    """Of networks that came from a Show, Attend and Tell tutorial."""
    found = []
    pooled = settings.get("pooled")
    if frame is not None and isinstance(pooled, list) and [type(side) for side in pooled] == [int, int]:
        (rows, columns), (height, width) = frame.grid, pooled
        found.append(
            f"The encoder sees {height}x{width} cells, and the model averages them to {rows}x{columns}: neighbours "
            "overlap, and a map is no finer than that."
        )
    if settings.get("cut") is True:
        found.append("The sentence was cut: the model had not ended it after as many words as it may write.")
    return found
