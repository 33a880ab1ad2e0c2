"""Words in a figure: text that stays text, each in a font that has all its letters."""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

from attnviz.errors import ConfigError
from attnviz.render import fonts
from attnviz.render.text import JOINERS, printable

LEAST = 4.0  # points; smaller letters do not print
MEASURED = 100  # pixels at which words are measured
ELLIPSIS = "…"
MISSING = "\ufffd"


class Letters:
    """Sets words in one font, and in others what that one lacks.

    Args:
        font: name of a family or path of a font file; None for DejaVu Sans.

    Raises:
        ConfigError: no such font.
    """

    def __init__(self, font: str | None) -> None:
        self._first = str(fonts.default_path()) if font is None else find(font)

    def text(self, word: str) -> str:
        """A token as it is shown: printable, one line, and a mark in the place of what no font has."""
        return "".join(char if self._path(char) else MISSING for char in printable(word) if char not in JOINERS)

    def properties(self, text: str, size: float) -> FontProperties:
        """The font, or the fonts, for `text` at `size` points."""
        paths = self._paths(text)
        if len(paths) == 1:
            return FontProperties(fname=paths[0], size=size)
        return FontProperties(family=[_family(path) for path in paths], size=size)

    def width(self, text: str, size: float) -> float:
        """The length of `text` in points."""
        total = 0.0
        run = ""
        before: str | None = None
        for char in (*text, ""):
            path = self._path(char) if char else None
            if path != before or not char:
                if run:
                    total += fonts.load(Path(before) if before else None, MEASURED).getlength(run)
                run, before = "", path
            run += char
        return total * size / MEASURED

    def fitted(self, word: str, size: float, room: float) -> tuple[str, float]:
        """`word` as shown and its size: smaller where it is wider than `room` points, in the end cut."""
        text = self.text(word)
        width = self.width(text, size)
        if width <= room:
            return text, size
        smaller = max(size * room / width, min(size, LEAST))
        kept = text
        while len(kept) > 1 and self.width(text, smaller) > room * 1.001:
            kept = kept[:-1]
            text = kept + ELLIPSIS
        return text, smaller

    def _paths(self, text: str) -> list[str]:
        paths = dict.fromkeys(path for char in text if (path := self._path(char)))
        return list(paths) or [self._first]

    def _path(self, char: str) -> str | None:
        """The font file for a character; None where there is none that matplotlib can read."""
        if char.isspace() or has(self._first, char):
            return self._first
        for path in (fonts.path_for(char), fonts.default_path()):
            if path is not None and has(str(path), char):
                return str(path)
        return None


def find(font: str) -> str:
    """The file of a font family, or the path itself. Raises ConfigError where there is none."""
    if Path(font).suffix.lower() in (".ttf", ".otf", ".ttc"):
        try:
            font_manager.get_font(font)
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"font: {font}: is no font file that can be read; give a .ttf or .otf file") from error
        return font
    try:
        return str(font_manager.findfont(FontProperties(family=font), fallback_to_default=False))
    except ValueError:
        known = sorted({entry.name for entry in font_manager.fontManager.ttflist})
        close = difflib.get_close_matches(font, known, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "DejaVu Sans and DejaVu Serif are always there"
        raise ConfigError(f"font: no font is called {font!r}; {hint}") from None


@lru_cache(maxsize=8192)
def has(path: str, char: str) -> bool:
    """Whether matplotlib can draw a character with a font file; with pictures of letters (colour emoji) it cannot."""
    try:
        return font_manager.get_font(path).get_char_index(ord(char)) != 0
    except (OSError, RuntimeError):
        return False


@lru_cache(maxsize=64)
def _family(path: str) -> str:
    """The name under which matplotlib finds a font file, made known to it if need be."""
    manager = font_manager.fontManager
    if all(entry.fname != path for entry in manager.ttflist):
        manager.addfont(path)
    return next(entry.name for entry in manager.ttflist if entry.fname == path)
