"""The engine on a cluster: Ray Data takes photos through the stages, again where a worker or a node was lost."""

from __future__ import annotations

import gc
import math
import pickle
import threading
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from attnviz._version import __version__
from attnviz.batch.cluster.joining import ClusterError, join, ray
from attnviz.batch.cluster.stages import Describer, Fatal, Task, draw, identified
from attnviz.batch.record import FAILED, Record
from attnviz.errors import AttnvizError, ConfigError, one_line

if TYPE_CHECKING:
    from attnviz.batch.catalogue import Photos
    from attnviz.batch.engines import Models
    from attnviz.batch.listed import Listed
    from attnviz.batch.work import Work
    from attnviz.network import Asked

LEAST_BLOCK, MOST_BLOCK = 8, 64
"""Photos that are sent around together: what is done anew where a worker is lost."""

WINDOW_OF_WORKER, WINDOW_OF_RUN = 1024, 10
"""Photos that Ray is given at once, for each worker; and times the root of all photos, if that is more. It keeps about
2 kB of a photo while its window is done, and 0.25 MB of a window for ever: so both stay small, and together the least.
Between two windows the workers start anew.
"""

DESCRIBING, DRAWING = 0.2, 0.8
"""Of a CPU, that a worker is counted for, and one who draws: both together keep one busy, and drawing takes longer."""

RETRIES = 3
"""Lost workers that a block may have met before its photos are tried one by one."""


