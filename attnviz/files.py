"""Writing files so that a reader sees the old one or the new one, never half. A leaf."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from attnviz.errors import OutputError


def write_atomically(path: str | Path, data: bytes) -> None:
    """Writes `data` to a temporary file in the same folder, then moves it to `path`; makes missing folders.

    Raises:
        OutputError: when that fails; `path` is then as it was.
    """
    with writing(path) as file:
        file.write(data)


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to piece by piece, which becomes `path` in the end; where the block fails, `path` is as it was.

    Raises:
        OutputError: as `write_atomically` does.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".attnviz-", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
        temporary.chmod(0o666 & ~_UMASK)  # mkstemp's 0600 is for secrets
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# Read once, at import: reading means setting it, which another thread's new file would feel.
_UMASK = _umask()
