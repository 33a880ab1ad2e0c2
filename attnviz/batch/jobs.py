"""What passes between a run and its drawing processes, pickled, over pipes that nobody else can reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.photo.image import Pixels
    from attnviz.trace import Trace


@dataclass(frozen=True, eq=False)
class Job:
    """What to draw.

    Attributes:
        traces: the one to draw, and others for the page to compare it with.
        pixels: (H, W, 3) uint8, the photo or a smaller copy of it.
        name: of the photo.
        folder: to draw into; the folder above it is there.
        formats, options: as for `attnviz.draw`.
    """

    traces: tuple[Trace, ...]
    pixels: Pixels
    name: str
    folder: Path
    formats: tuple[str, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came of a job.

    Attributes:
        files: the names of those written.
        summary: SHA-256 of summary.json.
        seconds: how long it took.
        error: why there are none.
        errno: the system's number of that error, where it is one of the system's.
    """

    files: tuple[str, ...] = ()
    summary: str = ""
    seconds: float = 0.0
    error: str | None = None
    errno: int | None = None


def reason(error: BaseException) -> str:
    """One line on what went wrong with a photo."""
    if isinstance(error, AttnvizError):
        return str(error)
    if isinstance(error, MemoryError):
        return "takes more memory than there is; make it smaller"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return f"{type(error).__name__}: {error}; this is a bug, please report it"


def errno_of(error: BaseException | None) -> int | None:
    """The number of the system's error that another one comes from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__
    return None
