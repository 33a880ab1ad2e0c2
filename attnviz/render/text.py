"""Words as pictures: runs of characters, each in a font that has them, measured once and pasted in any colour."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw

from attnviz.render import fonts

MAX_CHARS = 200  # of a word; what is longer could not be read at any size
JOINERS = "\u200d\ufe0e\ufe0f"  # zero-width joiner and variation selectors belong to the character before
ELLIPSIS = "…"


@dataclass(frozen=True)
class Word:
    """A drawn word: coverage to be coloured, and what brings its own colours.

    `mask` is (H, W) coverage; `colour` an RGBA picture of the same size, or None where nothing is coloured.
    """

    mask: Image.Image
    colour: Image.Image | None
    rtl: bool

    @property
    def width(self) -> int:
        return self.mask.width

    def paste(self, canvas: Image.Image, position: tuple[int, int], fill: tuple[int, int, int]) -> None:
        """Onto an RGB canvas, with the top left corner at `position` (x, y)."""
        canvas.paste(fill, position, self.mask)
        if self.colour is not None:
            canvas.paste(self.colour, position, self.colour)


def printable(token: str) -> str:
    """A token as it can be shown: one line, no controls, and something to see for a blank one."""
    shown = cleaned(token[: MAX_CHARS + 1])
    if not shown:
        return "␣"
    return shown if len(shown) <= MAX_CHARS else shown[: MAX_CHARS - 1] + ELLIPSIS


def cleaned(text: str) -> str:
    """A sentence as one line without controls, however long."""
    return " ".join("".join(map(_shown, text)).split())


def _shown(char: str) -> str:
    if char.isspace():
        return " "
    category = unicodedata.category(char)
    if category in ("Cc", "Cs", "Cn", "Co"):
        return "\ufffd"
    return "" if category == "Cf" and char not in JOINERS and char != "\u200c" else char


def is_rtl(text: str) -> bool:
    """Whether the first letter with a direction runs right to left."""
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind in ("L", "R", "AL"):
            return kind != "L"
    return False


def line_height(size: int) -> int:
    return round(size * 1.36)


@lru_cache(maxsize=512)
def word(text: str, size: int) -> Word:
    """`text` drawn at `size` pixels in one line, `line_height(size)` high."""
    runs = _runs(text)
    rtl = is_rtl(text) and fonts.has_raqm()  # without it letters stand in plain order, from left to right
    drawn = [_draw_run(part, path, size) for part, path in (reversed(runs) if rtl else runs)]
    width = max(1, sum(picture.width for picture in drawn))
    mask = Image.new("L", (width, line_height(size)))
    colour: Image.Image | None = None
    x = 0
    for picture in drawn:
        if picture.mode == "RGBA":
            if colour is None:
                colour = Image.new("RGBA", mask.size)
            colour.paste(picture, (x, 0))
        else:
            mask.paste(picture, (x, 0))
        x += picture.width
    return Word(mask, colour, rtl)


def fitted(text: str, size: int, width: int, least: int) -> Word:
    """`text` at `size`, made smaller down to `least` where it is wider than `width` pixels, then cut with an ellipsis.

    The result keeps the line height of `size`.
    """
    drawn = word(text, size)
    if drawn.width <= width:
        return drawn
    smaller = max(least, int(size * width / drawn.width))
    drawn = word(text, smaller)
    kept = text
    while drawn.width > width and len(kept) > 1:
        kept = kept[: min(len(kept) - 1, max(1, len(kept) * width // drawn.width))]
        drawn = word(kept.rstrip(ELLIPSIS + JOINERS) + ELLIPSIS, smaller)
    top = round((size - smaller) * 1.06)  # on one baseline with its neighbours
    box = (0, -top, drawn.width, line_height(size) - top)
    return Word(drawn.mask.crop(box), drawn.colour.crop(box) if drawn.colour else None, drawn.rtl)


def _runs(text: str) -> list[tuple[str, Path | None]]:
    """Neighbouring characters that share a font. Marks, joiners and skin tones stay with what they belong to."""
    runs: list[tuple[str, Path | None]] = []
    for char in text:
        tied = char in JOINERS or unicodedata.combining(char) or "\U0001f3fb" <= char <= "\U0001f3ff"
        tied = tied or (bool(runs) and runs[-1][0][-1] == "\u200d")
        path = runs[-1][1] if tied and runs else fonts.path_for(char)
        if runs and runs[-1][1] == path:
            runs[-1] = (runs[-1][0] + char, path)
        else:
            runs.append((char, path))
    return runs


def _draw_run(text: str, path: Path | None, size: int) -> Image.Image:
    """An "L" mask, or an RGBA picture for colour emoji, `line_height(size)` high and as wide as the text's advance."""
    coloured = path is not None and "emoji" in path.name.lower()
    real = (fonts.bitmap_size(path) or size) if coloured and path else size
    if coloured and path and real == 32:  # scalable
        real = size
    if not fonts.has_raqm() or not coloured:
        text = "".join(char for char in text if char not in JOINERS[1:])
    if not fonts.has_raqm():
        text = "".join(char for char in text if char not in "\u200c\u200d")
    font = fonts.load(path, real)
    width = max(1, round(font.getlength(text)))
    baseline = round(real * 1.06)
    if not coloured:
        mask = Image.new("L", (width, line_height(real)))
        ImageDraw.Draw(mask).text((0, baseline), text, fill=255, font=font, anchor="ls")
        return mask
    picture = Image.new("RGBA", (width, line_height(real)))
    white = (255, 255, 255, 255)
    ImageDraw.Draw(picture).text((0, baseline), text, fill=white, font=font, anchor="ls", embedded_color=True)
    return picture.resize((max(1, round(width * size / real)), line_height(size)), Image.Resampling.LANCZOS)
