"""The errors a user may see. Each one's text is a single line that names what is wrong and how to mend it."""

from __future__ import annotations

_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
LONGEST = 900
"""Characters of a message."""

_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, line and paragraph separators


def one_line(text: str) -> str:
    """`text` with whatever would break a line, drive a terminal or fail to encode written as an escape.

    File names may hold any character: a line break, an escape sequence, bytes that are no text (which Python reads
    as lone surrogates), marks that turn the writing direction. Printable text, of any script, stays as it is.
    """
    if text.isprintable():
        return text
    import unicodedata

    return "".join(
        char.encode("unicode_escape").decode() if char in _BIDI or unicodedata.category(char) in _UNPRINTABLE else char
        for char in text
    )


def shortened(text: str) -> str:
    """`text` without its middle, where it is longer than anybody reads: files may hold names of a million letters."""
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST * 2 // 3]} ... {text[-LONGEST // 4 :]}"  # how to mend it stands at the end


def counted(number: int, what: str, several: str | None = None) -> str:
    """`1 word`, `2 words`; `several` for a plural that is not made with an s."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


class AttnvizError(Exception):
    """What attnviz says when it cannot do as asked: `str(error)` is one line, fit to be shown to the user."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(one_line(shortened(message))))


class ImageError(AttnvizError):
    """A photo that is missing, damaged, too large or no image at all."""


class ImageKindError(ImageError):
    """A file that is no image, or one of a kind that is not read here."""


class ImageSizeError(ImageError):
    """A photo of more pixels or bytes than are allowed."""


class TraceError(AttnvizError):
    """A trace, or a trace file, that does not hold together."""


class ModelError(AttnvizError):
    """A model that is missing, damaged or unable to do what is asked."""


class GradientError(ModelError):
    """A model through which no gradient flows back to its attention, so that it has no map by gradient."""


class ConfigError(AttnvizError, ValueError):
    """A setting with a value that cannot be used."""


class OutputError(AttnvizError):
    """A file or folder that cannot be written."""


class DataError(AttnvizError):
    """Training or evaluation data that is missing or malformed."""
