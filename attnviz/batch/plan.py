"""Which photos are still to be done: those whose results are not there, or are of another photo or other settings."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.batch.ledger import Ledger
from attnviz.batch.listed import Stamp
from attnviz.batch.record import DONE

if TYPE_CHECKING:
    from attnviz.batch.catalogue import Photos
    from attnviz.batch.listed import Listed
    from attnviz.batch.manifest import Manifest
    from attnviz.batch.outs import Out
    from attnviz.batch.record import Record
    from attnviz.batch.sources import Source


def left_to_do(listed: Photos, source: Source, out: Out, settings: str, manifest: Manifest) -> Photos:
    """The photos that have no finished results.

    The other manifests in the output folder count too: a folder that was begun as a whole can be finished in shards.
    Where a photo's file is newer than its results but its bytes are the same, the manifest learns of its new time.

    Args:
        listed: all photos.
        source, out: where photos come from and results go.
        settings: hash of the settings of this run.
        manifest: of this run.

    Raises:
        AttnvizError: a manifest that cannot be read or written, or no room for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="attnviz-") as scratch:
        paths = out.manifests(Path(scratch))
        ledgers = [manifest.records, *(Ledger(path) for path in paths if path.name != manifest.path.name)]
        if not any(map(len, ledgers)):
            return listed

        def is_left(photo: Listed) -> bool:
            for record in filter(None, (ledger.get(photo.path) for ledger in ledgers)):
                fresh = still_true(record, photo, source, settings)
                if fresh is not None and out.is_there(record):
                    if fresh != record:
                        manifest.append(fresh)
                    return False
            return True

        todo = listed.only(is_left)
        for ledger in ledgers[1:]:
            ledger.close()
    return todo


def still_true(record: Record, photo: Listed, source: Source, settings: str) -> Record | None:
    """The record, with the time of the photo's file as it is now; None where photo or settings have changed."""
    if record.state != DONE or record.settings != settings or record.folder != photo.folder:
        return None
    stamp = source.stamp(photo)
    if stamp is None:  # gone, or of a kind that only reading would tell of: then its name stands for it
        return record if (record.size, record.mtime_ns, record.etag) == Stamp() else None
    if stamp.etag is not None and stamp.etag == record.etag:
        return record
    if stamp == Stamp(record.size, record.mtime_ns, record.etag):
        return record
    if stamp.size != record.size or stamp.etag is not None or source.digest(photo) != record.sha256:
        return None
    return replace(record, mtime_ns=stamp.mtime_ns)
