"""The sentence under a photo: wrapped to the page, text that stays text, with a mark behind unsure words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Run:
    """Words beside each other that are set as one: in one size, or a picture of one word.

    Attributes:
        x, long: its left edge and its length, in points.
        words: as they are shown.
        size: of its letters, in points.
        picture: of letters in colours, which no text shows.
    """

    x: float
    long: float
    words: tuple[str, ...]
    size: float
    picture: bool = False

    def follows(self, before: Run) -> bool:
        """Whether it goes on in the same text."""
        return not self.picture and not before.picture and self.size == before.size

    @property
    def text(self) -> str:
        return " ".join(self.words)


class Sentence:
    """A photo's words, broken into lines.

    Args:
        words: as they are shown.
        type: to set them in.
        room: the length of a line, in points.
    """

    def __init__(self, words: Sequence[str], type: Type, room: float) -> None:
        self._letters, self._size, self._room = type.letters, type.size, room
        self._lines: list[list[Run]] = [[]]
        for word in words:
            run = self._alone(word)
            placed = self._behind(run)
            if placed is None:
                self._lines.append([])
            self._lines[-1].append(placed or run)
        if len(self._lines) > MOST_LINES:
            del self._lines[MOST_LINES:]
            last = self._lines[-1][-1]
            self._lines[-1][-1] = replace(last, words=(*last.words[:-1], "…"), picture=False)

    def _alone(self, word: str) -> Run:
        """A word at the beginning of a line, smaller where it needs to be."""
        if self._letters.in_colour(word):
            return Run(0, min(self._room, self._size * 1.3 * len(word)), (word,), self._size, picture=True)
        room = self._room
        for _ in range(9):  # words made to fit by their outlines may be wider in dots
            text, size = self._letters.fitted(word, self._size, room)
            long = self._letters.width(text, size)
            if long <= self._room:
                break
            room *= self._room / long
        return Run(0, long, (text,), size)

    def _behind(self, run: Run) -> Run | None:
        """The run behind what stands on the last line, which it takes in if it can; None where there is no room."""
        line = self._lines[-1]
        if not line:
            return run
        before = line[-1]
        if run.follows(before):
            words = (*before.words, *run.words)
            placed = replace(before, words=words, long=self._letters.width(" ".join(words), run.size))
        else:
            placed = replace(run, x=before.x + before.long + self._letters.width(" ", self._size))
        if placed.x + placed.long > self._room:
            return None
        if run.follows(before):
            line.pop()
        return placed

    @property
    def height(self) -> float:
        """In points, with the distance to what follows."""
        return (len(self._lines) * LINE + 0.3) * self._size

    def draw(self, page: Figure, left: float, top: float) -> None:
        """Sets the lines with their upper left corner at (left, top) points from the page's lower left corner."""
        width, height = page.get_size_inches() * 72
        for number, line in enumerate(self._lines):
            baseline = top - (number * LINE + 1.0) * self._size
            for run in line:
                if run.picture:
                    paste(page, run.text, run.size, (left + run.x + run.long / 2, baseline), run.long)
                    continue
                page.text(
                    (left + run.x) / width,
                    baseline / height,
                    run.text,
                    fontproperties=self._letters.properties(run.text, run.size),
                    color=INK,
                    va="baseline",
                    parse_math=False,
                )
