"""The socket, and how the server begins and ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from attnviz.errors import ConfigError
from attnviz.serve.app import App, make_app

if TYPE_CHECKING:
    from attnviz.serve.networks import Networks
    from attnviz.serve.replies import Told
    from attnviz.serve.settings import Settings
    from attnviz.serve.shelf import Shelf

MOST_CONNECTIONS = 256
PATIENCE = 1.5
"""Seconds for which the network is not loaded: importing torch stops everything else, and the page comes first."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
IDLE_SECONDS = 5
"""How long a connection that nothing comes over is kept open."""


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        host: a name, or an address in numbers.
        port: 0 for any that is free.
    """

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine's own programs reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def url(self, host: str | None = None) -> str:
        """As a browser takes it."""
        name = host or self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/"

    def listen(self) -> socket.socket:
        """A socket that listens there. Raises ConfigError where that cannot be."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, _, _, _, place = sorted(found, key=lambda one: one[0] != socket.AF_INET)[0]
            return socket.create_server(place[:2], family=family, backlog=128)
        except socket.gaierror as error:
            raise ConfigError(f"--host {self.host}: no address is known for it ({error.strerror})") from error
        except OSError as error:
            raise ConfigError(self._why(error)) from error

    def _why(self, error: OSError) -> str:
        match error.errno:
            case errno.EADDRINUSE:
                return f"port {self.port} is in use; give another one with --port, or 0 for any that is free"
            case errno.EACCES:
                return f"port {self.port} is not for everybody; give one from 1024 on with --port"
            case errno.EADDRNOTAVAIL:
                return f"--host {self.host}: this machine has no such address"
        return f"{self.host}, port {self.port}: {error.strerror or error}"


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are heard by whoever runs this."""
        yield


class Server:
    """Listens from the moment it is made.

    Args:
        networks: what is on offer.
        settings: the limits.
        address: where to listen.
        tell: is told of an error that nobody foresaw.

    Attributes:
        address: where it listens, with the port it got.

    Raises:
        ConfigError: it cannot listen there.
    """

    def __init__(self, networks: Networks, settings: Settings, address: Address, tell: Told) -> None:
        self._socket = address.listen()
        self.address = Address(address.host, self._socket.getsockname()[1])
        self._app = App(networks, settings, tell)
        self._app.begin = self._begin
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._status = 0
        self._begun = threading.Lock()
        self._server = _Uvicorn(
            uvicorn.Config(
                make_app(self._app),
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=0,
            )
        )

    def run(self, ready: Callable[[], None] = lambda: None) -> int:
        """Serves until `stop`, or until a signal asks for the end; then the port is free at once.

        Args:
            ready: is called before the first answer.

        Returns:
            The exit status: 128 and the signal's number; 0 after `stop`.

        Raises:
            Exception: whatever the first network could not be loaded for.
        """
        timer = threading.Timer(PATIENCE, self._begin)
        timer.daemon = True
        with self._signals():
            ready()
            timer.start()
            asyncio.run(self._serve())
        self._app.line.close()
        if self._error is not None:
            raise self._error
        return self._status

    @property
    def shelf(self) -> Shelf:
        """The photos that are kept."""
        return self._app.shelf

    def stop(self) -> None:
        """Ends `run`, from any thread."""
        self._server.should_exit = True

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._socket])

    def _begin(self) -> None:
        """Lets the worker begin, with the first network; later calls do nothing."""
        if self._begun.acquire(blocking=False):
            self._app.line.first(lambda ticket: self._load())
            self._app.line.start()

    def _load(self) -> None:
        networks = self._app.networks
        try:
            networks.load(networks.first)
        except BaseException as error:  # told by `run`
            networks.error, self._error = str(error), error
            self.stop()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                self._loop.call_soon_threadsafe(self._listen)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and a request to terminate end it.

        Until the first network is there they end the process on the spot: nothing is lost yet, and the import of torch
        may keep every thread of Python from hearing them for a second.
        """
        main = threading.current_thread() is threading.main_thread()
        former = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS} if main else {}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _listen(self) -> None:
        """From now on signals end it in good order; a second one at once."""

        def heard(number: int, frame: FrameType | None) -> None:
            if self._server.should_exit:
                os._exit(128 + number)
            self._status = 128 + number
            self.stop()

        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, heard)
