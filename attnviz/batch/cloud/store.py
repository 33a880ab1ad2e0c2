"""A folder in an object store: read, written and listed, again where the store was only busy, with errors of one line.

Whatever fsspec has a file system for can be read. Results are written to stores that take an object whole or not at
all: s3://, gs://, az:// and the like, and memory:// for trials.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from attnviz.errors import AttnvizError, ConfigError, DataError, counted

T = TypeVar("T")

WAITS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the trials of what a store was too busy for, each made up to half longer by chance."""

SETTLED = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""What trying again does not change."""

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_NO_BUCKET = re.compile(r"NoSuchBucket|\b(bucket|container) does not exist", re.IGNORECASE)
"""What stores answer, and no path's own name: where there is no such folder, it is all that the error says."""

_LOCAL = ("memory",)  # what only the process that made it sees


class Info(NamedTuple):
    """What a listing tells of an object: its size in bytes, and by what it is known again."""

    size: int | None
    mtime_ns: int | None
    etag: str | None


class Store:
    """A folder that a URL names. It can be pickled; connections are made by who uses it.

    Args:
        url: such as s3://bucket/folder.
        error: what is raised for what is wrong with it.

    Raises:
        ConfigError: no such kind of URL, or a package that is not installed.
    """

    def __init__(self, url: str, error: type[AttnvizError] = DataError) -> None:
        self.url, self._error = url.rstrip("/") if url.partition("://")[2].strip("/") else url, error
        self._opened: tuple[Any, str] | None = None
        self._lock = threading.Lock()
        _ = self.fs

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "_error": self._error}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["url"], state["_error"])  # type: ignore[misc]

    def __str__(self) -> str:
        return self.url

    @property
    def fs(self) -> Any:
        """fsspec's file system."""
        return self._open()[0]

    @property
    def root(self) -> str:
        """The folder's path in it."""
        return self._open()[1]

    @property
    def shared(self) -> bool:
        """Whether other processes see it too."""
        return self.protocol not in _LOCAL

    @property
    def protocol(self) -> str:
        """The URL's beginning, such as "s3"."""
        return self.url.partition(":")[0]

    def _open(self) -> tuple[Any, str]:
        with self._lock:
            if self._opened is None:
                self._opened = _opened(self.url)
            return self._opened

    def at(self, path: str) -> str:
        """A path below the folder as the file system takes it."""
        return f"{self.root}/{path}" if path else self.root

    def read(self, path: str, span: tuple[int, int] | None = None) -> bytes:
        """The bytes of an object, or `span` of them: (start, length)."""
        start, end = (None, None) if span is None else (span[0], span[0] + span[1])
        data: bytes = self.trying(path, lambda: self.fs.cat_file(self.at(path), start=start, end=end))
        return data

    def write(self, path: str, data: bytes) -> None:
        """Writes an object, whole or not at all."""
        self.trying(path, lambda: self.fs.pipe_file(self.at(path), data))

    def create(self, path: str, data: bytes) -> bool:
        """Writes an object where there is none yet, by a conditional write where the store has it; whether it did.

        An answer that was lost on the way is asked for again: what is there then may be what was written.
        """
        try:
            self.trying(path, lambda: self.fs.pipe_file(self.at(path), data, mode="create"), settled=True)
        except FileExistsError:
            return self.read(path) == data
        except OSError as error:
            if _refused_condition(error):
                return self.read(path) == data
            raise self._told(path, error) from error
        return True

    def upload(self, path: str, file: Path) -> None:
        """Writes a file of the disk, of any size."""
        self.trying(path, lambda: self.fs.put_file(str(file), self.at(path)))

    def download(self, path: str, file: Path) -> None:
        """Copies an object to the disk."""
        self.trying(path, lambda: self.fs.get_file(self.at(path), str(file)))

    def remove(self, path: str) -> None:
        """Removes an object, if it is there."""
        try:
            self.trying(path, lambda: self.fs.rm_file(self.at(path)), settled=True)
        except FileNotFoundError:
            pass
        except Exception as error:
            raise self._told(path, error) from error

    def entries(self, folder: str = "") -> list[tuple[str, bool, Info]]:
        """(name, whether it is a folder, info) of what lies right in a folder; nothing where there is none."""
        try:
            found = self.trying(folder, lambda: self.fs.ls(self.at(folder), detail=True), settled=True)
        except (FileNotFoundError, NotADirectoryError) as error:
            if _NO_BUCKET.search(str(error)):
                raise self._told(folder, error) from error
            return []
        except Exception as error:
            raise self._told(folder, error) from error
        top = self.at(folder).rstrip("/")
        names = ((one["name"].rstrip("/"), one) for one in found)
        return sorted(
            (name.rpartition("/")[2], one.get("type") == "directory", info_of(one))
            for name, one in names
            if name != top and name.rpartition("/")[2]
        )

    def names(self, folder: str) -> set[str]:
        """The files right in a folder."""
        return {name for name, is_folder, _ in self.entries(folder) if not is_folder}

    def info(self, path: str) -> Info:
        """What is known of an object."""
        return info_of(self.trying(path, lambda: self.fs.info(self.at(path))))

    def check(self) -> None:
        """Raises where the folder's bucket is not there, cannot be reached, or may not be read."""
        self.entries()

    def trying(self, path: str, call: Callable[[], T], settled: bool = False) -> T:
        """What `call` gives, tried again where the store was busy or the line was cut.

        Raises:
            AttnvizError: one line; with `settled`, what trying again does not change is raised as it is.
        """
        for wait in (*WAITS, None):
            try:
                return call()
            except SETTLED as error:
                if settled:
                    raise
                raise self._told(path, error) from error
            except Exception as error:
                if wait is None or not passing(error):
                    if settled and isinstance(error, OSError):
                        raise
                    raise self._told(path, error) from error
                time.sleep(wait * random.uniform(1, 1.5))
        raise AssertionError

    def _told(self, path: str, error: BaseException) -> AttnvizError:
        url = f"{self.url}/{path}" if path else self.url
        return error if isinstance(error, AttnvizError) else self._error(f"{url}: {why(error, self.protocol)}")


