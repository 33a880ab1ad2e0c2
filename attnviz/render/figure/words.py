"""Words in a figure: text that stays text, each in a font that has all its letters."""

from __future__ import annotations

import difflib
from bisect import bisect
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties
from matplotlib.image import BboxImage
from matplotlib.transforms import Affine2D, Bbox, TransformedBbox

from attnviz.errors import ConfigError
from attnviz.render import fonts, text
from attnviz.render.figure.page import SCREEN
from attnviz.render.text import JOINERS, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST = 4.0  # points; smaller letters do not print
MEASURED = 1000  # pixels at which words are measured
ELLIPSIS = "…"
MISSING = "\ufffd"
SCALABLE, COLOUR = 1, 1 << 14  # FreeType's flags of a font


class Letters:
    """Sets words in one font, and in others what that one lacks.

    Args:
        font: name of a family or path of a font file; None for DejaVu Sans.
        dpi: of the page. In dots, letters are made to fit them (hinted), and words up to a few per cent longer.

    Raises:
        ConfigError: no such font.
    """

    def __init__(self, font: str | None, dpi: float) -> None:
        self._first = str(fonts.default_path()) if font is None else find(font)
        self._screens = [_screen(dots) for dots in {dpi, SCREEN}]
        self._widths: dict[tuple[str, float], float] = {}

    def text(self, word: str) -> str:
        """A token as it is shown: printable, one line, and a mark in the place of what no font has."""
        return "".join(char if self._path(char) else MISSING for char in printable(word) if char not in JOINERS)

    def in_colour(self, word: str) -> bool:
        """Whether a word holds what only a colour font has, such as most emoji: text cannot show it, a picture can."""
        default = fonts.default_path()
        return any(fonts.is_emoji(char) and not self._path(char) and fonts.path_for(char) != default for char in word)

    def properties(self, text: str, size: float) -> FontProperties:
        """The font, or the fonts, for `text` at `size` points."""
        paths = self._paths(text)
        if len(paths) == 1:
            return FontProperties(fname=paths[0], size=size)
        return FontProperties(family=[_family(path) for path in paths], size=size)

    def width(self, text: str, size: float) -> float:
        """The length of `text` in points, where it is longest: in a PDF, or in dots, on the page or in a notebook."""
        found = self._widths.get((text, size))
        if found is None:
            style = self.properties(text, size)
            dots = [r.get_text_width_height_descent(text, style, False)[0] / r.dpi * 72 for r in self._screens if text]
            found = self._widths[text, size] = max([self._outlines(text, size), *dots])
        return found

    def _outlines(self, text: str, size: float) -> float:
        """The length of `text` in points by its fonts' outlines."""
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
        """`word` as shown and its size: smaller where it is wider than `room` points, in the end cut.

        By its outlines, which are the same at every size: in dots it may be a few per cent wider.
        """
        text = self.text(word)
        width = self._outlines(text, size)
        if width <= room:
            return text, size
        smaller = max(size * room / width, min(size, LEAST))
        if self._outlines(text, smaller) > room * 1.001:
            kept = bisect(range(1, len(text)), room, key=lambda many: self._outlines(text[:many] + ELLIPSIS, smaller))
            text = text[: max(1, kept)] + ELLIPSIS
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


def paste(page: Figure, word: str, size: float, place: tuple[float, float], room: float) -> None:
    """Puts a word on the page as a picture, for what no text can show.

    Args:
        page: the figure.
        word: a token.
        size: in points.
        place: middle and baseline, (x, y) in points from the page's lower left corner.
        room: in points; a wider word gets smaller.
    """
    dots = page.dpi / 72
    drawn = text.fitted(text.printable(word), max(1, round(size * dots)), max(1, round(room * dots)), 1)
    rgba = np.zeros((*drawn.mask.size[::-1], 4), np.uint8)
    rgba[..., 3] = np.asarray(drawn.mask)
    if drawn.colour is not None:
        colour = np.asarray(drawn.colour)
        rgba = np.where(colour[..., 3:] > 0, colour, rgba)
    height, width = (side / page.dpi * 72 for side in rgba.shape[:2])
    left, bottom = place[0] - width / 2, place[1] + 1.06 * size - height  # text.word sets its baseline so
    inches = page.get_size_inches()
    box = Bbox.from_bounds(left, bottom, width, height).transformed(
        Affine2D().scale(1 / 72 / inches[0], 1 / 72 / inches[1])
    )
    picture = BboxImage(TransformedBbox(box, page.transFigure), interpolation="none", origin="upper")
    picture.set_data(rgba)
    page.add_artist(picture)


def _screen(dpi: float) -> Any:
    """What matplotlib measures text with as it draws it at `dpi`."""
    renderer: Any = RendererAgg
    return renderer(1, 1, dpi)


def find(font: str) -> str:
    """The file of a font family, or the path itself. Raises ConfigError where there is none."""
    if Path(font).suffix.lower() in (".ttf", ".otf", ".ttc"):
        try:
            font_manager.get_font(font)
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"font: {font}: is no font file that can be read; give a .ttf or .otf file") from error
        return font
    for again in (False, True):
        if again:
            _know_new_fonts()
        with suppress(ValueError):
            return str(font_manager.findfont(FontProperties(family=font), fallback_to_default=False))
    known = sorted({entry.name for entry in font_manager.fontManager.ttflist})
    close = difflib.get_close_matches(font, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "DejaVu Sans and DejaVu Serif are always there"
    raise ConfigError(f"font: no font is called {font!r}; {hint}")


def _know_new_fonts() -> None:
    """Makes matplotlib know the fonts that were installed since it last looked: it keeps a list of them on disk."""
    fonts.font_files.cache_clear()
    manager = font_manager.fontManager
    known = {Path(entry.fname) for entry in manager.ttflist}
    for path in fonts.font_files():
        if path not in known:
            with suppress(OSError, RuntimeError, ValueError):  # no font that FreeType can read
                manager.addfont(path)


@lru_cache(maxsize=8192)
def has(path: str, char: str) -> bool:
    """Whether matplotlib can draw a character with a font file; with pictures for letters (colour emoji) it cannot."""
    try:
        font = font_manager.get_font(path)
        flags: Any = font.face_flags  # a number until matplotlib 3.10
        flags = getattr(flags, "value", flags)
        return bool(flags & SCALABLE) and not flags & COLOUR and font.get_char_index(ord(char)) != 0
    except (OSError, RuntimeError):
        return False


@lru_cache(maxsize=64)
def _family(path: str) -> str:
    """The name under which matplotlib finds a font file, made known to it if need be."""
    manager = font_manager.fontManager
    if all(entry.fname != path for entry in manager.ttflist):
        manager.addfont(path)
    return next(entry.name for entry in manager.ttflist if entry.fname == path)
