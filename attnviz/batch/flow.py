"""What holds a pipeline together: channels between its stages that fill up, and a gate that counts bytes."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - no error: the pipeline is being taken down
    """The pipeline is being taken down; whoever waits shall stop."""


class Channel(Generic[T]):
    """Hands items from threads to threads, and makes those wait that are ahead.

    Args:
        room: how many items may lie in it.
        writers: how many threads put items in; each closes it once, and the last one ends it.
    """

    def __init__(self, room: int, writers: int) -> None:
        self._room, self._writers = room, writers
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._stopped = False

    def put(self, item: T) -> None:
        """Adds an item, once there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._room)
            if self._stopped:
                raise Stopped
            self._items.append(item)
            self._changed.notify_all()

    def take(self, most: int = 1, patience: float = 0.0, wait: bool = True) -> list[T]:
        """Up to `most` items; none when there will be no more, or with `wait` off when there is none now.

        With the first item in sight, others are waited for as long as each comes within `patience` seconds.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._stopped or self._items or not self._writers)
            seen, deadline = len(self._items), time.monotonic() + patience
            while 0 < len(self._items) < most and self._writers and not self._stopped and wait:
                self._changed.wait(deadline - time.monotonic())
                if len(self._items) > seen:
                    seen, deadline = len(self._items), time.monotonic() + patience
                elif time.monotonic() >= deadline:
                    break
            if self._stopped:
                raise Stopped
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """One of the writers has put its last item in."""
        with self._changed:
            self._writers -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Makes all who wait, or come later, raise Stopped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class Gate:
    """Lets work through as long as all of it together stays within so many bytes; what is larger goes alone.

    Args:
        room: in bytes.
    """

    def __init__(self, room: int) -> None:
        self._room, self._used = room, 0
        self._changed = threading.Condition()
        self._stopped = False

    def enter(self, size: int) -> None:
        """Waits until there is room for `size` bytes, and takes it."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._used or self._used + size <= self._room)
            if self._stopped:
                raise Stopped
            self._used += size

    def leave(self, size: int) -> None:
        """Gives room back."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()

    def stop(self) -> None:
        """As `Channel.stop`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
