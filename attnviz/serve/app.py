"""Which address does what."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from attnviz._version import __version__
from attnviz.render.names import slug
from attnviz.serve import openapi, page, samples
from attnviz.serve.answers import RefusalError, trace_json
from attnviz.serve.asks import CHOOSING, LOOK, TESTING, check_names, look_of, tests_of, value, wanted_of
from attnviz.serve.guard import Guard
from attnviz.serve.line import CancelledError, Line, Ticket
from attnviz.serve.replies import LINES, Told, accepts, finished, lines, refused, told_of
from attnviz.serve.shelf import Shelf
from attnviz.serve.studio import Desk, Given, Studio
from attnviz.serve.uploads import Uploads
from attnviz.trace.file import dumps

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from attnviz.serve.networks import Networks
    from attnviz.serve.settings import Settings

NPZ = ("application/x-npz", "application/zip", "application/octet-stream")
TYPES = {
    "gif": "image/gif",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "apng": "image/apng",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "svg": "image/svg+xml",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "npz": NPZ[0],
}

Handler = Callable[["Request"], Awaitable[Response]]
Work = Callable[[Desk, Ticket], Any]


class App:
    """The handlers, and what they share.

    Args:
        networks: what is on offer.
        settings: the limits.
        tell: is told of an error that nobody foresaw.
    """

    def __init__(self, networks: Networks, settings: Settings, tell: Told) -> None:
        self.networks, self.settings, self._tell = networks, settings, tell
        self.shelf = Shelf(settings.kept_bytes, settings.kept_seconds)
        self.studio = Studio(networks, self.shelf, settings.most_pixels)
        self.line = Line(settings.most_waiting, settings.waiting_bytes, self.shelf.sweep)
        self._uploads = Uploads(settings)
        self.begin: Callable[[], None] = lambda: None

    def routes(self) -> list[Route]:
        """Every address."""

        def route(path: str, handler: Handler, method: str) -> Route:
            return Route(path, self._answered(handler), methods=[method])

        return [
            route("/", self.page, "GET"),
            route("/samples/{name}", self.sample, "GET"),
            route("/api/openapi.json", self.openapi, "GET"),
            route("/api/status", self.status, "GET"),
            route("/api/explain", self.explain, "POST"),
            route("/api/explore", self.explore, "POST"),
            route("/api/draw", self.draw, "POST"),
            route("/api/check", self.check, "POST"),
        ]

    async def page(self, request: Request) -> Response:
        """The page; once it is given, there is time to load the network."""
        text, policy = page.page()
        headers = {"content-security-policy": policy, "content-type": "text/html; charset=utf-8"}
        return Response(text, headers=headers, background=BackgroundTask(self.begin))

    async def sample(self, request: Request) -> Response:
        """One of the photos to try."""
        data = samples.read(request.path_params["name"])
        if data is None:
            raise RefusalError(404, f"there is no sample photo of this name; there are {', '.join(samples.NAMES)}")
        return Response(data, media_type="image/jpeg", headers={"cache-control": "max-age=3600"})

    async def openapi(self, request: Request) -> Response:
        """What programs may ask, described."""
        return JSONResponse(openapi.document())

    async def status(self, request: Request) -> Response:
        """How things stand."""
        return JSONResponse(
            {
                "attnviz": __version__,
                "ready": self.networks.ready,
                "error": self.networks.error,
                "waiting": self.line.waiting,
                "models": self.networks.to_dict(),
                "model": self.networks.first.model,
                "mode": self.networks.first.mode,
                "most_bytes": self.settings.most_bytes,
                "most_pixels": self.settings.most_pixels,
            }
        )

    async def explain(self, request: Request) -> Response:
        """A trace, as JSON or as a trace file."""
        given, params = await self._asked(request, CHOOSING)
        wanted = wanted_of(params, self.networks)
        if len(wanted.sources) > 1 or wanted.layers:
            raise RefusalError(422, "a trace is of one model, mode and choice of layers; ask for one at a time")
        ticket = self._submit(given, lambda desk, ticket: (desk.traces(wanted)[0], desk.kept.key))
        trace, key = await self._done(request, ticket)
        if any(accepts(request, kind) for kind in NPZ):
            return Response(dumps(vars(trace)), media_type=NPZ[0], headers={"attnviz-photo": key})
        return JSONResponse(trace_json(trace, key))

    async def explore(self, request: Request) -> Response:
        """What the page's explorer shows."""
        given, params = await self._asked(request, (*CHOOSING, *LOOK, "picture"))
        wanted, look, picture = wanted_of(params, self.networks), look_of(params), value(params, "picture", True)
        ticket = self._submit(given, lambda desk, ticket: desk.explore(wanted, look, picture))
        if accepts(request, LINES):
            return lines(ticket, self.settings.answer_seconds, self._is_ready, self._tell)
        return JSONResponse(await self._done(request, ticket))

    async def draw(self, request: Request) -> Response:
        """A picture, an animation, a figure, a page, a trace or a report, as a file."""
        given, params = await self._asked(request, (*CHOOSING, *LOOK, "format"))
        wanted, look, kind = wanted_of(params, self.networks), look_of(params), value(params, "format", "gif")
        ticket = self._submit(given, lambda desk, ticket: (*desk.draw(wanted, look, kind), desk.kept.name))
        data, ending, name = await self._done(request, ticket)
        file = f"{slug(name.rpartition('.')[0] or name)}-{ending}"
        plain = file.encode("ascii", "replace").decode().replace("?", "_")
        return Response(
            data,
            media_type=TYPES[ending.rpartition(".")[2]],
            headers={"content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file)}"},
        )

    async def check(self, request: Request) -> Response:
        """The evidence for a photo's maps."""
        given, params = await self._asked(request, (*CHOOSING, *TESTING))
        wanted, tests = wanted_of(params, self.networks), tests_of(params)
        ticket = self._submit(given, lambda desk, ticket: desk.check(wanted, tests, ticket).to_dict(), long=True)
        if accepts(request, LINES):
            return lines(ticket, self.settings.check_seconds, self._is_ready, self._tell)
        return JSONResponse(await self._done(request, ticket, self.settings.check_seconds))

    async def _asked(self, request: Request, known: tuple[str, ...]) -> tuple[Given, dict[str, list[str]]]:
        if self.networks.error:
            raise RefusalError(503, self.networks.error)
        given, params = await self._uploads.read(request)
        check_names(params, (*known, "photo", "name"))
        return given, params

    def _submit(self, given: Given, work: Work, long: bool = False) -> Ticket:
        self.begin()
        return self.line.submit(
            lambda ticket: work(self.studio.take(given), ticket), long=long, weight=len(given.data or b"")
        )

    async def _done(self, request: Request, ticket: Ticket, seconds: float | None = None) -> Any:
        return await finished(request, ticket, seconds or self.settings.answer_seconds)

    def _is_ready(self) -> bool:
        return self.networks.ready

    def _answered(self, handler: Handler) -> Handler:
        """A handler whose errors are answers of one line."""

        @functools.wraps(handler)
        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except CancelledError:
                return Response(status_code=499)  # nobody reads it
            except Exception as error:
                return refused(told_of(error, self._tell))

        return answered


def make_app(app: App) -> ASGIApp:
    """The application, guarded."""

    async def elsewhere(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            return JSONResponse({"error": f"{request.method} is not done here; {allowed} is"}, 405, error.headers)
        return refused(RefusalError(404, "there is nothing here; the page is at /, the interface at /api/openapi.json"))

    inner = Starlette(routes=list(app.routes()), exception_handlers={HTTPException: elsewhere})
    return Guard(inner, app.settings.names, app.settings.everywhere)
