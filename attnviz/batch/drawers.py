"""The drawing processes, seen from the one that runs them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnviz.batch.jobs import Answer, Job

PACKAGE = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""For numpy, whose threads would only take the cores from the other drawing processes, waiting in circles."""


class Drawer:
    """A drawing process: takes two jobs, one to draw and one to go on with, and answers in their order.

    Args:
        inherited: a descriptor that it keeps open as long as it lives.
    """

    def __init__(self, inherited: int | None = None) -> None:
        # The attnviz at work here, also where it is not installed, and nothing of the current folder.
        paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
        # In a group of its own, Ctrl-C does not reach it: what is under way shall be finished.
        apart: dict[str, Any] = (
            {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
            if os.name == "nt"
            else {"process_group": 0, "pass_fds": () if inherited is None else (inherited,)}
        )
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-P", "-m", "attnviz.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)},
            **apart,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._jobs, self._answers = self._process.stdin, self._process.stdout

    def send(self, job: Job) -> None:
        """Hands a job over. Raises OSError where the process has died."""
        pickle.dump(job, self._jobs, protocol=5)
        self._jobs.flush()

    def receive(self) -> Answer:
        """The answer to the earliest open job. Raises EOFError where the process has died."""
        try:
            answer: Answer = pickle.load(self._answers)
        except (OSError, pickle.UnpicklingError) as error:
            raise EOFError from error
        return answer

    def close(self) -> str:
        """Ends the process, and says how it ended."""
        self._hang_up()
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.wait()
        self._hang_up()

    def _hang_up(self) -> None:
        for pipe in (self._jobs, self._answers):
            with suppress(OSError):  # what it did not take any more
                pipe.close()
