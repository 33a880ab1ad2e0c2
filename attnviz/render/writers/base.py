"""What the writers share: a format is a name for its files and the jobs that write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from attnviz.render.pictures import Pictures


@dataclass(frozen=True)
class Job:
    """One file to write.

    Attributes:
        name: of the file, within the output folder.
        write: writes it to a binary stream, which need not be seekable.
    """

    name: str
    write: Callable[[BinaryIO], None]


def nothing() -> None:
    """What a format requires that every installation can write."""


@dataclass(frozen=True)
class Writer:
    """A format.

    Attributes:
        summary: one line for a list of formats.
        jobs: the files that a set of pictures gives in this format.
        require: raises ConfigError where this installation lacks what the format needs.
    """

    summary: str
    jobs: Callable[[Pictures], Iterator[Job]]
    require: Callable[[], None] = nothing
