"""Which photos are still to be done: those whose results are not there, or are of another photo or other settings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.batch.manifest import DONE, neighbours
from attnviz.render.folder import SUMMARY

if TYPE_CHECKING:
    from attnviz.batch.listing import Listed
    from attnviz.batch.manifest import Manifest, Record


def left_to_do(listed: Sequence[Listed], top: Path, out: Path, settings: str, manifest: Manifest) -> list[Listed]:
    """The photos that have no finished results.

    The other manifests in the output folder count too: a folder that was begun as a whole can be finished in shards.
    Where a photo's file is newer than its results but its bytes are the same, the manifest learns of its new time.

    Args:
        listed: all photos.
        top, out: the folders of photos and results.
        settings: hash of the settings of this run.
        manifest: of this run.

    Raises:
        OutputError: a manifest that cannot be read or written.
    """
    others = neighbours(out, manifest.path)
    todo = []
    for photo in listed:
        own = manifest.records.get(photo.path)
        for record in ([own] if own else []) + others.get(photo.path, []):
            fresh = _still_true(record, photo, top / photo.path, settings)
            if fresh is not None and _there(out, record):
                if fresh != record:
                    manifest.append(fresh)
                break
        else:
            todo.append(photo)
    return todo


def _still_true(record: Record, photo: Listed, path: Path, settings: str) -> Record | None:
    """The record, with the time of the photo's file as it is now; None where photo or settings have changed."""
    if record.state != DONE or record.settings != settings or record.folder != photo.folder:
        return None
    try:
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) == (record.size, record.mtime_ns):
            return record
        if status.st_size != record.size:
            return None
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
                return None
    except OSError:
        return None
    return replace(record, mtime_ns=status.st_mtime_ns)


def _there(out: Path, record: Record) -> bool:
    """Whether the results are all there, and are those that the record tells of."""
    folder = out / str(record.folder)
    try:
        summary = hashlib.sha256((folder / SUMMARY).read_bytes()).hexdigest()
        return summary == record.summary and set(record.files) <= {path.name for path in folder.iterdir()}
    except OSError:
        return False
