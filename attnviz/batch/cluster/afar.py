"""A run on a cluster elsewhere, ray://HOST:PORT: an actor of the cluster holds the whole run, and tells how far it is.

Ray Data has to be driven from within its cluster. The actor lives as long as whoever asked for the run is connected.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attnviz._version import __version__
from attnviz.batch.cluster.engine import told
from attnviz.batch.cluster.joining import ClusterError, connect
from attnviz.batch.cluster.stages import Fatal

if TYPE_CHECKING:
    from attnviz.batch.outcome import Outcome, Progress

LOOKS = 0.5  # seconds between two questions how far it is


class Conductor:
    """An actor that holds a run.

    Args:
        version: of attnviz, of whoever asks.
        given: the arguments of `attnviz.batch.run`.
    """

    def __init__(self, version: str, given: dict[str, Any]) -> None:
        self._told: deque[Progress] = deque()
        self._outcome: Outcome | Fatal | None = None
        self._stop = threading.Event()
        if version != __version__:
            here = f"the cluster has attnviz {__version__}, and this machine {version}; install one on both"
            self._outcome = Fatal(here)
            return
        threading.Thread(target=self._run, args=(given,), daemon=True).start()

    def _run(self, given: dict[str, Any]) -> None:
        from attnviz.batch.run import run
        from attnviz.errors import AttnvizError

        try:
            self._outcome = run(**given, engine="ray", progress=self._told.append, stop=self._stop)
        except AttnvizError as error:
            self._outcome = Fatal(str(error))
        except BaseException as error:
            self._outcome = Fatal(f"{type(error).__name__}: {error}", bug=True)

    def look(self) -> tuple[list[Progress], Outcome | Fatal | None]:
        """What happened since the last look, and what came of the run, once it is over."""
        outcome = self._outcome
        return [self._told.popleft() for _ in range(len(self._told))], outcome

    def stop(self) -> None:
        """No further photo is begun."""
        self._stop.set()


def run_afar(
    address: str, given: dict[str, Any], progress: Callable[[Progress], None], stop: threading.Event
) -> Outcome:
    """`attnviz.batch.run` on a cluster elsewhere.

    Args:
        address: ray://HOST:PORT.
        given: its arguments; all paths are the cluster's.
        progress, stop: as there.

    Raises:
        AttnvizError: as there, or the cluster cannot be reached.
    """
    ray = connect(address)
    try:
        actor = ray.remote(Conductor).options(num_cpus=0, max_restarts=0).remote(__version__, given)
        asked = False
        outcome: Outcome | Fatal | None
        while True:
            seen, outcome = ray.get(actor.look.remote())
            for now in seen:
                progress(now)
            if isinstance(outcome, Fatal):
                raise RuntimeError(outcome.message) if outcome.bug else ClusterError(outcome.message)
            if outcome is not None:
                return outcome
            if stop.is_set() and not asked:
                asked = True
                ray.get(actor.stop.remote())
            time.sleep(LOOKS)
    except (ClusterError, RuntimeError):
        raise
    except Exception as error:
        raise told(error) from error
    finally:
        ray.shutdown()
