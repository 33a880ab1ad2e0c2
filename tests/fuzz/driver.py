"""Sends inputs to workers, ends those that hang, and gathers what went wrong."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent

HANGING = 60.0
"""Seconds by the wall's clock after which an input is given up: six times what it may take of the processor's."""

DATA = 4 * 2**30
"""Bytes of memory that a worker may ask for, beyond what is counted against it: so that no input takes the machine."""

FAIR = ("accepted", "refused")


@dataclass(frozen=True)
class Failure:
    """An input that was not answered as it should be; `python -m fuzz TARGET --seed S --show NUMBER` shows it again."""

    target: str
    seed: int
    number: int
    outcome: str
    told: str

    def __str__(self) -> str:
        return f"{self.target} {self.number} (seed {self.seed}): {self.outcome}\n{self.told}"


@dataclass
class Result:
    """What a run found."""

    target: str
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    slowest: float = 0.0  # seconds of the processor
    largest: int = 0  # bytes

    @property
    def inputs(self) -> int:
        return sum(self.outcomes.values())

    def __str__(self) -> str:
        found = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return (
            f"{self.target}: {self.inputs} inputs: {found}; at most {self.slowest:.2f} s and "
            f"{self.largest / 2**20:.0f} MiB"
        )


def run(name: str, count: int, seed: int = 0, first: int = 0) -> Result:
    """Has inputs `first` to `first + count` of a target read."""
    result, number = Result(name), first
    while number < first + count:
        number = _one_worker(result, seed, number, first + count - number)
    return result


def _one_worker(result: Result, seed: int, first: int, count: int) -> int:
    """Runs a worker to its end, natural or not; the number of the next input."""
    arguments = [result.target, seed, first, count]
    with subprocess.Popen(
        [sys.executable, "-m", "fuzz.worker", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(PACKAGE)]), "OMP_NUM_THREADS": "1"},
        preexec_fn=_limited,
        start_new_session=True,
    ) as worker:
        number = first
        try:
            for line in _lines(worker):
                if "begun" in line:
                    number = line["begun"]
                    continue
                _count(result, seed, line)
                number += 1
        except TimeoutError:
            _count(result, seed, {"number": number, "outcome": "time", "told": f"hangs for {HANGING} s"})
            number += 1
        finally:
            worker.kill()
        status, said = worker.wait(), worker.stderr.read().decode(errors="replace") if worker.stderr else ""
    if number == first and said:
        raise RuntimeError(f"the worker does not start: {said}")
    if number < first + count and status not in (0, -9):
        _count(result, seed, {"number": number, "outcome": "crash", "told": f"ends with {status}: {said[-500:]}"})
        number += 1
    return number


def _lines(worker: subprocess.Popen[bytes]) -> Any:
    """The worker's lines as they come. Raises TimeoutError when an input takes too long."""
    assert worker.stdout is not None
    held, deadline = b"", time.monotonic() + 4 * HANGING  # it imports first
    with selectors.DefaultSelector() as selector:
        selector.register(worker.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0, deadline - time.monotonic())):
                raise TimeoutError
            piece = os.read(worker.stdout.fileno(), 65536)
            if not piece:
                return
            *lines, held = (held + piece).split(b"\n")
            deadline = time.monotonic() + HANGING
            yield from map(json.loads, lines)


def _count(result: Result, seed: int, line: dict[str, Any]) -> None:
    result.outcomes[line["outcome"]] += 1
    result.slowest = max(result.slowest, line.get("seconds", 0.0))
    result.largest = max(result.largest, line.get("bytes", 0))
    if line["outcome"] not in FAIR:
        result.failures.append(Failure(result.target, seed, line["number"], line["outcome"], line["told"]))


def _limited() -> None:
    """In the worker, before it starts: memory that it may ask for, so that a hostile input cannot take the machine."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = DATA if hard == resource.RLIM_INFINITY else min(DATA, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
