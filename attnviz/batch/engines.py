"""Who does the work: this machine, here; or a Ray cluster, see the package `cluster`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from attnviz.batch.pipeline import Pipeline
from attnviz.network import Network

if TYPE_CHECKING:
    from attnviz.batch.catalogue import Photos
    from attnviz.batch.record import Record
    from attnviz.batch.work import Work
    from attnviz.network import Asked

Models = Network | Sequence[Network] | Callable[[], Sequence[Network]]
"""The network, or several, or a function that opens them."""

MOST_PROCESSES = 64


class Engine(Protocol):
    """Who describes and draws the photos of a run."""

    remarks: Sequence[str]
    """What should be known of it, once `identified` has been called."""

    def identified(self, asked: Asked) -> list[tuple[str, str]]:
        """(name, fingerprint) of each network, once it is known that they can do what is asked.

        Raises:
            AttnvizError: they cannot, or cannot be opened.
        """

    def records(self, work: Work, photos: Photos, stop: threading.Event, inherited: int | None) -> Generator[Record]:
        """The records of the photos, as each is finished, its results in place.

        Args:
            work: what is done with them; `models` is left to the engine.
            photos: which.
            stop: when it is set, no further photo is begun.
            inherited: see `drawers.Drawer`.

        Raises:
            AttnvizError: what ends the whole run, such as a full disk.
        """

    def close(self) -> None:
        """Lets go of what it holds."""


class Local:
    """This machine.

    Args:
        models: the networks.
        threads: how many processes draw; by default as many as there are CPUs.
    """

    remarks: Sequence[str] = ()

    def __init__(self, models: Models, threads: int | None) -> None:
        self._models, self._threads = models, threads
        self._networks: list[Network] = []

    def identified(self, asked: Asked) -> list[tuple[str, str]]:
        self._networks = opened(self._models)
        return identities(self._networks, asked)

    def records(self, work: Work, photos: Photos, stop: threading.Event, inherited: int | None) -> Generator[Record]:
        processes = min(self._threads or cpus(), MOST_PROCESSES, max(1, len(photos)))
        pipeline = Pipeline(replace(work, models=self._networks), photos, processes, stop, inherited)
        with closing(pipeline.run()) as records:
            yield from records

    def close(self) -> None:
        """There is nothing left: processes and threads end with `records`."""


def opened(models: Models) -> list[Network]:
    """The networks themselves."""
    if isinstance(models, Sequence):
        return list(models)
    if isinstance(models, Network):  # it could be called too
        return [models]
    return list(models())


def identities(networks: Sequence[Network], asked: Asked) -> list[tuple[str, str]]:
    """(name, fingerprint) of each, once each has said that it can do what is asked."""
    for network in networks:
        network.check(asked)  # says so once, and not for each photo
    return [(network.name, network.fingerprint()) for network in networks]


def cpus() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
