"""Threads for painting and encoding: numpy, zlib and Pillow let go of the interpreter's lock while they work."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MAX_THREADS = 16  # more frames than that at once would only fill the memory


def threads(wanted: int | None = None) -> int:
    """How many threads to use: as many as `wanted`, or as cores this process may use."""
    if wanted is None:
        wanted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(wanted, MAX_THREADS))


def ordered(function: Callable[[T], R], items: Iterable[T], wanted: int | None = None) -> Iterator[R]:
    """`map` on threads: results in order, a few ahead of the consumer and no more, so memory stays bounded."""
    count = threads(wanted)
    if count == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
