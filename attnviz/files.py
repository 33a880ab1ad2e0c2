"""Files: written so that a reader sees the old one or the new one, never half; named and found on every file system.

A leaf.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from attnviz.errors import ConfigError, OutputError

NAME_BYTES = 255  # of a file's name, on nearly every file system
DIGITS = 8  # of the hash in a name that was cut
TOML_BYTES = 2**18  # far more than options take
_TOO_LARGE = "not valid TOML: a whole number takes more than 64 bits; write a smaller one"

# What file systems answer that lack an ability; ENOTSUP and EOPNOTSUPP are one on Linux and two elsewhere.
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOTTY, errno.EPERM)

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/{1,3}(?=[^/])")  # one slash is what pathlib leaves of two


def write_atomically(path: str | Path, data: bytes) -> None:
    """Writes `data` to a temporary file in the same folder, then moves it to `path`; makes missing folders.

    Raises:
        OutputError: when that fails; `path` is then as it was.
    """
    with writing(path) as file:
        file.write(data)


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to piece by piece, which becomes `path` in the end; where the block fails, `path` is as it was.

    Raises:
        OutputError: as `write_atomically` does.
    """
    path = Path(path)
    # Not by mkstemp, whose 0600 would have to be changed to what the user's umask says: some mounts refuse that.
    temporary = path.parent / f".attnviz-{secrets.token_hex(8)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    except ValueError as error:
        if unfit(path) is None:  # it came from the block
            raise
        raise OutputError(f"{path}: cannot be written: {unfit(path)}") from error
    finally:
        with suppress(OSError, ValueError):
            temporary.unlink(missing_ok=True)


def unable(error: OSError) -> bool:
    """Whether this is a file system that lacks an ability, as network and object mounts do, and no fault."""
    return error.errno in _UNABLE


def saved(descriptor: int) -> bool:
    """Waits until the disk has what was written; False where the file system cannot say when that is."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if unable(error):
            return False
        raise
    return True


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a file; no, and no error, for names that the system cannot have."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for a name that is too long


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a folder; see `is_file`."""
    return os.path.isdir(path)  # noqa: PTH112


def unfit(path: str | os.PathLike[str]) -> str | None:
    """Why no file can have this path on this system; None where one can."""
    for part in Path(path).parts:
        try:
            length = len(os.fsencode(part))
        except UnicodeEncodeError:
            return f"this system's file names cannot hold all characters of {part!r:.60}"
        if "\0" in part:
            return "no name may hold the character NUL"
        if length > NAME_BYTES:
            return f"a name of {length} bytes is too long, {NAME_BYTES} are the most"
    return None


def fitting(name: str, ending: str = "", of: str | None = None) -> str:
    """`name + ending`, where that is no longer than a file's name may be; else cut, with digits of a hash.

    Args:
        of: what the digits are of, so that two names never become one; `name` by default.
    """
    if len(f"{name}{ending}".encode(errors="surrogatepass")) <= NAME_BYTES:
        return name + ending
    return hashed(name, ending, name if of is None else of)


def hashed(name: str, ending: str, of: str) -> str:
    """`name + ending` with digits of a hash of `of` between, cut where it would be too long."""
    tail = f"-{hashlib.sha256(of.encode('utf-8', 'surrogatepass')).hexdigest()[:DIGITS]}{ending}"
    kept = name.encode(errors="surrogatepass")[: NAME_BYTES - len(tail.encode())].decode(errors="ignore")
    return kept + tail


def composed(text: str) -> str:
    """The composed Unicode form, in which the same text is the same string: macOS writes names decomposed."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def spelled(path: str | os.PathLike[str]) -> Path:
    """A path as the disk spells it: where there is none of these very characters, one in another Unicode form."""
    path = Path(path)
    if str(path).isascii() or os.path.lexists(path):
        return path
    folder = path.parent if path.parent == path else spelled(path.parent)
    wanted = composed(path.name)
    with suppress(OSError, ValueError):
        return next((entry for entry in sorted(folder.iterdir()) if composed(entry.name) == wanted), folder / path.name)
    return path


def absent(name: str | os.PathLike[str], what: str = "file", mend: str = "check the name and the folder") -> str:
    """What to say of a file, or what else it should be, that is not there, by the name that the user gave."""
    if _URL.match(os.fspath(name)):
        return f"is a URL, not a {what}; download it first, and name the {what}"
    return f"no such {what}; {mend}"


def read_toml(path: str | Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        ConfigError: a file that is missing, is no TOML, is far too long, or holds whole numbers beyond 64 bits, which
            TOML does not have.
    """
    import tomllib

    try:
        with spelled(path).open("rb") as file:
            data = file.read(TOML_BYTES + 1)
        values = tomllib.loads(data.decode("utf-8")) if len(data) <= TOML_BYTES else None
    except FileNotFoundError:
        raise ConfigError(f"{path}: {absent(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {' '.join(str(error).split())}") from error
    except ValueError as error:  # thousands of digits, which Python does not read
        raise ConfigError(f"{path}: {_TOO_LARGE}") from error
    if values is None:
        raise ConfigError(f"{path}: is longer than {TOML_BYTES:,} bytes, too long for options; give another file")
    if _beyond_64_bits(values):
        raise ConfigError(f"{path}: {_TOO_LARGE}")
    return values


def _beyond_64_bits(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_beyond_64_bits, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63
