"""The worker's line: who comes when, who is turned away, and who no longer wants to come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError as FutureCancelledError
from typing import Any

import pytest

pytest.importorskip("starlette", reason="attnviz[serve] is not installed")

from attnviz.serve.answers import RefusalError
from attnviz.serve.line import CancelledError, Line, Ticket


class Held:
    """Work that begins and ends when a test says so."""

    def __init__(self) -> None:
        self.begun, self.over = threading.Event(), threading.Event()

    def __call__(self, ticket: Ticket) -> str:
        self.begun.set()
        assert self.over.wait(20)
        return "held"


@pytest.fixture
def line() -> Iterator[Line]:
    found = Line(4, 1000)
    found.start()
    yield found
    found.close()


def hold(line: Line, **how: Any) -> tuple[Held, Ticket]:
    held = Held()
    ticket = line.submit(held, **how)
    assert held.begun.wait(20)
    return held, ticket


def test_first_come_first_served(line: Line) -> None:
    held, _ = hold(line)
    order: list[Ticket] = []
    tickets = [line.submit(order.append) for _ in range(4)]
    assert [ticket.ahead for ticket in tickets] == [1, 2, 3, 4]
    held.over.set()
    for ticket in tickets:
        ticket.result.result(20)
    assert order == tickets
    assert line.waiting == 0


def test_a_full_line_says_how_long_it_takes(line: Line) -> None:
    held, _ = hold(line)
    for _ in range(4):
        line.submit(lambda ticket: None)
    with pytest.raises(RefusalError, match="busy: 4 others are waiting; try again in about 4 s") as caught:
        line.submit(lambda ticket: None)
    assert caught.value.status == 503
    assert caught.value.headers == {"Retry-After": "4"}
    held.over.set()


def test_waiting_photos_are_bounded_in_bytes_too(line: Line) -> None:
    held, _ = hold(line)
    line.submit(lambda ticket: None, weight=900)
    with pytest.raises(RefusalError):
        line.submit(lambda ticket: None, weight=101)
    line.submit(lambda ticket: None, weight=100)
    held.over.set()


def test_a_short_piece_passes_a_long_one(line: Line) -> None:
    steps, order = [threading.Event(), threading.Event()], []

    def slow(ticket: Ticket) -> None:
        order.append("begins")
        steps[0].set()
        assert steps[1].wait(20)
        ticket.note(1, 2)
        order.append("ends")

    long = line.submit(slow, long=True)
    assert steps[0].wait(20)
    behind = line.submit(lambda ticket: order.append("long"), long=True)
    short = line.submit(lambda ticket: order.append("short"))
    assert (behind.ahead, short.ahead) == (2, 0)
    steps[1].set()
    for ticket in (short, long, behind):
        ticket.result.result(20)
    assert order == ["begins", "short", "ends", "long"]
    assert (long.done, long.total) == (1, 2)


def test_what_is_no_longer_wanted_is_not_begun(line: Line) -> None:
    held, _ = hold(line)
    begun: list[int] = []
    ticket = line.submit(lambda ticket: begun.append(1))
    ticket.cancel()
    held.over.set()
    with pytest.raises(FutureCancelledError):
        ticket.result.result(20)
    assert line.submit(lambda ticket: "next").result.result(20) == "next"
    assert begun == []


def test_long_work_ends_where_it_tells_how_far_it_is(line: Line) -> None:
    begun, over = threading.Event(), threading.Event()

    def slow(ticket: Ticket) -> None:
        begun.set()
        assert over.wait(20)
        ticket.note(1, 9)

    ticket = line.submit(slow, long=True)
    assert begun.wait(20)
    ticket.cancel()
    over.set()
    with pytest.raises(CancelledError):
        ticket.result.result(20)


def test_an_error_goes_to_whoever_asked_and_the_line_goes_on(line: Line) -> None:
    def fails(ticket: Ticket) -> None:
        raise ValueError("so it is")

    with pytest.raises(ValueError, match="so it is"):
        line.submit(fails).result.result(20)
    assert line.submit(lambda ticket: 1).result.result(20) == 1


def test_no_more_than_a_few_long_ones_wait(line: Line) -> None:
    held, _ = hold(line, long=True)
    for _ in range(3):
        line.submit(lambda ticket: None, long=True)
    with pytest.raises(RefusalError, match="about 90 s"):
        line.submit(lambda ticket: None, long=True)
    held.over.set()
