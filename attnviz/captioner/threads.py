"""Images side by side: on a CPU, each on a thread of its own, with torch at one thread in each.

That is faster than torch's own threads, which split every small operation, and much faster where other programs use the
cores too; and the last bits of a sum no longer depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


class Map(Protocol):
    """`function` of each item, in order."""

    def __call__(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]: ...


@contextmanager
def side_by_side(device: torch.device) -> Iterator[Map]:
    """A `Map` on as many threads as torch may use here; on an accelerator, or where that is one, there is no other."""
    count = torch.get_num_threads()
    if device.type != "cpu" or count == 1:
        yield lambda function, items: [function(item) for item in items]
        return
    try:
        with ThreadPoolExecutor(count, initializer=_alone) as pool:
            yield lambda function, items: list(pool.map(function, items))
    finally:
        torch.set_num_threads(count)  # threads that start from now on take after whoever said a number last


def _alone() -> None:
    torch.get_num_threads()  # a thread's first question sets its number to the common one
    torch.set_num_threads(1)
