"""Answers as HTTP has them: at once, when the work is done, or line by line while it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from attnviz.serve.answers import RefusalError, refusal_of
from attnviz.serve.line import CancelledError

if TYPE_CHECKING:
    from starlette.requests import Request

    from attnviz.serve.line import Ticket

LINES = "application/x-ndjson"
TICK = 0.15
"""Seconds between two lines that tell how far work is."""

Told = Callable[[BaseException], None]
"""Is told of an error that nobody foresaw."""


def refused(error: RefusalError) -> Response:
    """The answer to what is not done."""
    return JSONResponse({"error": str(error)}, error.status, error.headers)


def told_of(error: BaseException, tell: Told) -> RefusalError:
    """Any error as a refusal; of one that nobody foresaw, the server's owner is told too."""
    if (found := refusal_of(error)) is not None:
        return found
    tell(error)
    return RefusalError(500, f"{type(error).__name__}; this is a bug, and the server's terminal says more")


def accepts(request: Request, kind: str) -> bool:
    """Whether an answer of a kind is asked for by its name."""
    return kind in [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]


async def finished(request: Request, ticket: Ticket, seconds: float) -> Any:
    """The result of work, once it is there.

    Raises:
        RefusalError: it takes longer than `seconds`.
        CancelledError: whoever asked is gone.
    """
    done, gone = asyncio.wrap_future(ticket.result), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({done, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return done.result()
        if gone.done():
            raise CancelledError
        raise _late(seconds)
    except asyncio.CancelledError:
        raise CancelledError from None
    finally:
        gone.cancel()
        done.cancel()
        ticket.cancel()


def lines(ticket: Ticket, seconds: float, ready: Callable[[], bool], tell: Told) -> Response:
    """An answer that tells line by line how far the work is; the last line has the result, or why there is none.

    Args:
        ticket: of the work.
        seconds: that it may take.
        ready: whether the network is there.
        tell: of errors that nobody foresaw.
    """

    async def told() -> AsyncGenerator[bytes, None]:
        done, loop = asyncio.wrap_future(ticket.result), asyncio.get_running_loop()
        until = loop.time() + seconds
        try:
            while not done.done() and loop.time() < until:
                yield _line(_state(ticket, ready()))
                await asyncio.wait({done}, timeout=TICK)
            if not done.done():
                raise _late(seconds)
            yield _line({"state": "done", "result": done.result()})
        except Exception as error:
            refusal = told_of(error, tell)
            yield _line({"state": "failed", "status": refusal.status, "error": str(refusal)})
        finally:
            done.cancel()
            ticket.cancel()

    return StreamingResponse(told(), media_type=LINES)


def _state(ticket: Ticket, ready: bool) -> dict[str, Any]:
    if not ready:
        return {"state": "loading"}
    if not ticket.started:
        return {"state": "waiting", "ahead": ticket.ahead}
    return {"state": "working", "done": ticket.done, "total": ticket.total}


def _late(seconds: float) -> RefusalError:
    return RefusalError(504, f"it takes longer than {seconds:.0f} s; try again later, or a smaller photo", 10)


def _line(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode() + b"\n"


async def _gone(request: Request) -> None:
    """Returns once whoever asked has gone."""
    with suppress(Exception):
        while (await request.receive())["type"] != "http.disconnect":
            pass
