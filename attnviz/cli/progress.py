"""How far a long run is, and how it is interrupted."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import click

from attnviz.cli.output import complain, note, progress_bar

if TYPE_CHECKING:
    from pathlib import Path

    from attnviz.batch import Outcome, Progress

FIRST_LINE, LINES_APART = 5.0, 15.0  # seconds, of the plain lines
RECENT = 60.0  # seconds over which the speed is measured


class Interrupts:
    """Ctrl-C asks for the end: what is under way is finished. A second one ends the process at once.

    A request to terminate, as schedulers send it, counts as Ctrl-C. Use it as a context.

    Attributes:
        stop: is set by the first signal.
        status: the exit status that says which signal it was; 0 without one.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.status = 0
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        # In the middle of anything else, so written past all buffers.
        if self.stop.is_set():
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h\n")  # the bar has hidden the cursor
            os._exit(128 + number)
        with suppress(OSError):
            os.write(2, b"attnviz: finishing the photos under way; once more ends at once\n")
        self.status = 128 + number
        self.stop.set()


class Gauge:
    """Shows how far a run is, on standard error: a bar on a terminal, now and then a line elsewhere.

    Use it as a context.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._began = time.monotonic()
        self._next = self._began + FIRST_LINE
        self._times: list[tuple[float, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @property
    def elapsed(self) -> str:
        """How long it has been there, such as 1:15."""
        return _clock(time.monotonic() - self._began)

    def show(self, finished: int, left: int, told: str = "") -> None:
        """Takes note of how many photos are finished and left; `told` says more of the finished ones."""
        if self._quiet:
            return
        if not self._times and left and sys.stderr.isatty():
            self._bar = progress_bar(finished + left, "told", "speed")
            with suppress(Exception):
                self._bar.start()
        self._count(finished)
        speed = f"{self._rate():.1f} photos/s"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=finished, told=told, speed=speed)
        elif left and time.monotonic() >= self._next:
            self._next = time.monotonic() + LINES_APART
            to_go = _clock(left / max(self._rate(), 1e-6))
            note(f"{told or f'{finished} done'}, {left} left: {speed}, {to_go} to go")

    def _count(self, finished: int) -> None:
        self._times.append((time.monotonic(), finished))
        while len(self._times) > 2 and self._times[-1][0] - self._times[1][0] > RECENT:
            self._times.pop(0)

    def _rate(self) -> float:
        (since, before), (until, after) = self._times[0], self._times[-1]
        return (after - before) / max(until - since, 1e-3)


class Meter:
    """Shows the progress of a batch, and each failure. Use it as a context."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._gauge = Gauge(quiet=quiet)

    def __enter__(self) -> Self:
        self._gauge.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._gauge.__exit__(*error)

    def show(self, now: Progress) -> None:
        """Takes note of where a run stands."""
        if now.record is not None and now.record.error is not None:
            complain(f"{now.record.path}: {now.record.error}")
        if now.record is None and now.skipped and not self._quiet:
            note(f"{now.skipped} of {now.total} photos are done already")
        self._gauge.show(now.done + now.failed, now.left, _told(now))

    def sum_up(self, outcome: Outcome, out: Path, *, as_json: bool) -> None:
        """Says what a run did: a remark, and with `as_json` a JSON object on standard output."""
        left = outcome.total - outcome.skipped - outcome.done - outcome.failed
        if not self._quiet or outcome.stopped:
            told = f"{outcome.done} done, {outcome.failed} failed, {outcome.skipped} skipped"
            note(f"{told} in {_clock(outcome.seconds)}; results in {out}{os.sep}, account in {outcome.manifest}")
        if outcome.stopped:
            note(f"interrupted with {left} photos left; the same command goes on from here")
        if as_json:
            import json

            summary = {
                "total": outcome.total,
                "done": outcome.done,
                "failed": outcome.failed,
                "skipped": outcome.skipped,
                "left": left,
                "seconds": round(outcome.seconds, 3),
                "out": str(out),
                "manifest": str(outcome.manifest),
                "report": None if outcome.report is None else str(outcome.report),
                "failures": outcome.failures,
            }
            click.echo(json.dumps(summary, indent=2))


def _told(now: Progress) -> str:
    parts = [f"{now.done} done"]
    parts += [f"{now.failed} failed"] if now.failed else []
    parts += [f"{now.skipped} skipped"] if now.skipped else []
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    """Seconds as 0:42, 12:07 or 3:10:55."""
    minutes, rest = divmod(round(min(seconds, 359_999_999)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
