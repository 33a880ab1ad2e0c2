"""One run at a time on one manifest. The system lets go of the lock when the process ends, however it ends."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from attnviz.errors import OutputError
from attnviz.files import saved, unable
from attnviz.render.folder import output_errors

PATIENCE = 3.0  # seconds: the drawing processes of a run that was killed may take a moment to notice
_NAME = re.compile(r"\.attnviz-([0-9]+)-of-([0-9]+)\.lock")


class Lock:
    """Holds the I-th of N parts of an output folder. Runs of the same N hold different parts side by side.

    Use it as a context.

    Args:
        out: the output folder, which is there.
        shard: (I, N).

    Raises:
        OutputError: another run is at work on this part, or on parts of another size.
    """

    def __init__(self, out: Path, shard: tuple[int, int]) -> None:
        self._out, self._shard = out, shard
        self._path = out / f".attnviz-{shard[0]}-of-{shard[1]}.lock"
        self._file: IO[str] | None = None
        self.remarks: list[str] = []
        """What the file system lacks, that is of use to know."""

    @property
    def descriptor(self) -> int | None:
        """To be inherited by helping processes, so that the lock is held until the last of them has ended."""
        return None if self._file is None or os.name == "nt" else self._file.fileno()

    def __enter__(self) -> Self:
        with output_errors(self._out):  # not the lock's own name, which is hidden and says nothing to anybody
            file = self._acquire()
        try:
            self._refuse_other_sizes()
        except BaseException:
            self._release(file)
            raise
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        if not saved(file.fileno()):
            self.remarks.append(f"{self._out}: this file system does not tell when it has saved a file")
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._release(self._file)
            self._file = None

    def check(self) -> None:
        """Nobody takes a lock away, as a lease can be."""

    def _acquire(self) -> IO[str]:
        deadline = time.monotonic() + PATIENCE
        while True:
            file = self._path.open("a+", encoding="ascii")
            try:
                locked = _try_lock(file)
            except OSError:
                file.close()
                raise
            if locked is None:
                self.remarks.append(f"{self._out}: this file system has no locks; let no other run write here")
                return file
            if locked:
                # Between opening and locking, its former holder may have removed the file: then it locks nothing.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                        return file
                file.close()
                continue
            file.seek(0)
            holder = file.read(20).strip()
            file.close()
            if time.monotonic() > deadline:
                raise OutputError(
                    f"{self._out}: another run{f' (process {holder})' if holder else ''} is writing here; wait for its "
                    "end, or give another folder with -o"
                )
            time.sleep(0.05)

    def _refuse_other_sizes(self) -> None:
        for path in self._out.glob(".attnviz-*-of-*.lock"):
            match = _NAME.fullmatch(path.name)
            if match is None or int(match[2]) == self._shard[1]:
                continue
            with suppress(FileNotFoundError), path.open("r+", encoding="ascii") as file:
                locked = _try_lock(file)
                if locked is False:
                    raise OutputError(
                        f"{self._out}: a run with --shard {match[1]}/{match[2]} is writing here; wait for its end, or "
                        "give the same number of shards"
                    )
                if locked:
                    path.unlink(missing_ok=True)

    def _release(self, file: IO[str]) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)  # while it is held: see _acquire
        file.close()


def _try_lock(file: IO[str]) -> bool | None:
    """Whether the file is locked by us now, or by another (False); None where the file system has no locks."""
    if os.name == "nt":
        import msvcrt

        with suppress(OSError):
            file.seek(1000)  # beyond what is written, so that others may read it
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            return True
        return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if unable(error):
            return None
        raise
    return True
