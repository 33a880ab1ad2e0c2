"""Habits of attention that make its maps easy to misread: sinks, little on the picture, a step late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attnviz.errors import counted
from attnviz.trace.step import entropy
from attnviz.trace.wording import content_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnviz.trace.arrays import Floats

# A sink is a cell among the strongest hundredth at four of five words. Such cells are worth a word where they hold a
# sixth of all attention: below that the pictures show other things first.
SINK_CELLS = 0.01
SINK_WORDS = 0.8
SINK_SHARE = 1 / 6
LEAST_WORDS = 4  # fewer share a place by chance
# What is spread over the picture is a tenth of the attention or less: nine tenths are of something that is not shown.
LITTLE = 0.1
# A word behind a content word is sharper than that one: on less than two thirds of its cells, at four of five of them.
LATE_CELLS = 2 / 3
LATE_WORDS = 0.8


def sinks(weights: Floats, what: str = "attention") -> list[str]:
    """Of the same cells being strong whatever the word, in maps (T, h, w)."""
    steps, count = len(weights), weights[0].size
    strongest = max(1, round(SINK_CELLS * count))
    if steps < LEAST_WORDS or count <= 2 * strongest:
        return []
    seen = np.zeros(count, np.int64)
    for one in weights:
        seen[np.argpartition(one, -strongest, axis=None)[-strongest:]] += 1
    cells = np.flatnonzero(seen >= SINK_WORDS * steps)
    share = float(weights.reshape(steps, -1)[:, cells].sum(axis=1, dtype=np.float64).mean())
    if not cells.size or share < SINK_SHARE:
        return []
    which, hold = ("The same cell is", "holds") if cells.size == 1 else (f"The same {cells.size} cells are", "hold")
    found = f"{which} among the strongest at {seen[cells].min()} of {counted(steps, 'word')} and {hold} {share:.0%} of"
    return [f"{found} the {what}: a sink, or what all words are about; --relative shows what each word has beside it."]


def on_picture(shares: Floats | None, what: str = "attention") -> list[str]:
    """Of little attention, or what else the maps are made of, being on the picture at all: (T,)."""
    if shares is None or not len(shares) or float(shares.mean()) > LITTLE:
        return []
    found = f"{float(shares.mean()):.1%} of the {what} lies on the picture, the rest on other inputs, such as words"
    return [f"{found}; the maps show how this small share is spread."]


def late(weights: Floats, tokens: Sequence[str]) -> list[str]:
    """Of maps that are sharp at the words behind content words, rather than at these."""
    content = set(content_words(tokens))
    pairs = [at for at in range(len(tokens) - 1) if at in content and at + 1 not in content]
    if len(pairs) < LEAST_WORDS:
        return []
    cells = [float(np.exp(entropy(one))) for one in weights]
    sharper = sum(cells[at + 1] < LATE_CELLS * cells[at] for at in pairs)
    if sharper < LATE_WORDS * len(pairs):
        return []
    found = f"At {sharper} of {len(pairs)} content words the map is wider than that of the word behind it"
    return [f"{found}: the attention may come a step late, as of a network that looks after it has written."]
