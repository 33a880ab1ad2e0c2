"""NumPy's `.npz` archives, read with bounds and written with the same bytes each time. Nothing is ever unpickled."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from attnviz.errors import TraceError
from attnviz.files import absent, spelled

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

MAX_BYTES = 2**30  # of all arrays together: more than the largest trace takes
LAST_CHARACTER = 0x10FFFF
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold
_UNIX = 3

Shape = tuple[int, ...]


def dumps(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The bytes of an uncompressed `.npz`: the same arrays give the same bytes, on any day and any system."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, array in arrays.items():
            little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, 0o644 << 16
            with file.open(entry, "w") as member:
                np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
    return archive.getvalue()


def load(
    path: str | os.PathLike[str], names: Iterable[str], check: Callable[[str, Shape], None]
) -> dict[str, npt.NDArray[Any]]:
    """Those of the arrays `names` that the archive holds; others in it are not looked at.

    Each array's header is read first, so an archive that would unpack to more than `MAX_BYTES` is refused unread.

    Args:
        check: called with the name and shape of each array before any is read; raises TraceError for one too large.

    Raises:
        TraceError: a file that is missing, no archive, or damaged, or arrays of objects. The text lacks the file's
            name.
    """
    with reading("a trace file (.npz)"), opened(path) as file:
        return load_from(file, names, check)


def load_from(
    file: BinaryIO, names: Iterable[str] | Callable[[set[str]], Iterable[str]], check: Callable[[str, Shape], None]
) -> dict[str, npt.NDArray[Any]]:
    """As `load`, from a stream; `names` may be chosen among those that are there. Raises whatever zipfile raises."""
    with zipfile.ZipFile(file) as archive:
        there = {name.removesuffix(".npy") for name in archive.namelist()}
        members = {name: f"{name}.npy" for name in (names(there) if callable(names) else names) if name in there}
        left = MAX_BYTES
        for name, member in members.items():
            with archive.open(member) as stream:
                shape, size = header(stream, name)
            check(name, shape)
            left -= size
            if left < 0:
                raise TraceError(f"its arrays would take more than {MAX_BYTES:,} bytes; save fewer steps")
        arrays = {}
        for name, member in members.items():
            with archive.open(member) as stream:
                arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
            _check_characters(name, arrays[name])
            arrays[name].setflags(write=False)
        return arrays


@contextmanager
def reading(what: str) -> Iterator[None]:
    """A context in which a file is read: whatever goes wrong becomes a TraceError of one line, without its name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, of headers that are odd and yet are read
            yield
    except TraceError:
        raise
    except FileNotFoundError as error:
        raise TraceError(absent(error.filename or "")) from None
    except OSError as error:
        raise TraceError(f"cannot be read ({error.strerror or error}); name {what}") from error
    except zipfile.BadZipFile as error:
        raise TraceError(f"is not {what}, or is cut off; save the trace again") from error
    except Exception as error:  # damaged members make zlib, zipfile and numpy raise nearly anything
        raise TraceError(f"is damaged ({error}); save the trace again") from error


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """The file, opened; the bytes of a pipe, which cannot be read from its end as an archive is."""
    with open(spelled(path), "rb") as file:  # noqa: PTH123
        if file.seekable():
            yield file
            return
        data = file.read(2 * MAX_BYTES + 1)
        if len(data) > 2 * MAX_BYTES:
            raise TraceError(f"gives more than {2 * MAX_BYTES:,} bytes, too many for a trace")
        yield io.BytesIO(data)


def header(stream: IO[bytes], name: str) -> tuple[Shape, int]:
    """The shape of an array, and how many bytes it takes, by the header at the beginning of its stream."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise TraceError(f"{name!r} is not a plain array; save numbers or unicode text")
    if dtype.hasobject:
        raise TraceError(f"{name!r} holds Python objects, which are not safe to read; save numbers or unicode text")
    if min(shape, default=0) < 0:  # numpy 2.0 reads such an array, as if it were another
        raise TraceError(f"{name!r} has the shape {shape}, so the file is damaged; save it again")
    return shape, math.prod(shape) * dtype.itemsize


def _check_characters(name: str, array: npt.NDArray[Any]) -> None:
    """Raises TraceError for text with numbers in it that are no characters: Python cannot even print them."""
    if array.dtype.kind != "U" or not array.dtype.itemsize:
        return
    native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)).reshape(-1)
    if native.size and int(native.view(np.uint32).max()) > LAST_CHARACTER:
        raise TraceError(f"{name!r} holds numbers that are no characters; save the trace again")
