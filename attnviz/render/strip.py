"""The strip under a picture: the sentence so far, the current word marked, its probability, and the colour bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from attnviz.render import colorbar
from attnviz.render.fonts import has_raqm
from attnviz.render.heatmap import DEFAULT, Scale
from attnviz.render.text import Word, fitted, is_rtl, line_height, printable, word
from attnviz.trace.wording import UNSURE, UNSURE_MARK, unsure

MIN_WIDTH = 320  # of a strip, and so of every picture that has one; below it numbers and words would not fit
BACKGROUND = (24, 24, 28)
PAST = (196, 196, 204)
BRIGHT = (244, 244, 246)
MARK = (255, 204, 77)
MARKED_TEXT = (20, 20, 22)
FAINT = (158, 158, 168)
PLAIN = (72, 72, 80)  # a bar that stands for no colours

ROOMY = 400  # pixels; narrower strips say things shortly
NOTE = f"word{UNSURE_MARK} had p < {UNSURE:g}"
NO_LINES = "too even for lines"

LEAST_SIZE = 12  # pixels; smaller letters are not legible
LARGEST_SIZE = 96
COMFORTABLE_LINES = 4  # beyond, letters get smaller
BAR_COLOURS = 28  # of the colour bar, where there are few
MAX_LINES = 10  # beyond, the lines scroll


@dataclass(frozen=True)
class Place:
    """Where a word stands in the sentence block."""

    line: int
    x: int
    word: Word


@dataclass(frozen=True)
class Key:
    """What a line of a contour picture means."""

    colour: tuple[int, int, int]
    label: str
    short: str  # for narrow pictures


Legend = npt.NDArray[np.uint8] | Sequence[Key]


def strip_colours(legend: Legend) -> npt.NDArray[np.uint8]:
    """(about 40, 3) uint8: the colours a strip is drawn in, for pictures with few colours."""
    ramps = [(BACKGROUND, BRIGHT, 6), (MARK, MARKED_TEXT, 5)]
    colours = [np.linspace(start, stop, count) for start, stop, count in ramps]
    if isinstance(legend, np.ndarray):
        colours.append(colorbar.gradient(DEFAULT, legend, (1, BAR_COLOURS))[0])
    else:
        colours.append(np.array([key.colour for key in legend]))
    return np.rint(np.concatenate(colours)).astype(np.uint8)


class Strip:
    """Lays the whole sentence out once, so that no word moves as the sentence grows.

    Args:
        tokens: all words.
        logprobs: their natural log probabilities, or None.
        width: of the strip, in pixels.
        legend: the overlay's table for a colour bar, or the keys of a contour picture.
        sentence: False for a strip with the colour bar alone.
        drawn: how many words will be shown at most; all by default.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        logprobs: npt.NDArray[np.float32] | None,
        width: int,
        legend: Legend,
        sentence: bool = True,
        drawn: int | None = None,
    ) -> None:
        self.width = width
        self._logprobs = logprobs
        self._legend = legend
        self._total = len(tokens)
        size = round(min(max(8 + width / 62, 14), LARGEST_SIZE))
        self._stroke = max(1, round(size / 22))
        self._small = max(LEAST_SIZE - 1, round(size * 0.68))
        self._pad = round(size * 0.6)
        self._size = size
        self._places: list[Place] = []
        self._lines = 0
        if sentence:
            self._lay_out(marked(tokens, logprobs)[:drawn], size)
        self._block = self._lines * self._pitch + self._pad // 2 if sentence else 0
        self._bar = max(8, round(self._small * 0.8))
        row = line_height(self._small)
        self.height = self._pad + self._block + row + self._bar + row + self._pad // 2

    @property
    def _pitch(self) -> int:
        return line_height(self._size) + max(2, self._size // 8)

    def draw(self, step: int | None, scale: Scale, levels: Sequence[float] | None = ()) -> npt.NDArray[np.uint8]:
        """(height, width, 3) uint8 for one step, or for a sheet of all.

        Args:
            step: its index among the tokens; None for the whole sentence.
            scale: of the colour bar.
            levels: of a contour picture, the density at each key's line; none where there are no lines; None for
                several pictures, with lines of their own.
        """
        canvas = Image.new("RGB", (self.width, self.height), BACKGROUND)
        if self._places:
            self._draw_sentence(canvas, step)
        y = self._pad + self._block
        note = self._note(step)
        if isinstance(self._legend, np.ndarray):
            self._draw_threshold(canvas, y, scale, note)
            bar = colorbar.gradient(scale, self._legend, (self._bar, self._room))
        else:
            self._draw_keys(canvas, y, scale, self._legend if levels or levels is None else (), note)
            bar = np.full((self._bar, self._room, 3), PLAIN, np.uint8)
        self._draw_bar(canvas, y + line_height(self._small), scale, bar)
        if not isinstance(self._legend, np.ndarray):
            pen = ImageDraw.Draw(canvas)
            top = y + line_height(self._small)
            for key, level in zip(self._legend, levels or (), strict=False):
                x = self._pad + round(scale.position(level) * (self._room - 1))
                pen.line((x, top, x, top + self._bar - 1), fill=key.colour, width=3 * self._stroke)
        return np.asarray(canvas)

    @property
    def _room(self) -> int:
        return self.width - 2 * self._pad

    def _lay_out(self, texts: list[str], size: int) -> None:
        """Places all words, in smaller letters where that saves lines."""
        for smaller in range(size, LEAST_SIZE - 1, -max(2, size // 12)):
            self._size = smaller
            self._places = self._flow(texts, smaller)
            lines = self._places[-1].line + 1 if self._places else 0
            if lines <= COMFORTABLE_LINES:
                break
        self._lines = min(lines, MAX_LINES)

    def _flow(self, texts: list[str], size: int) -> list[Place]:
        room = self.width - 2 * self._pad
        space = round(size * 0.5)
        lines: list[list[Word]] = [[]]
        free = room
        for text in texts:
            drawn = fitted(text, size, room, LEAST_SIZE)
            if drawn.width > free and lines[-1]:
                lines.append([])
                free = room
            lines[-1].append(drawn)
            free -= drawn.width + space
        rtl = is_rtl(" ".join(texts)) and has_raqm()
        places = []
        for number, line in enumerate(lines):
            width = sum(item.width for item in line) + space * (len(line) - 1)
            x = self._pad + (room - width if rtl else 0)
            xs: dict[int, int] = {}
            for index in visual_order([item.rtl for item in line], rtl):
                xs[index] = x
                x += line[index].width + space
            places += [Place(number, xs[index], item) for index, item in enumerate(line)]
        return places

    def _draw_sentence(self, canvas: Image.Image, step: int | None) -> None:
        last = len(self._places) - 1 if step is None else step
        # The lines scroll where they are too many; of a whole sentence the first ones are shown.
        first = 0 if step is None else max(0, self._places[step].line - self._lines + 1)
        pen = ImageDraw.Draw(canvas)
        for index, place in enumerate(self._places[: last + 1]):
            if not first <= place.line < first + self._lines:
                continue
            y = self._pad + (place.line - first) * self._pitch
            if index == step:
                edge = round(self._size * 0.18)
                box = (place.x - edge, y, place.x + place.word.width + edge, y + line_height(self._size))
                pen.rounded_rectangle(box, radius=edge + 1, fill=MARK)
            place.word.paste(
                canvas, (place.x, y), MARKED_TEXT if index == step else PAST if step is not None else BRIGHT
            )

    def _note(self, step: int | None) -> str:
        if step is None:
            return NOTE if any(unsure(self._logprobs, self._total)) else ""
        return note(step, self._total, None if self._logprobs is None else float(self._logprobs[step]))

    def _draw_row(self, canvas: Image.Image, left: int, y: int, titles: Sequence[str], note: str) -> None:
        """The longest title that fits at `left`, and the note at the right edge."""
        right = word(note, self._small)
        edge = self.width - self._pad - right.width
        right.paste(canvas, (edge, y), BRIGHT)
        for title in titles:
            drawn = word(title, self._small)
            if left + drawn.width + self._small <= edge:
                drawn.paste(canvas, (left, y), FAINT)
                return

    def _draw_threshold(self, canvas: Image.Image, y: int, scale: Scale, note: str) -> None:
        """The row above a colour bar: the mark below which nothing is painted, what the numbers are, and the note."""
        left = self._pad
        if (onset := colorbar.onset(scale)) is not None:
            percent = word(f"{onset * 100:.0f} %", self._small)
            mark = self._mark(onset)
            percent.paste(canvas, (mark + 2 + self._stroke, y), BRIGHT)
            left = mark + percent.width + self._small
        self._draw_row(canvas, left, y, colorbar.titles(scale), note)

    def _mark(self, position: float) -> int:
        """The pixel column of a position on the bar, from 0 to 1."""
        return self._pad + min(round(position * self._room), self._room - 1)

    def _draw_keys(self, canvas: Image.Image, y: int, scale: Scale, keys: Sequence[Key], note: str) -> None:
        """The row above a contour picture's bar: what its lines enclose, what the numbers are, and the note."""
        pen = ImageDraw.Draw(canvas)
        x = self._pad
        middle = y + line_height(self._small) // 2
        for key in keys:
            pen.line((x, middle, x + 2 * self._small, middle), fill=key.colour, width=3 * self._stroke)
            label = word(key.label if self.width >= ROOMY else key.short, self._small)
            label.paste(canvas, (x + round(2.4 * self._small), y), BRIGHT)
            x += round(3.4 * self._small) + label.width
        if not keys:
            label = word(NO_LINES, self._small)
            label.paste(canvas, (x, y), BRIGHT)
            x += label.width + self._small
        self._draw_row(canvas, x, y, colorbar.titles(scale), note)

    def _draw_bar(self, canvas: Image.Image, top: int, scale: Scale, bar: npt.NDArray[np.uint8]) -> None:
        """The bar with its numbers below."""
        canvas.paste(Image.fromarray(bar), (self._pad, top))
        pen = ImageDraw.Draw(canvas)
        below = top + self._bar
        onset = colorbar.onset(scale)
        if isinstance(self._legend, np.ndarray) and onset is not None:
            mark = self._mark(onset)
            above = top - line_height(self._small) * 3 // 4
            pen.line((mark, above, mark, below - 1), fill=BRIGHT, width=self._stroke)
        marks = colorbar.ticks(scale)
        for position, _ in marks:
            x = self._mark(position)
            pen.line((x, below, x, below + 2 * self._stroke), fill=FAINT, width=self._stroke)
        for x, label in colorbar.spread(marks, self._room, self._measure, self._small // 2):
            word(label, self._small).paste(canvas, (self._pad + x, below + 2 * self._stroke), BRIGHT)

    def _measure(self, label: str) -> int:
        return word(label, self._small).width


def marked(tokens: Sequence[str], logprobs: npt.NDArray[np.float32] | None) -> list[str]:
    """Words as they are shown, with a mark behind those that the network was unsure of."""
    doubts = unsure(logprobs, len(tokens))
    return [printable(token) + UNSURE_MARK * doubt for token, doubt in zip(tokens, doubts, strict=True)]


def note(step: int, total: int, logprob: float | None) -> str:
    """What stands at the right of the strip: the word's probability, where it is known, and which word of how many."""
    place = f"{step + 1}/{total}"
    if logprob is None or math.isnan(logprob):
        return place
    probability = min(1.0, math.exp(logprob))
    return f"p = {probability:.2f} · {place}" if probability >= 0.005 else f"p < 0.005 · {place}"


def visual_order(rtl: Sequence[bool], base: bool) -> list[int]:
    """Indices of a line's words from left to right: words against the line's direction keep theirs among themselves."""
    order: list[int] = []
    for against, group in groupby(range(len(rtl)), key=lambda index: rtl[index] != base):
        indices = list(group)
        order += indices[::-1] if against else indices
    return order[::-1] if base else order
