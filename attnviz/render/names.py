"""File names: safe on every system whatever the token is."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence

MAX_BYTES = 100  # of a token in a name; the whole name stays far below 255, and below 143 as encrypted folders want

# What attnviz may have written into a folder: only such names are ever replaced or removed there.
_NAME = r"[^/\\:\0]+"
_OURS = re.compile(
    rf"step-[0-9]{{2,6}}-{_NAME}\.(?:png|jpg|webp)"
    r"|overview\.png|attention\.(?:gif|apng|webp|mp4|html|pdf|svg)"
    rf"|(?:heatmaps|trace)(?:-{_NAME})?\.npz"
    r"|(?:summary|boxes)\.json|evidence\.(?:json|pdf|html)"
)


def step_name(step: int, token: str, count: int, suffix: str) -> str:
    """`step-03-dog.png`: the number keeps names apart and in order, the word is for people."""
    digits = max(2, len(str(count - 1)))
    return f"step-{step:0{digits}d}-{slug(token)}{suffix}"


def endings(names: Sequence[str]) -> list[str]:
    """What the file names of compared traces end in, by what tells these apart: nothing for the first, "-dot", ..."""
    found = [""]
    for number, name in enumerate(names[1:], 2):
        ending = f"-{slug(name)}"
        found.append(ending if ending not in found else f"{ending}-{number}")
    return found


def slug(token: str) -> str:
    """A token's letters, marks and digits; whatever else it holds becomes single hyphens.

    So does what the file system's encoding lacks, where the locale is none of UTF-8; letters only lose their marks.
    """
    text = _held(unicodedata.normalize("NFC", token[: 4 * MAX_BYTES]))
    kept = "".join(char if unicodedata.category(char)[0] in "LMN" else "-" for char in text)
    kept = re.sub("-+", "-", kept).strip("-")
    return kept.encode()[:MAX_BYTES].decode(errors="ignore").strip("-") or "word"


def _held(text: str) -> str:
    """`text` with what the file system's encoding lacks as hyphens, or as the letters it has of it: \u00e9 as e."""
    encoding = sys.getfilesystemencoding()

    def held(char: str) -> bool:
        return char.encode(encoding, "ignore") != b""

    def nearest(char: str) -> str:
        return "".join(filter(held, unicodedata.normalize("NFKD", char))) or "-"

    return "".join(char if held(char) else nearest(char) for char in text)


def is_ours(name: object) -> bool:
    """Whether `name` is a plain file name of the kind that attnviz gives."""
    return isinstance(name, str) and len(name) < 256 and _OURS.fullmatch(name) is not None
