"""Fonts: DejaVu Sans comes with matplotlib, the machine's own fonts fill in for what it lacks.

matplotlib is found, not imported. A font "has" a character where it draws it otherwise than one that does not exist.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

Font = ImageFont.FreeTypeFont

# Bitmap emoji fonts come in one size each: Noto, Apple, and others that were seen.
BITMAP_SIZES = (109, 160, 136, 128, 96, 72, 64)
MISSING = "\U0010ffff"  # a noncharacter: every font draws its "no such glyph" for it
UNWANTED = ["bold", "italic", "oblique", "black", "thin", "light", "medium", "condensed", "mono", "serif", "lastresort"]
MAX_FONT_FILES = 4000  # what a search looks at; more fonts than that are no ordinary machine


def has_raqm() -> bool:
    """Whether text is shaped: joined Arabic letters, right-to-left words, emoji sequences."""
    return bool(features.check("raqm"))


@lru_cache(maxsize=1)
def default_path() -> Path | None:
    """DejaVuSans.ttf of the installed matplotlib, or of the machine."""
    spec = find_spec("matplotlib")
    for root in (spec.submodule_search_locations or []) if spec else []:
        path = Path(root) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return path
    return next((path for path in font_files() if path.name == "DejaVuSans.ttf"), None)


@lru_cache(maxsize=1)
def font_files() -> tuple[Path, ...]:
    """The font files in the folders where the machine keeps them, in a fixed order, upright and regular ones first."""
    home = Path(os.path.expanduser("~"))  # where there is none, the tilde stays, and nothing is found  # noqa: PTH111
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        folders = [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"]
        folders += [Path(local) / "Microsoft" / "Windows" / "Fonts"] if local else []
    elif sys.platform == "darwin":
        folders = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    else:
        folders = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts")]
        folders += [home / ".local" / "share" / "fonts", home / ".fonts"]
    found: list[Path] = []
    for folder in folders:
        for root, _, names in os.walk(folder):
            found += [Path(root, name) for name in names if name.lower().endswith((".ttf", ".otf", ".ttc"))]
            if len(found) > MAX_FONT_FILES:
                break
    return tuple(sorted(found, key=lambda path: (_plainness(path.stem), path.name, str(path)))[:MAX_FONT_FILES])


def _plainness(stem: str) -> int:
    """Sorts a family's regular sans cut before its bold, slanted, serif, monospaced and display ones."""
    name = stem.lower()
    return sum(word in name for word in UNWANTED) - ("regular" in name) - ("sans" in name)


@lru_cache(maxsize=256)
def load(path: Path | None, size: int) -> Font:
    """The font at `size` pixels; Pillow's own small one where there is none at all."""
    if path is None:
        fallback = ImageFont.load_default(size)
        if isinstance(fallback, ImageFont.FreeTypeFont):
            return fallback
        raise OSError("Pillow was built without FreeType")
    return ImageFont.FreeTypeFont(str(path), size)  # truetype() would look for another file of that name


@lru_cache(maxsize=8192)
def path_for(char: str) -> Path | None:
    """The font to draw a character with: the default where it has it or where none does."""
    default = default_path()
    if ord(char) < 0x250 or char.isspace():  # Latin: the default has it all
        return default
    if is_emoji(char):
        emoji = next((path for path in font_files() if "emoji" in path.name.lower() and bitmap_size(path)), None)
        if emoji and _has(emoji, char):
            return emoji
    if _has(default, char):
        return default
    return next((path for path in _candidates(char) if _has(path, char)), default)


def is_emoji(char: str) -> bool:
    """Whether a character is drawn as a colour picture where the machine can: emoji and dingbats' coloured kin."""
    code = ord(char)
    return 0x1F000 <= code <= 0x1FAFF or char in "\u2705\u274c\u2728\u2764\u2b50\u231a\u231b\u26a1\u2614\u2615\u26bd"


def _candidates(char: str) -> Iterator[Path]:
    """Font files, those named for the character's script first: NotoSansThai for THAI CHARACTER KO KAI."""
    words = unicodedata.name(char, "").lower().split()
    script = {"hiragana": "cjk", "katakana": "cjk", "hangul": "cjk", "bopomofo": "cjk"}.get(*(words[:1] or [""]) * 2)
    files = [path for path in font_files() if "lastresort" not in path.name.lower()]
    named = [path for path in files if script and script in path.name.lower().replace(" ", "")]
    yield from named
    yield from (path for path in files if path not in set(named))


@lru_cache(maxsize=4096)
def bitmap_size(path: Path) -> int | None:
    """The size that a colour bitmap font has, a scalable size for other fonts, None for a file that is no font."""
    for size in (32, *BITMAP_SIZES):
        try:
            load(path, size)
        except OSError:
            continue
        return size
    return None


def _has(path: Path | None, char: str) -> bool:
    size = bitmap_size(path) if path else 32
    if size is None:
        return False
    try:
        font = load(path, size)
        if path:  # one character at a time needs no shaping
            font = font.font_variant(layout_engine=ImageFont.Layout.BASIC)
        return _drawn(font, char) != _drawn(font, MISSING)
    except (OSError, ValueError):
        return False


def _drawn(font: Font, char: str) -> bytes:
    """The pixels of a character."""
    side = 2 * int(font.size)
    canvas = Image.new("RGBA", (side, side))
    ImageDraw.Draw(canvas).text((side // 4, 0), char, fill="white", font=font, embedded_color=True)
    return canvas.tobytes()
