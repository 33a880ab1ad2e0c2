"""Finished results are moved to where they belong, in place of what was there."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from attnviz.errors import OutputError
from attnviz.files import saved
from attnviz.render.folder import SUMMARY, Folder, output_errors
from attnviz.render.names import is_ours


def place(staged: Path, folder: Path, files: Sequence[str]) -> None:
    """Moves a folder of results to `folder`.

    Where there is none yet, that is a single step. Otherwise the files of attnviz in it make room first, the summary
    before all others, so that what a crash leaves is never taken for finished results. Files of other programs stay.

    Args:
        staged: the finished results, on the same file system.
        folder: where they go; the folders above it are made.
        files: the names of the results, the summary last.

    Raises:
        OutputError: a file stands in the way, or `folder` holds a summary.json of another program.
    """
    with output_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            staged.rename(folder)
            return
        with Folder(folder):  # says no where the summary is not ours
            pass
        names = (path.name for path in folder.iterdir())
        for name in sorted(filter(is_ours, names), key=lambda name: name != SUMMARY):
            if (folder / name).is_dir():
                raise OutputError(f"{folder / name}: is a folder, not a file; choose another output folder")
            (folder / name).unlink()
        with suppress(OSError):  # other files are in it
            folder.rmdir()
            staged.rename(folder)
            return
        for name in files:
            (staged / name).replace(folder / name)
        staged.rmdir()


class Staging:
    """A folder for what is not finished, beside the results; removed at the end, and by the next run after a crash.

    Use it as a context.

    Args:
        path: made anew; what is in it is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Staging:
        with output_errors(self.path.parent):  # it is hidden, and its own name says nothing to anybody
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def replace(self, path: Path, data: bytes | Iterable[bytes]) -> None:
        """Writes a file, whole or not at all, by way of this folder. Raises OutputError where it cannot be."""
        temporary = self.path / secrets.token_hex(8)
        with output_errors(path):
            with temporary.open("wb") as file:
                for piece in (data,) if isinstance(data, bytes) else data:
                    file.write(piece)
                file.flush()
                saved(file.fileno())
            temporary.replace(path)
