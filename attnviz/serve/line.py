"""One worker, and those who wait for it: first come, first served, and no more than can be served soon.

Long work lets a short one pass each time it tells how far it is, so that nobody waits minutes for a word.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from attnviz.errors import counted
from attnviz.serve.answers import RefusalError

MOST_LONG = 3
"""Long pieces of work that may wait: each takes as long as a hundred short ones."""

GUESS, GUESS_LONG = 1.0, 30.0
"""Seconds that a piece of work is taken to last before one has been done."""

SHARE = 0.3
"""How much the newest duration counts in what the next one is taken to last."""


class CancelledError(Exception):
    """Whoever asked for the work no longer waits for it."""


class Ticket:
    """One piece of work in the line.

    Attributes:
        result: of the work, once it is there; a future.
        long: whether others may pass.
        weight: bytes that it holds while it waits.
        started: whether it is being worked on.
        done, total: how far it is; 0 of 0 where it does not tell.
    """

    def __init__(self, line: Line, work: Callable[[Ticket], Any], long: bool, weight: int) -> None:
        self.result: Future[Any] = Future()
        self.long, self.weight = long, weight
        self.started = False
        self.done = self.total = 0
        self._line, self._work = line, work
        self._over = threading.Event()

    @property
    def ahead(self) -> int:
        """How many pieces of work come before it."""
        return self._line.ahead(self)

    def cancel(self) -> None:
        """It is no longer wanted: it is not begun, or ends the next time it tells how far it is."""
        self._over.set()

    def note(self, done: int, total: int) -> None:
        """Takes note of how far it is; the place where it is ended, and where others pass. Raises CancelledError."""
        if self._over.is_set():
            raise CancelledError
        self.done, self.total = done, total
        if self.long:
            self._line.let_pass()

    def run(self) -> None:
        """Does it, in the worker's thread."""
        if self._over.is_set() or not self.result.set_running_or_notify_cancel():
            self.result.cancel()
            return
        self.started = True
        try:
            found = self._work(self)
        except BaseException as error:  # handed to whoever waits
            self.result.set_exception(error)
        else:
            self.result.set_result(found)


class Line:
    """The worker's line.

    Args:
        most: how many may wait.
        most_bytes: that they may hold together.
        idle: is called in the worker's thread between pieces of work, and gives the seconds after which it wants to be
            called again.
    """

    def __init__(self, most: int, most_bytes: int, idle: Callable[[], float] = lambda: 60.0) -> None:
        self._most, self._most_bytes, self._idle = most, most_bytes, idle
        self._waiting: dict[bool, deque[Ticket]] = {False: deque(), True: deque()}
        self._seconds = {False: GUESS, True: GUESS_LONG}
        self._now: Ticket | None = None
        self._more = threading.Condition()
        self._closed = False
        # A daemon: who ends the server does not wait for a network.
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Lets the worker begin."""
        self._thread.start()

    def first(self, work: Callable[[Ticket], Any]) -> None:
        """Puts work before all that waits."""
        with self._more:
            self._waiting[False].appendleft(Ticket(self, work, False, 0))

    def close(self) -> None:
        """Nothing more is begun."""
        with self._more:
            self._closed = True
            self._more.notify()

    def join(self) -> None:
        """Waits, once it is closed, for the work that is being done."""
        self._thread.join()

    def submit(self, work: Callable[[Ticket], Any], *, long: bool = False, weight: int = 0) -> Ticket:
        """Puts work into the line. Raises RefusalError where it is full."""
        ticket = Ticket(self, work, long, weight)
        with self._more:
            self.check(long, weight)
            self._waiting[long].append(ticket)
            self._more.notify()
        return ticket

    def check(self, long: bool = False, weight: int = 0) -> None:
        """Raises RefusalError, with a word on how long, where one more cannot wait."""
        with self._more:
            count = len(self._waiting[False]) + len(self._waiting[True])
            held = sum(ticket.weight for some in self._waiting.values() for ticket in some)
            full = count >= self._most or (held + weight > self._most_bytes and count > 0)
            if full or (long and len(self._waiting[True]) >= MOST_LONG):
                seconds = self.seconds(long)
                told = f"{counted(count, 'other is', 'others are')} waiting; try again in about {seconds:.0f} s"
                raise RefusalError(503, f"busy: {told}", seconds)

    def seconds(self, long: bool = False) -> float:
        """How long those who wait will take, about; at least 1."""
        of_short = len(self._waiting[False]) * self._seconds[False]
        of_long = len(self._waiting[True]) * self._seconds[True] if long else 0.0
        return max(1.0, of_short + of_long)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting[False]) + len(self._waiting[True])

    def ahead(self, ticket: Ticket) -> int:
        """How many pieces of work come before one that waits."""
        with self._more:
            own = self._waiting[ticket.long]
            if ticket not in own:
                return 0
            before = own.index(ticket) + (len(self._waiting[False]) if ticket.long else 0)
            return before + (self._now is not None and (ticket.long or not self._now.long))

    def let_pass(self) -> None:
        """Does the first short piece of work there is; for the worker's thread, between parts of a long one."""
        with self._more:
            ticket = self._waiting[False].popleft() if self._waiting[False] else None
        if ticket is not None:
            self._do(ticket)

    def _run(self) -> None:
        while True:
            wake = self._idle()
            with self._more:
                if not self.waiting and not self._closed:
                    self._more.wait(wake)
                if self._closed:
                    return
                some = self._waiting[False] or self._waiting[True]
                ticket = self._now = some.popleft() if some else None
            if ticket is not None:
                self._do(ticket)
            self._now = None
            ticket = None  # its photo is not held while nothing is done

    def _do(self, ticket: Ticket) -> None:
        began = time.monotonic()
        ticket.run()
        if ticket.started:
            last = time.monotonic() - began
            self._seconds[ticket.long] += SHARE * (last - self._seconds[ticket.long])
