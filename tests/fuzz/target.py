"""What a reader under test is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz.mutate import Mutation, raw


@dataclass(frozen=True)
class Target:
    """A reader of files.

    Attributes:
        suffix: of the files, with its dot.
        seeds: makes sound files to start from, given a folder that may hold what lies beside them.
        read: reads one, as a command would, and uses what it got: whoever accepts a file has to be able to use it.
            The folder is as `seeds` left it.
        mutate: damages a seed.
        names: whether an error has to name the file; not where it is part of a larger thing.
    """

    suffix: str
    seeds: Callable[[Path], Sequence[bytes]]
    read: Callable[[Path], None]
    mutate: Mutation = raw
    names: bool = True
