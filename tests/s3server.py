"""A server on this machine that speaks S3, and a door in front of it that fails as stores do now and then."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUSY = (
    b"""<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"""
)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}

Fault = Callable[[int, str, str], str | None]
"""What becomes of a request, by its number, method and path: None for nothing special, "busy" for 503 SlowDown, "cut"
for a line that is cut in the middle of the answer, "lost" for an answer that is lost once the store has acted."""


class Door(BaseHTTPRequestHandler):
    """Hands requests on to the server behind, or fails."""

    protocol_version = "HTTP/1.1"
    behind = ("127.0.0.1", 0)
    fault: Fault = staticmethod(lambda number, method, path: None)
    seen: list[tuple[str, str]] = []  # noqa: RUF012 - replaced for each door
    counting = threading.Lock()

    def log_message(self, *_: Any) -> None: ...

    def _any(self) -> None:
        with self.counting:
            number = len(self.seen)
            self.seen.append((self.command, self.path))
        fault = type(self).fault(number, self.command, self.path)
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self._body()
        if fault == "busy":
            self._answer(503, [("Content-Type", "application/xml")], BUSY)
            return
        line = http.client.HTTPConnection(*self.behind, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        line.request(self.command, self.path, body, headers)
        answer = line.getresponse()
        data = answer.read()
        line.close()
        if fault in ("cut", "lost"):
            if fault == "cut":
                self._answer(answer.status, answer.getheaders(), data, len(data) // 2)
            self.close_connection = True
            self.connection.close()
            return
        self._answer(answer.status, answer.getheaders(), data)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, sent: int | None = None) -> None:
        self.send_response_only(status)
        length = {name.lower(): value for name, value in headers}.get("content-length", str(len(data)))
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:sent])
            self.wfile.flush()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815


@contextmanager
def server() -> Iterator[int]:
    """moto's server; gives its port."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    try:
        yield running.get_host_and_port()[1]
    finally:
        running.stop()


@contextmanager
def door(port: int, fault: Fault = lambda number, method, path: None) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A door in front of a server: its URL, and the requests that came through."""
    seen: list[tuple[str, str]] = []
    kind = type("Here", (Door,), {"behind": ("127.0.0.1", port), "fault": staticmethod(fault), "seen": seen})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", seen
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(5)
