"""How far a long run is, and how it is interrupted."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import click

from attnviz.cli.bar import CLEAR, Bar, fits
from attnviz.cli.output import clock, complain, note
from attnviz.errors import counted

if TYPE_CHECKING:
    from attnviz.batch import Outcome, Progress

FIRST_LINE, LINES_APART = 5.0, 15.0  # seconds, of the plain lines
RECENT = 60.0  # seconds over which the speed is measured
FEW, BRIEF = 3, 1.0  # photos and seconds; what fewer or shorter ones took is no speed yet


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
        self._over = threading.Event()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._heard)
            threading.Thread(target=self._answer, name="interrupts", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._over.set()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        # In the middle of anything else: what is said is left to a thread that may wait for the bar.
        if self.stop.is_set():
            if sys.stderr.isatty():
                os.write(2, CLEAR)
            os._exit(128 + number)
        self.status = 128 + number
        self.stop.set()
        self._over.set()

    def _answer(self) -> None:
        self._over.wait()
        if self.stop.is_set():
            note("finishing the photos under way; once more ends at once")


class Speed:
    """How many photos a second, of late; not known before a few are finished, since the first ones say little."""

    def __init__(self) -> None:
        self._times: list[tuple[float, int]] = []

    def count(self, finished: int) -> None:
        """Takes note of how many are finished by now."""
        if self._times and finished == self._times[-1][1]:
            return
        self._times.append((time.monotonic(), finished))
        while len(self._times) > 2 and self._times[-1][0] - self._times[1][0] > RECENT:
            self._times.pop(0)

    @property
    def rate(self) -> float | None:
        """Photos a second, over the last `RECENT` seconds."""
        if not self._times:
            return None
        (since, before), (until, after) = self._times[0], self._times[-1]
        return (after - before) / (until - since) if after - before >= FEW and until - since >= BRIEF else None


class Gauge:
    """Shows how far a run is, on standard error: a bar on a terminal, now and then a line elsewhere.

    Use it as a context.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Bar | None = None
        self._began = time.monotonic()
        self._next = self._began + FIRST_LINE
        self._speed: Speed | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(*error)
            self._bar = None

    @property
    def elapsed(self) -> str:
        """How long it has been there, such as 1:15."""
        return clock(time.monotonic() - self._began)

    def tell(self, told: str) -> None:
        """Says what goes on once all photos are finished."""
        if self._bar is not None:
            self._bar.update(told=told, pace="")
        elif not self._quiet and time.monotonic() >= self._next:
            self._next = time.monotonic() + LINES_APART
            note(told)

    def show(self, finished: int, left: int, told: str = "") -> None:
        """Takes note of how many photos are finished and left; `told` says more of the finished ones."""
        if self._quiet:
            return
        if self._speed is None:
            self._speed = Speed()
            self._bar = Bar(finished + left, "told", "pace").__enter__() if left and fits() else None
        self._speed.count(finished)
        pace = _pace(self._speed.rate, left)
        if self._bar is not None:
            self._bar.update(finished, told=told, pace=pace)
        elif left and time.monotonic() >= self._next:
            self._next = time.monotonic() + LINES_APART
            note(f"{told or f'{finished} done'}, {left} left{pace and ': '}{pace}")


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
        if now.gallery:
            self._gauge.tell(f"{counted(now.gallery, 'photo')} in the gallery")
            return
        if now.record is not None and now.record.error is not None:
            complain(f"{now.record.path}: {now.record.error}")
        if now.record is not None and not self._quiet:
            for remark in now.record.remarks:
                note(f"{now.record.path}: {remark}")
        if now.record is None and not self._quiet:
            for remark in now.remarks:
                note(remark)
            if now.skipped:
                note(f"{now.skipped} of {counted(now.total, 'photo')} are done already")
        self._gauge.show(now.done + now.failed, now.left, _told(now))

    def sum_up(self, outcome: Outcome, out: str, *, as_json: bool) -> None:
        """Says what a run did: a remark, and with `as_json` a JSON object on standard output."""
        left = outcome.total - outcome.skipped - outcome.done - outcome.failed
        if not self._quiet or outcome.stopped:
            told = f"{outcome.done} done, {outcome.failed} failed, {outcome.skipped} skipped"
            ending = "/" if "://" in out else os.sep
            places = f"results in {out.rstrip(ending)}{ending}, account in {outcome.manifest}"
            gallery = f", gallery in {outcome.report}" if outcome.report else ""
            note(f"{told} in {clock(outcome.seconds)}; {places}{gallery}")
        if outcome.left_out and not self._quiet:
            from attnviz.batch.listing import by_suffix

            count, first = len(outcome.left_out), outcome.left_out[0]
            files = f"{count} files that look like photos were" if count > 1 else "a file that looks like a photo was"
            note(
                f"{files} left out ({by_suffix(outcome.left_out)}; {first}{', ...' * (count > 1)}): save as JPEG or PNG"
            )
        if outcome.stopped:
            note(f"interrupted with {counted(left, 'photo')} left; the same command goes on from here")
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
                "left_out": list(outcome.left_out),
            }
            click.echo(json.dumps(summary, indent=2))


def _told(now: Progress) -> str:
    parts = [f"{now.done} done"]
    parts += [f"{now.failed} failed"] if now.failed else []
    parts += [f"{now.skipped} skipped"] if now.skipped else []
    return ", ".join(parts)


def _pace(rate: float | None, left: int) -> str:
    """`9.8 photos/s, 1:35 to go`; nothing where there is no rate yet."""
    if rate is None:
        return ""
    speed = f"{rate:.1f} photos/s" if rate >= 1 else f"{1 / rate:.1f} s a photo"
    return f"{speed}, {clock(left / rate)} to go"
