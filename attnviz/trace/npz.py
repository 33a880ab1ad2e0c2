"""NumPy's `.npz` archives, read with bounds and written with the same bytes each time. Nothing is ever unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnviz.errors import TraceError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

MAX_BYTES = 2**30  # of all arrays together: 60 steps of 2,000 x 2,000 cells
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold
_UNIX = 3


def dumps(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The bytes of an uncompressed `.npz`: the same arrays give the same bytes, on any day and any system."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, array in arrays.items():
            member = io.BytesIO()
            little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, 0o644 << 16
            file.writestr(entry, member.getvalue())
    return archive.getvalue()


def load(path: str | os.PathLike[str], names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Those of the arrays `names` that the archive holds; others in it are not looked at.

    Each array's header is read first, so an archive that would unpack to more than `MAX_BYTES` is refused unread.

    Raises:
        TraceError: a file that is missing, no archive, or damaged, or arrays of objects. The text lacks the file's
            name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: f"{name}.npy" for name in names if f"{name}.npy" in archive.namelist()}
            left = MAX_BYTES
            for name, member in members.items():
                with archive.open(member) as stream:
                    left -= _array_bytes(stream, name)
                if left < 0:
                    raise TraceError(f"its arrays would take more than {MAX_BYTES:,} bytes; save fewer steps")
            arrays = {}
            for name, member in members.items():
                with archive.open(member) as stream:
                    arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
            return arrays
    except TraceError:
        raise
    except FileNotFoundError:
        raise TraceError("no such file; check the name and the folder") from None
    except OSError as error:
        raise TraceError(f"cannot be read ({error.strerror or error}); name a trace file (.npz)") from error
    except zipfile.BadZipFile as error:
        raise TraceError("is not a trace file (.npz), or is cut off; save the trace again") from error
    except Exception as error:  # damaged members make zlib, zipfile and numpy raise nearly anything
        raise TraceError(f"is damaged ({error}); save the trace again") from error


def _array_bytes(stream: IO[bytes], name: str) -> int:
    """How many bytes an array takes, by the header at the beginning of its stream."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise TraceError(f"{name!r} is not a plain array; save numbers or unicode text")
    if dtype.hasobject:
        raise TraceError(f"{name!r} holds Python objects, which are not safe to read; save numbers or unicode text")
    return math.prod(shape) * dtype.itemsize
