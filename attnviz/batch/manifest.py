"""The manifest: a line of JSON for each photo, written when its results are in place.

A line is added in one write, so it outlives the process that wrote it. One that a crash cut off is dropped when the
file is read again, and its photo is done anew.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

from attnviz.errors import OutputError
from attnviz.files import saved
from attnviz.render.folder import output_errors

if TYPE_CHECKING:
    from attnviz.trace import Trace

DONE, FAILED = "done", "failed"
SAVED_EVERY = 1.0  # seconds

_NAME = re.compile(r"manifest(-[0-9]+-of-[0-9]+)?\.jsonl")


@dataclass(frozen=True)
class Record:
    """What became of a photo.

    Attributes:
        path: of the photo, relative to the folder of photos.
        state: "done" or "failed".
        caption: the words; None where it failed, as all that follows up to `error` may be.
        folder: of the results, relative to the output folder.
        files: their names.
        probability: the geometric mean of the words' probabilities.
        entropy: the mean of the words' attention entropies, in nats.
        sha256: of the photo's bytes.
        size, mtime_ns: of the photo in bytes, and its time of change: by these it is known again without being read.
        summary: SHA-256 of the summary.json among the results.
        settings: a hash of all that decides what the results are: model, options, version.
        seconds: how long this photo was worked on.
        error: why it failed.
        remarks: what should be known of the photo's file, such as that it is damaged.
    """

    path: str
    state: str
    caption: str | None = None
    folder: str | None = None
    files: tuple[str, ...] = ()
    probability: float | None = None
    entropy: float | None = None
    sha256: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    summary: str | None = None
    settings: str | None = None
    seconds: float | None = None
    error: str | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def from_line(cls, line: bytes) -> Self | None:
        """Reads what `to_line` wrote; None for anything else."""
        try:
            values = json.loads(line)
            lists = {"files": tuple(values["files"]), "remarks": tuple(values.get("remarks", ()))}
            record = cls(**{**values, **lists})
            return record if _sound(record) else None
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return None

    def to_line(self) -> bytes:
        """One line, in ASCII: names that hold line breaks, or bytes that are no text, come back as they were."""
        return json.dumps(asdict(self)).encode() + b"\n"


FIELDS = tuple(field.name for field in fields(Record))


def _sound(record: Record) -> bool:
    """Whether all fields hold what they should: the file may have been edited, or be another program's."""
    texts = (record.caption, record.folder, record.sha256, record.summary, record.settings, record.error)
    numbers = (record.probability, record.entropy, record.seconds)
    places = [record.path, *([record.folder] if record.state == DONE else [])]
    return (
        record.state in (DONE, FAILED)
        and all(isinstance(text, str | None) for text in texts)
        and all(isinstance(text, str) for text in (*record.files, *record.remarks))
        and all(number is None or (type(number) in (int, float) and math.isfinite(number)) for number in numbers)
        and all(type(number) in (int, type(None)) for number in (record.size, record.mtime_ns))
        and all(map(_inside, places))
        and all(_inside(name) and "/" not in name for name in record.files)
    )


def _inside(path: str | None) -> bool:
    """Whether a path, with "/" between its parts, stays in the folder that it is relative to."""
    return isinstance(path, str) and "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def manifest_name(shard: tuple[int, int]) -> str:
    """`manifest.jsonl`, or `manifest-2-of-4.jsonl` for the second of four parts."""
    number, count = shard
    return "manifest.jsonl" if count == 1 else f"manifest-{number}-of-{count}.jsonl"


def manifests(out: Path) -> list[Path]:
    """The manifests in an output folder, of all shards."""
    return sorted(path for path in out.glob("manifest*.jsonl") if _NAME.fullmatch(path.name))