def _opened(url: str) -> tuple[Any, str]:
    protocol = url.partition(":")[0]
    if protocol in _PACKAGES and not url.partition("://")[2].strip("/"):
        raise ConfigError(f"{url}: names no bucket; give one, such as {protocol}://bucket/folder")
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ConfigError(f"{url}: URLs need fsspec: pip install 'attnviz[cloud]'") from error
    package = _PACKAGES.get(protocol, "")
    try:
        fs, root = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        mend = "pip install 'attnviz[cloud]'" if package == "s3fs" else f"pip install {package or 'what it names'}"
        raise ConfigError(f"{url}: needs a package that is not installed ({error}): {mend}") from error
    except ValueError as error:
        raise ConfigError(f"{url}: is no URL that is known ({error}); such as s3://bucket/folder are") from error
    return fs, root.rstrip("/")


def info_of(found: dict[str, Any]) -> Info:
    """What fsspec's dictionary tells, of any of its file systems."""
    times = ("LastModified", "last_modified", "mtime", "updated")
    changed = next((found[key] for key in times if found.get(key)), None)
    etag = next((str(found[key]).strip('"') for key in ("ETag", "etag") if found.get(key)), None)
    seconds: object = changed.timestamp() if isinstance(changed, datetime) else changed
    size = found.get("size")
    return Info(
        size if isinstance(size, int) else None,
        int(seconds * 1e9) if isinstance(seconds, int | float) else None,
        etag,
    )


def passing(error: BaseException) -> bool:
    """Whether an error may go away by itself: a store that is busy, a line that was cut."""
    if isinstance(error, (AttnvizError, *SETTLED)) or _kind(error) in _HOPELESS:
        return False
    return (
        isinstance(error, OSError | TimeoutError)
        or _kind(error) in ("ClientPayloadError", "IncompleteRead", "FSTimeoutError", "ClientError")
        or any(name in str(error) for name in ("SlowDown", "503", "Service Unavailable", "reduce your request rate"))
    )


_HOPELESS = {
    "NoCredentialsError": "no credentials were found; set {set}",
    "PartialCredentialsError": "the credentials are not whole; set {set}",
    "ProfileNotFound": "{error}; set AWS_PROFILE to one that there is",
    "DefaultCredentialsError": "no credentials were found; set {set}",
    "EndpointConnectionError": "the store cannot be reached; check the network, and AWS_ENDPOINT_URL where it is set",
    "ParamValidationError": "is no name that the store takes; check the bucket's name",
    "InvalidURL": "is no URL; check it",
}
_CREDENTIALS = {
    "s3": "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (FSSPEC_S3_ANON=true for a public bucket)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}


def why(error: BaseException, protocol: str) -> str:
    """One line on what a store, or the way to it, answered."""
    kind, text = _kind(error), " ".join(str(error).split())
    if kind in _HOPELESS:
        return _HOPELESS[kind].format(set=_CREDENTIALS.get(protocol, "those of the store"), error=text)
    if _NO_BUCKET.search(text) and isinstance(error, FileNotFoundError):
        return "there is no such bucket; make it, or check its name"
    if isinstance(error, FileNotFoundError):
        return "is not there"
    if isinstance(error, PermissionError):
        return f"access is denied ({text}); check the credentials and what they are allowed"
    if isinstance(error, FileExistsError):
        return "is there already"
    if "nodename" in text or "Name or service not known" in text or "Could not connect" in text:
        return _HOPELESS["EndpointConnectionError"]
    return f"failed after {counted(len(WAITS) + 1, 'trial')}: {text or kind}" if passing(error) else f"{kind}: {text}"


def _kind(error: BaseException) -> str:
    """The name of the kind of an error; those that are told by name come from packages that need not be there."""
    chain: BaseException | None = error
    while chain is not None:
        for kind in type(chain).__mro__:
            if kind.__name__ in _HOPELESS:
                return kind.__name__
        chain = chain.__cause__
    return type(error).__name__


def _refused_condition(error: OSError) -> bool:
    """Whether a conditional write found something there: S3 says 412, or 409 where two come at once."""
    return any(sign in str(error) for sign in ("PreconditionFailed", "pre-conditions", "ConditionalRequestConflict"))


def walk(store: Store, skip: Callable[[str, set[str]], bool]) -> Iterator[tuple[str, Info]]:
    """(path, info) of all objects below a folder that are not hidden, folder by folder.

    Args:
        skip: whether a folder is left out, by its path and the names in it.
    """
    folders = [""]
    while folders:
        inside = folders.pop()
        found = [one for one in store.entries(inside) if not one[0].startswith(".")]
        if inside and skip(inside, {name for name, _, _ in found}):
            continue
        for name, is_folder, info in found:
            path = f"{inside}/{name}" if inside else name
            if is_folder:
                folders.append(path)
            else:
                yield path, info
