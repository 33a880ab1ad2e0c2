"""Loading the network in the background: torch takes long to import, and meanwhile photos can be read."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attnviz.cli.output import INTERRUPTED, complain

if TYPE_CHECKING:
    from attnviz.network import Asked, Network
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace

MOST_THREADS = 8
"""More than this many CPU threads only get into each other's way on one photo at a time."""


LARGEST_KEPT, MOST_KEPT = 32 * 2**20, 256 * 2**20
"""Bytes: a larger piece of memory, such as a photo of 11 megapixels, goes back at once; of others so much is kept."""

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # in glibc's malloc.h


@dataclass(frozen=True)
class Opening:
    """Opens networks by their names, wherever it is called: the workers of a cluster do so.

    Attributes:
        sources: (model, mode) of each, as `attnviz.zoo.load_model` takes them.
        device: where they run.
        folder: in which paths among the names are looked for, where there is such a folder.
    """

    sources: tuple[tuple[str, str | None], ...]
    device: str
    folder: str = field(default_factory=os.getcwd)

    def __call__(self) -> list[Network]:
        from attnviz.zoo import load_model

        with chdir(self.folder if Path(self.folder).is_dir() else "."):
            return [load_model(model, mode, self.device) for model, mode in self.sources]


class Loading:
    """Imports torch and loads a model on a thread of its own.

    Use it as a context. Until the model is there, Ctrl-C ends the process on the spot: nothing is being written yet,
    and a KeyboardInterrupt among Python's import locks can leave one held, for the other thread to wait for forever.

    Args:
        model: a name or path, as `attnviz.zoo.load_model` takes it.
        mode: its score function; None takes the checkpoint's own, or of a bundled model "concat".
        device: where it runs.
        threads: torch's CPU threads; None takes those there are, at most MOST_THREADS, or leaves it to OMP_NUM_THREADS.
    """

    def __init__(self, *, model: str, mode: str | None, device: str, threads: int | None) -> None:
        self._arguments = (model, mode, device)
        self._threads = threads
        self._model: Network | None = None
        self._error: BaseException | None = None
        self._handler: Any = None
        # A daemon: where it turns out meanwhile that no photo can be read, nobody waits for torch.
        self._thread = threading.Thread(target=self._load, name="load-model", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._allow_interrupts()

    def start(self) -> None:
        """Begins to load, if that has not begun; returns at once."""
        if self._thread.ident is not None:
            return
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._handler = signal.signal(signal.SIGINT, _leave_at_once)
        self._thread.start()

    def explain(self, photos: Sequence[Photo], asked: Asked) -> list[Trace]:
        """`attnviz.explain` with the model, once it is there. Raises what went wrong on the way, such as ModelError."""
        from attnviz.explain import explain_as

        return explain_as(self.ready(), photos, asked)

    def explain_rows(self, photos: Sequence[Photo], asked: Asked, layers: Sequence[str]) -> list[list[Trace]]:
        """As `explain`, with a trace of each photo for each choice of layers."""
        from attnviz.explain import explain_rows

        return explain_rows(self.ready(), photos, asked, layers)

    def ready(self) -> Network:
        """The model, once it is there, with torch's threads set for who calls. Raises as `model` does."""
        model = self.model()
        set_threads(self._threads)  # here and not where it is loaded: OpenMP keeps this number for each thread
        return model

    def model(self) -> Network:
        """The model, once it is there. Raises what went wrong on the way, such as ModelError."""
        self.start()
        self._thread.join()
        self._allow_interrupts()
        if self._error is not None:
            raise self._error
        assert self._model is not None
        return self._model

    def _allow_interrupts(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def _load(self) -> None:
        try:
            from attnviz.zoo import load_model

            keep_memory()
            self._model = load_model(*self._arguments)
        except BaseException as error:  # handed on to whoever needs the model
            self._error = error


def set_threads(threads: int | None) -> None:
    """Sets torch's CPU threads for who calls: see `Loading`."""
    torch = sys.modules.get("torch")  # a network of others may do without
    if torch is not None and (threads is not None or "OMP_NUM_THREADS" not in os.environ):
        torch.set_num_threads(threads or min(_cpus(), MOST_THREADS))


def keep_memory() -> None:
    """Has the C library keep what a network frees for its next photo. Only glibc is asked; others go without.

    A convolution's output takes megabytes, which glibc gives back to the system each time, and gets again page by page,
    zeroed: of bundled models that is a quarter of the time of a photo.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or Windows, which has no such handle
        return
    mallopt(_MMAP_THRESHOLD, LARGEST_KEPT)
    mallopt(_TRIM_THRESHOLD, MOST_KEPT)


def _leave_at_once(*_: object) -> None:
    complain("interrupted")
    os._exit(INTERRUPTED)


def _cpus() -> int:
    # The CPUs this process may use, which in a container or under taskset are fewer than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
