"""A photo out of a request, within bounds, and into memory alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from attnviz.render.text import printable
from attnviz.serve.answers import RefusalError
from attnviz.serve.studio import Given

if TYPE_CHECKING:
    from starlette.requests import Request

    from attnviz.serve.settings import Settings

MOST_FIELDS = 64
FIELD_BYTES = 16 * 2**10
MOST_DRAINED = 256 * 2**20
"""Bytes of a photo that is refused: a browser listens only once it has sent all of it."""

KEY = re.compile("[0-9a-f]{32}")

Params = dict[str, list[str]]


class Uploads:
    """Reads photos; of those that are on their way no more at a time than memory may hold.

    Args:
        settings: the limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._arriving = 0

    async def read(self, request: Request) -> tuple[Given, Params]:
        """The photo of a request, and its parameters.

        The photo is the body, or the field "photo" of a form, whose other fields are parameters as those of the
        address are; or the parameter "photo" is the key of one that is kept.

        Raises:
            RefusalError: no photo, one that is too large or too slow, or a body that cannot be read.
        """
        params = {name: request.query_params.getlist(name) for name in request.query_params}
        size = _length(request)
        if "photo" in params:
            if size:
                raise RefusalError(400, "the photo is given twice, as a key and as a body; leave out one")
            return _kept(params.pop("photo")), params
        if size == 0:
            raise RefusalError(400, "there is no photo; send its bytes as the body, or as the field 'photo' of a form")
        await self._admit(request, size)
        held = self._settings.most_bytes if size is None else size
        self._arriving += held
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                return await self._received(request, params)
        except TimeoutError:
            told = f"the photo did not arrive within {self._settings.body_seconds:.0f} s; try again"
            raise RefusalError(408, told) from None
        except MultiPartException as error:
            raise RefusalError(400, f"the form cannot be read: {error.message}") from None
        except ClientDisconnect:
            raise RefusalError(400, "the photo was cut off on its way") from None
        finally:
            self._arriving -= held

    async def _admit(self, request: Request, size: int | None) -> None:
        """Raises RefusalError for a photo that is not worth reading."""
        refusal = None
        if size is not None and size > self._settings.most_bytes + FIELD_BYTES:
            refusal = self._too_large()
        elif self._arriving and self._arriving + (size or 0) > self._settings.waiting_bytes:
            refusal = RefusalError(503, "busy: many photos are arriving; try again in about 2 s", 2)
        if refusal is not None:
            await drain(request)
            raise refusal

    def _too_large(self) -> RefusalError:
        most = self._settings.most_bytes / 2**20
        return RefusalError(413, f"the photo's file is larger than {most:.0f} MiB; make it smaller")

    async def _received(self, request: Request, params: Params) -> tuple[Given, Params]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            raise RefusalError(415, "send the photo as multipart/form-data, or its bytes with the type image/jpeg")
        if kind != "multipart/form-data":
            data = b"".join([part async for part in self._bounded(request)])
            return _given(data, _last(params.pop("name", None))), params
        form = await InMemory(
            request.headers, self._bounded(request), max_files=1, max_fields=MOST_FIELDS, max_part_size=FIELD_BYTES
        ).parse()
        data, name = b"", _last(params.pop("name", None))
        try:
            for field, value in form.multi_items():
                if isinstance(value, str) and field != "photo":
                    params.setdefault(field, []).append(value)
                elif field != "photo" or isinstance(value, str):
                    raise RefusalError(400, "the photo must be a file in the field 'photo' of the form")
                else:
                    data, name = await value.read(), name or value.filename
        finally:
            await form.close()
        return _given(data, _last(params.pop("name", None)) or name), params

    async def _bounded(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The body's parts. Raises RefusalError once they are too many, ClientDisconnect where they end too early."""
        count, more = 0, True
        while more:
            message = await request.receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            part, more = message.get("body", b""), message.get("more_body", False)
            count += len(part)
            if count > self._settings.most_bytes + FIELD_BYTES:
                if more:
                    await drain(request)
                raise self._too_large()
            if part:
                yield part


class InMemory(MultiPartParser):
    """A parser that never writes a file to the disk: its bounds are those of the body."""

    spool_max_size = 2**40


async def drain(request: Request) -> None:
    """Reads what is left of a body and drops it, within bounds."""
    count = 0
    try:
        async with asyncio.timeout(20):
            while count < MOST_DRAINED:
                message = await request.receive()
                count += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


def _given(data: bytes, name: str | None) -> Given:
    if not data:
        raise RefusalError(400, "the photo is empty (0 bytes); send its bytes as the body, or as the field 'photo'")
    # Of a path, as some programs send it, the last part; on one line, without what drives terminals.
    last = (name or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    return Given(printable(last) if last.strip() else "photo", data)


def _kept(keys: list[str]) -> Given:
    if len(keys) != 1 or not KEY.fullmatch(keys[0]):
        raise RefusalError(400, "photo must be the key of one photo that was sent before")
    return Given(key=keys[0])


def _last(values: list[str] | None) -> str | None:
    return values[-1] if values else None


def _length(request: Request) -> int | None:
    """Bytes of the body; None where that is not said beforehand."""
    if "content-length" in request.headers:
        text = request.headers["content-length"]
        if not (text.isascii() and text.isdigit()):
            raise RefusalError(400, f"Content-Length must be a number of bytes, not {text!r}")
        return int(text)
    return None if "transfer-encoding" in request.headers else 0
