"""Writing files so that a reader sees the old one or the new one, never half. A leaf."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from attnviz.errors import OutputError


def write_atomically(path: str | Path, data: bytes) -> None:
    """Writes `data` to a temporary file in the same folder, then moves it to `path`; makes missing folders.

    Raises:
        OutputError: when that fails; `path` is then as it was.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".attnviz-", suffix=".tmp", dir=path.parent)
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's 0600 is for secrets
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
