"""One run at a time on an output folder in an object store, which has no locks: a lease that is renewed, or ends.

Leases are numbered objects, each created by a conditional write, so of two runs that want the same number one gets it.
The holder writes its own again now and then. Whoever sees a lease unchanged for `TERM` seconds, by their own clock (no
two machines' clocks agree), or knows that its process is gone, takes the next number; the former holder sees that at
its next renewal, and stops.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attnviz.errors import AttnvizError, OutputError, counted

if TYPE_CHECKING:
    from attnviz.batch.cloud.store import Store

TERM = 60.0
"""Seconds after which a lease that was not renewed has ended."""

RENEWALS = 4  # in each term
SETTLING = 0.3  # seconds
PATIENCE = 3.0  # seconds between two looks at another's lease
_NAME = re.compile(r"([0-9]+)\.json")


class Lease:
    """Holds the I-th of N parts of an output folder. Use it as a context.

    Args:
        store: the output folder.
        shard: (I, N).
        term: in seconds.

    Attributes:
        remarks: what should be known of the place.
        lost: is set when another run took the lease over.

    Raises:
        OutputError: another run is at work on this part, or on parts of another size.
    """

    descriptor = None  # there is no file to keep open, as `Lock` has it

    def __init__(self, store: Store, shard: tuple[int, int], term: float = TERM) -> None:
        self._store, self._shard, self._term = store, shard, term
        self.remarks: list[str] = []
        self.lost = threading.Event()
        self._number, self._token = 0, secrets.token_hex(8)
        self._over = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._refuse_other_sizes()
        while not self._acquired():
            pass
        self._renewer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._renewer.join()
        if not self.lost.is_set():
            self._store.remove(self._path(self._number))

    def check(self) -> None:
        """Raises OutputError where another run took the lease over."""
        if self.lost.is_set():
            raise OutputError(f"{self._store}: another run took over, since this one did not renew its lease in time")

    def _folder(self, shard: tuple[int, int]) -> str:
        return ".attnviz/lease-{}-of-{}".format(*shard)

    def _path(self, number: int) -> str:
        return f"{self._folder(self._shard)}/{number:08d}.json"

    def _acquired(self) -> bool:
        """Whether the lease is ours now. Waits where another's may be about to end."""
        latest = self._latest(self._shard)
        if latest is not None:
            held = self._wait_for_end(self._shard, latest)
            if held is not None:
                raise OutputError(
                    f"{self._store}: another run ({_who(held)}) is writing here; wait for its end, or give another "
                    "folder with -o"
                )
        self._number = (latest or 0) + 1
        content = self._content()
        if not self._store.create(self._path(self._number), content):
            return False
        # Not every store refuses the second of two at once: then the last one that wrote has it, and the other sees so.
        time.sleep(SETTLING)
        if self._read(self._path(self._number)) != json.loads(content):
            return False
        for number in self._numbers(self._shard):
            if number < self._number:
                self._store.remove(self._path(number))
        return True

    def _wait_for_end(self, shard: tuple[int, int], number: int) -> dict[str, Any] | None:
        """Looks at a lease until it ends (None), or is renewed: then what it says."""
        path = f"{self._folder(shard)}/{number:08d}.json"
        first, deadline = self._read(path), time.monotonic() + self._term
        if first is None or _is_gone(first):
            return None
        self.remarks.append(f"{self._store}: waited for the lease of another run ({_who(first)}) to end")
        while time.monotonic() < deadline:
            time.sleep(min(PATIENCE, self._term / RENEWALS))
            now = self._read(path)
            if now is None:
                return None
            if now != first:
                return now
        return None

    def _refuse_other_sizes(self) -> None:
        """A run of the whole and one of a part, or of parts of another number, would both do some photos."""
        for name, is_folder, _ in self._store.entries(".attnviz"):
            match = re.fullmatch(r"lease-([0-9]+)-of-([0-9]+)", name)
            if match is None or not is_folder or int(match[2]) == self._shard[1]:
                continue
            other = int(match[1]), int(match[2])
            latest = self._latest(other)
            if latest is not None and self._wait_for_end(other, latest) is not None:
                raise OutputError(
                    f"{self._store}: a run with --shard {match[1]}/{match[2]} is writing here; wait for its end, or "
                    "give the same number of shards"
                )

    def _numbers(self, shard: tuple[int, int]) -> list[int]:
        return sorted(int(match[1]) for name in self._store.names(self._folder(shard)) if (match := _NAME.match(name)))

    def _latest(self, shard: tuple[int, int]) -> int | None:
        return max(self._numbers(shard), default=None)

    def _read(self, path: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._store.read(path))
        except (AttnvizError, ValueError):  # it was removed meanwhile
            return None
        return found if isinstance(found, dict) else None

    def _content(self) -> bytes:
        told = {"host": socket.gethostname(), "process": os.getpid(), "room": _room(), "run": self._token}
        return json.dumps({**told, "renewed": time.time(), "nonce": secrets.token_hex(4)}).encode()

    def _renew(self) -> None:
        last = time.monotonic()
        while not self._over.wait(self._term / RENEWALS):
            try:
                now = self._read(self._path(self._number)) or {}
                if (self._latest(self._shard) or 0) > self._number or now.get("run", self._token) != self._token:
                    self.lost.set()
                    return
                self._store.write(self._path(self._number), self._content())
                last = time.monotonic()
            except AttnvizError:
                if time.monotonic() - last > self._term:
                    self.lost.set()
                    return


def _who(lease: dict[str, Any]) -> str:
    ago = max(0, round(time.time() - float(lease.get("renewed") or 0)))
    return f"process {lease.get('process')} on {lease.get('host')}, heard of {counted(ago, 'second')} ago"


def _room() -> str:
    """What tells whether another's process number means the same process here: this start of this machine."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_gone(lease: dict[str, Any]) -> bool:
    """Whether the process that holds a lease is known to be gone: it ran here, and does not any more."""
    process = lease.get("process")
    if not _room() or lease.get("room") != _room() or type(process) is not int or process == os.getpid():
        return False
    return not Path(f"/proc/{process}").exists()
