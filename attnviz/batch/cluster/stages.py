"""What the workers of a cluster do with blocks of photos. They share no memory: a photo goes on as bytes.

A block is a table of columns: `number` of each photo in the run, and `photo`, `item` or `record`, pickled. Whoever
meets something that ends the whole run, such as a full disk, sends it on as the record: an exception would only be
tried again.
"""

from __future__ import annotations

import os
import pickle
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attnviz._version import __version__
from attnviz.batch.engines import identities, opened
from attnviz.batch.work import BATCH, Item, Work, decode, described, failure, fetch, finished, job_of, why
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    import numpy as np

    from attnviz.batch.engines import Models
    from attnviz.batch.listed import Listed
    from attnviz.batch.record import Record
    from attnviz.network import Asked

Block = dict[str, "np.ndarray[Any, Any] | list[Any]"]
READERS = 8
"""Photos that a worker reads side by side: a store answers late, and may be asked for many at once."""


class Fatal(NamedTuple):
    """What ends the whole run, in one line; `bug` where it is no error that attnviz foresaw."""

    message: str
    bug: bool = False


@dataclass(frozen=True)
class Task:
    """What the workers are given once.

    Attributes:
        models: the networks, or what opens them.
        identities: what they are, as the driver was told.
        work: what is done with every photo; without networks.
        threads: of torch, in each worker.
        version: of attnviz, where the driver is.
    """

    models: Models
    identities: tuple[tuple[str, str], ...]
    work: Work
    threads: int
    version: str = __version__


def identified(models: Models, asked: Asked, version: str) -> list[tuple[str, str]] | Fatal:
    """(name, fingerprint) of each network, as a worker finds it.

    Args:
        version: the driver's, of attnviz.
    """
    if version != __version__:
        return Fatal(
            f"the cluster's workers have attnviz {__version__}, and this machine {version}; install one on all of them"
        )
    try:
        return identities(opened(models), asked)
    except AttnvizError as error:
        return Fatal(f"{error} (on a worker of the cluster)")


class Describer:
    """An actor with the networks: reads photos, and writes words about them.

    Args:
        task: what is done.
    """

    def __init__(self, task: Task) -> None:
        self._fatal: Fatal | None = None
        self._readers = ThreadPoolExecutor(READERS)
        self._work, networks = task.work, list[Any]()
        try:
            networks = opened(task.models)
            if tuple(identities(networks, task.work.asked)) != task.identities:
                self._fatal = Fatal("a worker of the cluster has other weights of the same model; install one on all")
        except AttnvizError as error:
            self._fatal = Fatal(str(error))
        self._work = replace(task.work, models=networks)
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(task.threads)

    def __call__(self, block: Block) -> Iterator[Block]:
        """Photos in, described photos out, a few at a time; the next ones are read meanwhile."""
        rows = zip(block["number"], block["photo"], strict=True)
        photos = [(int(number), pickle.loads(photo)) for number, photo in rows]
        batches = [photos[start : start + BATCH] for start in range(0, len(photos), BATCH)]
        ahead = self._read(batches[0]) if batches else []
        for number in range(len(batches)):
            items = [future.result() for future in ahead]
            ahead = self._read(batches[number + 1]) if number + 1 < len(batches) else []
            yield packed(self._described(items))

    def _read(self, photos: list[tuple[int, Listed]]) -> list[Future[Item | tuple[Item, Record]]]:
        return [self._readers.submit(self._one, Item(photo, number)) for number, photo in photos]

    def _one(self, item: Item) -> Item | tuple[Item, Record]:
        try:
            decode(item, fetch(item, self._work), self._work)
        except Exception as error:
            return item, failure(item, why(item, self._work, error), self._work)
        return item

    def _described(self, found: list[Item | tuple[Item, Record]]) -> list[tuple[int, Item | Record | Fatal]]:
        if self._fatal is not None:
            return [(0, self._fatal)]
        failed: list[tuple[int, Item | Record | Fatal]] = [
            (one[0].number, one[1]) for one in found if isinstance(one, tuple)
        ]
        items = [one for one in found if isinstance(one, Item)]
        if not items:
            return failed
        try:
            columns = described(self._work, [item.inputs for item in items])
        except AttnvizError as error:
            return [(0, Fatal(str(error)))]
        except Exception as error:
            return [(0, Fatal(f"{type(error).__name__}: {error}", bug=True))]
        for item, *traces in zip(items, *columns, strict=True):
            item.traces, item.inputs = tuple(traces), ()
        return [*failed, *((item.number, item) for item in items)]


def packed(found: list[tuple[int, Item | Record | Fatal]]) -> Block:
    """A block of what came of some photos."""
    return {
        "number": [number for number, _ in found],
        "item": [pickle.dumps(one, protocol=5) for _, one in found],
    }


def draw(block: Block, work: Work) -> Block:
    """A task that draws described photos, writes them where they belong, and tells what came of them.

    Args:
        work: what is done; without networks.
    """
    records = [_drawn(pickle.loads(one), work) for one in block["item"]]
    return {"number": list(block["number"]), "record": [pickle.dumps(one, protocol=5) for one in records]}


def _drawn(found: Item | Record | Fatal, work: Work) -> Record | Fatal:
    if not isinstance(found, Item):
        return found
    from attnviz.batch.worker import answered

    # On the disk of this node where results go to a store, beside the results where they go to a folder.
    above = work.staging if work.out.folder is not None else Path(tempfile.gettempdir())
    staged = above / f"attnviz-{found.number}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        return finished(found, answered(job_of(found, staged, work)), staged, work)
    except AttnvizError as error:
        return Fatal(str(error))
    finally:
        shutil.rmtree(staged, ignore_errors=True)
