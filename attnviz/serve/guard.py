"""Who may ask at all: only pages that this server gave, and programs.

A page of another site that is open in the same browser can send requests here. It must not have its photos worked on,
nor read an answer: not under our own address (Origin, Sec-Fetch-Site), and not under its own, once its name leads to
this machine (DNS rebinding: Host).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from attnviz.serve.answers import RefusalError
from attnviz.serve.replies import refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""Of every answer that brings none of its own."""

SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Around an application: refuses what others send, and adds what browsers are to hold to.

    Args:
        app: what it stands around.
        names: host names that may be asked for.
        everywhere: whether addresses of numbers may be asked for, whichever: no name leads there.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = (), everywhere: bool = False) -> None:
        self._app = app
        self._names = LOOPBACK | {name.lower().rstrip(".") for name in names}
        self._everywhere = everywhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("content-security-policy", POLICY)
            await send(message)

        try:
            self.check(scope["method"], scope["path"], Headers(scope=scope))
        except RefusalError as error:
            await refused(error)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Raises RefusalError for what another site sends."""
        host = headers.get("host", "")
        if not self._known(host):
            told = f"this server is not called {host[:100]!r}; --allow-host lets it be"
            raise RefusalError(403, told)
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and (method not in SAFE or path != "/"):
            raise RefusalError(403, "another site's page may not ask this server")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise RefusalError(403, "another site's page may not ask this server")

    def _known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
            urlsplit(f"//{host}").port  # noqa: B018 - raises for what is no number
        except ValueError:
            return False
        return name in self._names or (self._everywhere and _is_number(name))


def own_names(host: str) -> tuple[tuple[str, ...], bool]:
    """The names by which a server that listens on `host` may be asked for, and whether any address of numbers may."""
    if not _is_number(host):
        return (host,), False
    address = ipaddress.ip_address(host)
    if address.is_loopback:
        return (str(address),), False
    machine = socket.gethostname()
    return (str(address), machine, f"{machine}.local"), address.is_unspecified


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