class Cluster:
    """A cluster of Ray.

    Args:
        models: the networks, or what opens them; each worker does so.
        workers: how many have a network; None for one for each GPU, or each CPU.
        gpus: of each worker.

    Raises:
        ConfigError: Ray is not installed, or numbers that make no sense.
        ClusterError: the cluster cannot be reached.
    """

    def __init__(self, models: Models, workers: int | None, gpus: float) -> None:
        self._models, self._workers, self._gpus = models, workers, gpus
        self._identities: list[tuple[str, str]] = []
        dashboard, self._joined = join()
        self.remarks: Sequence[str] = (f"the cluster's dashboard is {dashboard}",) if dashboard else ()
        self._ray = ray()
        try:
            self._check()
        except ClusterError:
            self.close()
            raise

    def _check(self) -> None:
        """Raises ClusterError where no worker would ever be started."""
        gpus = max(self._there("GPU"), default=0)
        if self._gpus > gpus:
            has = f"no node of the cluster has more than {gpus:g}" if gpus else "the cluster has 0 GPUs"
            raise ClusterError(f"--gpus-per-worker {self._gpus:g}: {has}; give fewer, or none")
        if max(self._there("CPU"), default=0) < 1:
            raise ClusterError("the cluster has no CPU that a worker could use; start its nodes with some")

    def close(self) -> None:
        """Leaves the cluster, where it was joined for this run; one that was made for it ends."""
        if self._joined:
            self._ray.shutdown()

    def identified(self, asked: Asked) -> list[tuple[str, str]]:
        """As the local engine's; found by a worker, since this machine may not be able to open the networks."""
        scout = self._ray.remote(identified).options(num_cpus=DESCRIBING, num_gpus=self._gpus, max_retries=RETRIES)
        try:
            found = self._ray.get(scout.remote(self._models, asked, __version__))
        except Exception as error:
            raise told(error) from error
        if isinstance(found, Fatal):
            raise ClusterError(found.message)
        self._identities = found
        return self._identities

    def records(self, work: Work, photos: Photos, stop: threading.Event, inherited: int | None) -> Generator[Record]:
        """As the local engine's, window by window: Ray keeps account of every block, so that a driver would grow."""
        task = Task(self._models, tuple(self._identities), replace(work, models=()), self._threads())
        listed, block = iter(photos), self._block(len(photos))
        while (window := list(islice(listed, self._window(len(photos))))) and not stop.is_set():
            yield from self._of_window(task, window, block, stop)
            gc.collect()  # Ray's accounts of a window hang together in circles

    def _of_window(self, task: Task, window: list[Listed], block: int, stop: threading.Event) -> Iterator[Record]:
        """Their records. Photos whose workers were lost again and again are tried once more, one by one."""
        missing = dict(enumerate(window))
        for size in (block, 1):
            if missing and not stop.is_set():
                for number, record in self._pass(task, list(missing.items()), size, stop):
                    if missing.pop(number, None) is not None:  # a photo may be done twice, and is counted once
                        yield record
        if stop.is_set():
            return
        for photo in missing.values():
            told = "the process that worked on it ended each time: out of memory?"
            yield Record(photo.path, FAILED, settings=task.work.settings, error=told)

    def _pass(
        self, task: Task, photos: list[tuple[int, Listed]], block: int, stop: threading.Event
    ) -> Iterator[tuple[int, Record]]:
        rows = self._dataset(task, photos, block).iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=1
        )
        try:
            for found in rows:
                for number, record in zip(found["number"].to_pylist(), found["record"].to_pylist(), strict=True):
                    what = pickle.loads(record)
                    if isinstance(what, Fatal):
                        raise RuntimeError(what.message) if what.bug else ClusterError(what.message)
                    yield number, what
                if stop.is_set():
                    return
        except (AttnvizError, GeneratorExit):
            raise
        except Exception as error:
            if type(error).__module__.startswith("ray."):
                raise told(error) from error
            raise
        finally:
            with suppress(Exception):
                rows.close()

    def _dataset(self, task: Task, photos: list[tuple[int, Listed]], block: int) -> Any:
        """The photos with all stages behind them; nothing is done before it is asked for."""
        import pyarrow as pa
        from ray.data import ActorPoolStrategy, DataContext, from_arrow

        context = DataContext.get_current()
        context.max_errored_blocks = -1  # what a lost worker took with it is seen by what is missing
        tables = []
        for start in range(0, len(photos), block):
            numbers, some = zip(*photos[start : start + block], strict=True)
            packed = [pickle.dumps(photo, protocol=5) for photo in some]
            tables.append(pa.table({"number": numbers, "photo": packed}))
        workers = min(self._count(), len(tables))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how retries are set is to change; pyproject.toml says up to which version
            described = from_arrow(tables).map_batches(
                Describer,
                fn_constructor_args=(task,),
                batch_size=None,
                compute=ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
                num_cpus=DESCRIBING if not self._gpus else 1,
                num_gpus=self._gpus or None,
                max_task_retries=RETRIES,
            )
            return described.map_batches(
                draw, fn_args=(task.work,), batch_size=None, num_cpus=DRAWING, max_retries=RETRIES
            )

    def _count(self) -> int:
        """How many workers."""
        if self._workers is not None:
            return self._workers
        if self._gpus:
            return max(1, sum(int(gpus / self._gpus) for gpus in self._there("GPU")))
        return max(1, int(sum(self._there("CPU"))))

    def _there(self, kind: str) -> list[float]:
        """How many CPUs or GPUs each node has: a worker takes all of its own from one."""
        return [float(node["Resources"].get(kind, 0)) for node in self._ray.nodes() if node["Alive"]]

    def _window(self, photos: int) -> int:
        return max(WINDOW_OF_WORKER * self._count(), int(WINDOW_OF_RUN * math.sqrt(photos)))

    def _block(self, photos: int) -> int:
        """Photos of a block: so that each worker gets several, and a large run not too many."""
        return max(LEAST_BLOCK, min(MOST_BLOCK, photos // (8 * self._count())))

    def _threads(self) -> int:
        """Of torch: on a CPU each worker is one of as many as there are cores."""
        return 1


def told(error: BaseException) -> AttnvizError:
    """What went wrong on the cluster, in one line, without the traces that Ray adds."""
    cause = getattr(error, "cause", None)
    while isinstance(cause, BaseException) and getattr(cause, "cause", None) is not None:
        cause = cause.cause  # type: ignore[attr-defined]
    if isinstance(cause, AttnvizError | ConfigError):
        return ClusterError(str(cause))
    lines = [line.strip() for line in str(cause or error).splitlines() if line.strip()]
    last = one_line(lines[-1] if lines else "")[:300]
    if "No module named" in last:
        return ClusterError(f"the cluster lacks a package ({last}); install attnviz and the model's on all nodes")
    return ClusterError(f"the cluster failed: {type(cause or error).__name__}: {last}")
