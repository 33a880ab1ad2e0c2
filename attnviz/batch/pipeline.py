"""The pipeline: photos are decoded in threads, described in batches, drawn in processes, and put into place.

Each stage waits when the next one is behind, and photos are let in only as long as all of them together stay within
`MEMORY` bytes, so memory does not grow with the folder.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.batch.drawers import Drawer
from attnviz.batch.flow import Channel, Gate, Stopped
from attnviz.batch.work import (
    BATCH,
    Item,
    Work,
    bytes_of,
    decode,
    described,
    failure,
    fetch,
    finished,
    job_of,
    why,
)
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.batch.catalogue import Photos
    from attnviz.batch.jobs import Answer, Job
    from attnviz.batch.listed import Listed
    from attnviz.batch.record import Record

MEMORY = 256 * 2**20
"""Bytes of pixels that may be under way."""

PATIENCE = 0.5
"""Seconds that a batch waits for its next photo; more wait for room only where photos are very large."""

DEATHS = 3
"""Drawing processes that may die in a row before any has answered."""


class Pipeline:
    """Runs photos through all stages.

    Args:
        work: what is done with them.
        photos: which; taken from as there is room.
        processes: how many draw.
        stop: when set, no further photo is begun: those that are being drawn are finished, those that wait for the
            network or for a drawing process are left for the next run.
        inherited: see `Drawer`.
    """

    def __init__(
        self,
        work: Work,
        photos: Photos,
        processes: int,
        stop: threading.Event,
        inherited: int | None = None,
    ) -> None:
        self._work, self._stop, self._inherited = work, stop, inherited
        self._photos = enumerate(photos)
        self._feeding = threading.Lock()
        decoders, networks = min(4, processes), _networks(work, processes)
        self._gate = Gate(MEMORY)
        self._decoded: Channel[Item] = Channel(2 * BATCH, decoders)
        self._described: Channel[Item] = Channel(BATCH + 2 * processes, networks)
        self._events: queue.SimpleQueue[Record | BaseException | None] = queue.SimpleQueue()
        self._drawers: set[Drawer] = set()
        self._deaths, self._ending = 0, threading.Event()
        stages = [(self._decode, decoders), (self._describe, networks), (self._draw, processes)]
        self._threads = [
            threading.Thread(target=self._guard, args=(stage,), name=stage.__name__, daemon=True)
            for stage, count in stages
            for _ in range(count)
        ]

    def run(self) -> Generator[Record]:
        """The records, as the photos are finished.

        Raises:
            AttnvizError: what ends the whole run, such as a full disk.
        """
        for thread in self._threads:
            thread.start()
        try:
            running = len(self._threads)
            while running:
                if self._stop.is_set():
                    self._let_go()
                try:
                    event = self._events.get(timeout=0.5)  # so that signals are seen on every system
                except queue.Empty:
                    continue
                if isinstance(event, BaseException):
                    raise event
                if event is None:
                    running -= 1
                else:
                    yield event
        finally:
            self._take_down()

    def _guard(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except Stopped:
            pass
        except BaseException as error:
            self._events.put(error)
        finally:
            self._events.put(None)

    def _let_go(self) -> None:
        """Whoever waits for a photo, or for room for one, shall wait no longer."""
        for stage in (self._gate, self._decoded, self._described):
            stage.stop()

    def _take_down(self) -> None:
        """At the end this finds nothing to do; after an error, or when nobody wants more records, it ends all."""
        self._ending.set()
        self._let_go()
        for drawer in list(self._drawers):
            drawer.kill()
        for thread in self._threads:
            thread.join(5)

    def _decode(self) -> None:
        try:
            while not self._stop.is_set():
                with self._feeding:
                    number, photo = next(self._photos, (0, None))
                if photo is None:
                    return
                if (item := self._decoded_item(photo, number)) is not None:
                    self._decoded.put(item)
        finally:
            self._decoded.close()

    def _decoded_item(self, photo: Listed, number: int) -> Item | None:
        """A photo read and scaled; None where it cannot be."""
        item = Item(photo, number)
        try:
            data = fetch(item, self._work)
            item.held = bytes_of(data, self._work.max_pixels)
            self._gate.enter(item.held)
            decode(item, data, self._work)
        except Stopped:
            raise
        except Exception as error:
            self._fail(item, why(item, self._work, error))
            return None
        kept = item.bytes_kept
        self._gate.leave(item.held - kept)
        item.held = kept
        return item

    def _describe(self) -> None:
        try:
            # One thread of torch's in each of ours. A network of others may do without torch.
            if torch := sys.modules.get("torch"):
                torch.set_num_threads(1)
            while items := self._decoded.take(BATCH, PATIENCE):
                start = time.perf_counter()
                columns = described(self._work, [item.inputs for item in items])
                seconds = (time.perf_counter() - start) / len(items)
                for item, *traces in zip(items, *columns, strict=True):
                    item.traces, item.inputs = tuple(traces), ()
                    item.seconds += seconds
                    self._described.put(item)
        finally:
            self._described.close()

    def _draw(self) -> None:
        """One drawing process: kept busy with one job to draw and one to go on with."""
        drawer, open_items = self._start_drawer(), deque[Item]()
        while True:
            try:
                while len(open_items) < 2 and (item := self._next(wait=not open_items)):
                    open_items.append(item)
                    drawer.send(self._job(item))
                if not open_items:
                    break
                answer = drawer.receive()
            except (OSError, EOFError):
                if self._ending.is_set():
                    raise Stopped from None
                how = self._end_drawer(drawer)
                self._deaths += 1
                if self._deaths >= DEATHS:
                    raise AttnvizError(
                        f"the drawing processes end at once ({how}); their own message stands above"
                    ) from None
                self._fail(open_items.popleft(), f"the process that drew it ended ({how}): out of memory?")
                drawer = self._start_drawer()
                for item in open_items:
                    drawer.send(self._job(item))
                continue
            self._deaths = 0
            self._finish(open_items.popleft(), answer)
        self._end_drawer(drawer)

    def _next(self, wait: bool) -> Item | None:
        """The next photo to draw; None where there is no more, or no more is wanted, or with `wait` off none now."""
        try:
            return next(iter(self._described.take(wait=wait)), None) if not self._stop.is_set() else None
        except Stopped:
            return None

    def _start_drawer(self) -> Drawer:
        drawer = Drawer(self._inherited)
        self._drawers.add(drawer)
        return drawer

    def _end_drawer(self, drawer: Drawer) -> str:
        how = drawer.close()
        self._drawers.discard(drawer)
        return how

    def _job(self, item: Item) -> Job:
        return job_of(item, self._staged(item), self._work)

    def _staged(self, item: Item) -> Path:
        return self._work.staging / str(item.number)

    def _finish(self, item: Item, answer: Answer) -> None:
        self._tell(item, finished(item, answer, self._staged(item), self._work))

    def _fail(self, item: Item, told: str) -> None:
        self._tell(item, failure(item, told, self._work))

    def _tell(self, item: Item, record: Record) -> None:
        item.pixels, item.traces = None, ()
        self._gate.leave(item.held)
        self._events.put(record)


def _networks(work: Work, processes: int) -> int:
    """How many threads run the network: on a CPU, one for about five that draw, which is what both take."""
    alone = not all(model.concurrent and str(model.device) == "cpu" for model in work.models)
    return 1 if alone else max(1, min(4, processes // 5))
