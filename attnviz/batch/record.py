"""What became of a photo: a line of JSON in the manifest."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Self

DONE, FAILED = "done", "failed"


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
        etag: of a photo in an object store, by which it is known again in place of its time.
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
    etag: str | None = None

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
    texts = (record.caption, record.folder, record.sha256, record.summary, record.settings, record.error, record.etag)
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
