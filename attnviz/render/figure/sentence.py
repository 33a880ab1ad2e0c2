"""The sentence under a photo: wrapped to the page, text that stays text, with a mark behind unsure words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attnviz.render.figure.words import paste
from attnviz.trace.wording import UNSURE, UNSURE_MARK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from attnviz.render.figure.words import Letters

LINE = 1.36  # from line to line, in letters' heights
MOST_LINES = 12  # longer sentences are cut
INK = "0.25"
NOTE = f"word{UNSURE_MARK} had a probability below {UNSURE:g}"


@dataclass(frozen=True)
class Type:
    """What words are set in: letters, and their size in points."""

    letters: Letters
    size: float


def marked(word: str, unsure: bool) -> str:
    """A word as it is shown."""
    return f"{word}{UNSURE_MARK}" if unsure else word


class Sentence:
    """A photo's words, broken into lines.

    Args:
        words: as they are shown.
        type: to set them in.
        room: the length of a line, in points.
    """

    def __init__(self, words: Sequence[str], type: Type, room: float) -> None:
        self._letters, self._size = letters, size = type.letters, type.size
        space = letters.width(" ", size)
        self._lines: list[list[tuple[float, float, str]]] = [[]]  # each word's left edge, length and letters
        x = 0.0
        for word in words:
            picture = letters.in_colour(word)
            text, fitted = (word, size) if picture else letters.fitted(word, size, room)
            long = min(room, size * 1.3 * len(word) if picture else letters.width(text, min(fitted, size)))
            if x > 0 and x + long > room:
                self._lines.append([])
                x = 0.0
            self._lines[-1].append((x, long, text))
            x += long + space
        if len(self._lines) > MOST_LINES:
            del self._lines[MOST_LINES:]
            x, long, _ = self._lines[-1][-1]
            self._lines[-1][-1] = (x, long, "…")

    @property
    def height(self) -> float:
        """In points, with the distance to what follows."""
        return (len(self._lines) * LINE + 0.3) * self._size

    def draw(self, page: Figure, left: float, top: float) -> None:
        """Sets the lines with their upper left corner at (left, top) points from the page's lower left corner."""
        for number, line in enumerate(self._lines):
            baseline = top - (number * LINE + 1.0) * self._size
            run: list[str] = []
            start = 0.0
            for x, long, text in line:
                if not self._letters.in_colour(text):
                    start = start if run else x
                    run.append(text)
                    continue
                self._text(page, " ".join(run), left + start, baseline)
                run = []
                paste(page, text, self._size, (left + x + long / 2, baseline), long)
            self._text(page, " ".join(run), left + start, baseline)

    def _text(self, page: Figure, text: str, x: float, y: float) -> None:
        if not text:
            return
        width, height = page.get_size_inches() * 72
        properties = self._letters.properties(text, self._size)
        page.text(x / width, y / height, text, fontproperties=properties, color=INK, va="baseline", parse_math=False)
