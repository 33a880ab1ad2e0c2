"""How far a run is, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnviz.batch.record import Record


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        total: the photos that there are, of this shard.
        skipped: done by an earlier run, with the same settings.
        done, failed: by this run.
        record: what became of the photo that is just finished; None at the beginning, and for the gallery.
        gallery: how many photos the gallery has by now, once all are finished.
        remarks: at the beginning, what should be known of the place, such as that its file system has no locks.
    """

    total: int
    skipped: int
    done: int = 0
    failed: int = 0
    record: Record | None = None
    gallery: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Photos still to come."""
        return self.total - self.skipped - self.done - self.failed


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        total, skipped, done, failed: numbers of photos, as in `Progress`.
        stopped: whether it was asked to stop before the end.
        seconds: how long it took.
        manifest: the file with a line for each photo; a URL in a store.
        report: the gallery, where one was asked for.
        failures: photo -> why it failed.
        left_out: files that look like photos but are of kinds that a folder is not searched for.
    """

    total: int
    skipped: int
    done: int
    failed: int
    stopped: bool
    seconds: float
    manifest: Path | str
    report: Path | str | None
    failures: dict[str, str]
    left_out: tuple[str, ...] = ()