def read(path: Path) -> tuple[dict[str, Record], bool]:
    """The last record of each photo, and whether the file is as it should be: whole lines, one a photo.

    Raises:
        OutputError: the file cannot be read, or is not one of attnviz.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}, True
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error
    *lines, rest = data.split(b"\n")  # a last line without its end is one that a crash cut off
    records: dict[str, Record] = {}
    for line in lines:
        if (record := Record.from_line(line)) is not None:
            records[record.path] = record
    if lines and not records:
        raise OutputError(f"{path}: was not written by attnviz, so it is left alone; choose another output folder")
    return records, not rest and len(records) == len(lines)


class Manifest:
    """The manifest of one run; its `records` are the last ones of each photo.

    Args:
        path: of the file; it need not be there.
        replace: writes bytes to a path, whole or not at all.

    Raises:
        OutputError: the file is not one of attnviz, or cannot be written.
    """

    def __init__(self, path: Path, replace: Callable[[Path, bytes], None]) -> None:
        self.path, self._replace = path, replace
        self.records, whole = read(path)
        if not whole:
            self._rewrite()
        with output_errors(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        self._closing, self._unsaved = threading.Event(), False
        self._saver = threading.Thread(target=self._save, name="manifest", daemon=True)
        self._saver.start()

    def append(self, record: Record) -> None:
        """Adds a line, in one write, which outlives the process. The disk has it within `SAVED_EVERY` seconds.

        Raises:
            OutputError: it could not be written; the file is then as it was.
        """
        line = record.to_line()
        with output_errors(self.path):
            size = os.fstat(self._descriptor).st_size
            try:
                if os.write(self._descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                os.ftruncate(self._descriptor, size)
                raise
        self.records[record.path] = record
        self._unsaved = True

    def finish(self, present: Collection[str]) -> None:
        """Leaves one line for each photo, by path. Failures of photos that are gone are forgotten.

        Args:
            present: the paths of all files that there are, also of those that this run was not asked for.
        """
        self.close()
        records = self.records.items()
        self.records = {path: record for path, record in records if record.state == DONE or path in present}
        self._rewrite()

    def close(self) -> None:
        """Closes the file, once the disk has it."""
        if self._descriptor >= 0:
            self._closing.set()
            self._saver.join()
            os.close(self._descriptor)
            self._descriptor = -1

    def _save(self) -> None:
        """On a thread of its own: waiting for the disk also waits for all pictures just written."""
        closing = False
        while not closing:
            closing = self._closing.wait(SAVED_EVERY)
            if self._unsaved:
                self._unsaved = False
                with suppress(OSError):  # a disk that fails here fails the next write too
                    saved(self._descriptor)

    def _rewrite(self) -> None:
        self._replace(self.path, lines(self.records))


def lines(records: Mapping[str, Record]) -> bytes:
    """The file of these records, by path."""
    return b"".join(records[path].to_line() for path in sorted(records))


def neighbours(out: Path, own: Path) -> dict[str, list[Record]]:
    """What the other manifests in an output folder say of each photo."""
    found: dict[str, list[Record]] = {}
    for path in manifests(out):
        if path != own:
            for record in read(path)[0].values():
                found.setdefault(record.path, []).append(record)
    return found


def everything(out: Path) -> list[Record]:
    """The records of all manifests in an output folder, one a photo, by path; a finished one goes before a failure."""
    found: dict[str, Record] = {}
    for path in manifests(out):
        for record in read(path)[0].values():
            if record.path not in found or record.state == DONE:
                found[record.path] = record
    return [found[path] for path in sorted(found)]


def probability(trace: Trace) -> float | None:
    """The geometric mean of the words' probabilities; None where they are not known."""
    if trace.logprobs is None or not len(trace):
        return None
    return round(min(math.exp(float(trace.logprobs.mean())), 1.0), 6)


def entropy(trace: Trace) -> float | None:
    """The mean entropy of the words' attention, in nats; None without words."""
    return round(sum(step.entropy for step in trace.steps) / len(trace), 6) if len(trace) else None
