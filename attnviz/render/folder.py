"""The output folder: a run's files replace those of the run before and nothing else, all of them or none."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from attnviz.errors import OutputError
from attnviz.files import unfit
from attnviz.render.names import is_ours

SUMMARY = "summary.json"
MOST_UP = 3  # folders
MAX_SUMMARY = 64 * 2**20  # bytes; a longer file is no summary of ours


class Folder:
    """Collects files beside where they shall be, then moves them all into place.

    Use it as a context: leaving it by an exception removes what was not moved yet, and folders made for it.

    Args:
        path: the folder; made if it is not there.

    Attributes:
        earlier: the summary that an earlier run left there, empty without one.

    Raises:
        OutputError: it cannot be made, or holds a summary.json that attnviz did not write.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._temporary: dict[str, Path] = {}
        self._made: list[Path] = []
        with output_errors(self.path):
            self._make()
        try:
            self.earlier = read_summary(self.path)
        except BaseException:
            self._clean()
            raise

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._clean(folders=kind is not None)

    def reserve(self, name: str) -> Path:
        """The temporary path of a file that `commit` will call `name`. Files are listed in the order of this."""
        if name not in self._temporary:
            self._temporary[name] = self.path / f".attnviz-{secrets.token_hex(8)}.tmp"
        return self._temporary[name]

    def write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        """Has a file written under a temporary name. May be called from several threads."""
        with output_errors(self.path / name), self.reserve(name).open("wb") as stream:
            write(stream)

    def commit(self, summary: dict[str, Any], *, keep: bool = False) -> list[Path]:
        """Moves all files into place, removes those of the earlier run that this one has not, writes the summary.

        Args:
            keep: those of the earlier run stay, and stay listed.

        Returns:
            The files, in the order of their writing, the summary last.
        """
        names = [*self._temporary, SUMMARY]
        former = [name for name in self.earlier.get("files", ()) if is_ours(name) and name not in names]
        listed = [*former, *names] if keep else names
        text = json.dumps({**summary, "files": listed}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        # A lone surrogate, which has no UTF-8, becomes an escape: JSON knows the same one.
        with output_errors(self.path / SUMMARY):
            self.reserve(SUMMARY).write_bytes(text.encode("utf-8", "backslashreplace"))
        for name in names:  # before anything is moved
            if (self.path / name).is_dir():
                raise OutputError(f"{self.path / name}: is a folder, not a file; choose another output folder")
        for name in names:
            with output_errors(self.path / name):
                self._temporary.pop(name).replace(self.path / name)
        for name in former if not keep else ():
            with suppress(OSError):
                (self.path / name).unlink()
        return [self.path / name for name in names]

    def _make(self) -> None:
        missing = self.path
        while not missing.exists() and missing != missing.parent:
            self._made.append(missing)
            missing = missing.parent
        self.path.mkdir(parents=True, exist_ok=True)

    def _clean(self, folders: bool = True) -> None:
        for path in self._temporary.values():
            with suppress(OSError):
                path.unlink()
        self._temporary.clear()
        for path in self._made if folders else ():
            with suppress(OSError):
                path.rmdir()


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary in a folder of results, empty without one. Raises OutputError for one that attnviz did not write."""
    path = folder / SUMMARY
    try:
        if path.stat().st_size > MAX_SUMMARY:
            raise ValueError
        summary = json.loads(path.read_bytes())
        files = summary["files"]
        if "attnviz" not in summary or not isinstance(files, list):
            raise ValueError
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        message = f"{path}: was not written by attnviz, so it is left alone; choose another output folder"
        raise OutputError(message) from None
    return dict(summary)


def way_to(photo: str, folder: Path) -> str | None:
    """The way from a folder of results to the photo, for `attnviz draw FOLDER`; None where it would lead far away.

    Results are passed on, and then a long way would only tell others how somebody's disk is laid out.
    """
    try:
        way = Path(os.path.relpath(photo, folder))
    except ValueError:  # on another drive, or no path
        return None
    return way.as_posix() if way.parts.count(os.pardir) <= MOST_UP and Path(photo).name else None


class output_errors:  # noqa: N801 - used like a function
    """A context that turns an OSError, but a broken pipe, into one line that names the file and the reason."""

    def __init__(self, path: Path | str) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BrokenPipeError):  # whoever reads the stream has enough: that is no failure to tell of
            return
        if isinstance(error, FileExistsError | NotADirectoryError):
            path = Path(self._path)
            file = next((part for part in (path, *path.parents) if part.is_file()), path)
            raise OutputError(f"{path}: cannot be written, since {file} is a file; choose another folder") from error
        if isinstance(error, OSError):
            raise OutputError(f"{self._path}: cannot be written: {error.strerror or error}") from error
        if isinstance(error, ValueError) and "null" in str(error):  # a NUL in the path
            raise OutputError(f"{self._path}: is no path") from error
        if isinstance(error, UnicodeEncodeError) and (reason := unfit(self._path)):
            raise OutputError(f"{self._path}: cannot be written: {reason}") from error
