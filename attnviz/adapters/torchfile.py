"""Opens what `torch.save` wrote, whole modules too, with no torch and nothing run: shells, and tensors read when asked.

Both containers: the zip of torch 1.6 and later (`data.pkl`, and a member for each storage) and the one before it (five
pickles, then the storages one after the other). Storages are found by seeking; one that nobody asks for, such as an
optimiser's state, is never read.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from attnviz.adapters.pickles import MALFORMED, Name, Reader
from attnviz.adapters.tensors import ANSWERS, BFLOAT, Storage, Tensor, known, persistent
from attnviz.errors import ModelError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""What the older container begins with."""

LOCAL_HEADER = 30
"""Bytes before the name of a zip's member, with the lengths of name and extra field at 26 and 28."""


@dataclass
class TorchFile:
    """What `opened` gives: the saved object, and its tensors' numbers on demand.

    Attributes:
        root: dicts, lists, `Shell`s and `Tensor`s.
        read_bytes: how many bytes of storages were read.
    """

    root: Any
    file: BinaryIO
    places: Mapping[str, tuple[int, int]]
    order: str
    checks: Mapping[str, int] = field(default_factory=dict)
    read_bytes: int = 0

    def read(self, tensor: Tensor) -> np.ndarray:
        """The tensor's numbers, contiguous: float32 for all floating-point types, else int64.

        Raises:
            ModelError: when the file is damaged there.
        """
        storage, span = tensor.storage, tensor.span
        place, size = self.places[storage.key]
        self.file.seek(place + tensor.offset * storage.width)
        data = self.file.read(span * storage.width)
        self.read_bytes += len(data)
        if len(data) < span * storage.width:
            raise ModelError("is cut off; copy or download it again")
        whole = tensor.offset == 0 and len(data) == size
        if whole and self.checks.get(storage.key, 0) not in (
            0,
            zlib.crc32(data),
        ):  # torch writes 0 where it does not count
            raise ModelError("is damaged: the check sum of its numbers is another; copy or download it again")
        if storage.type == BFLOAT:  # the upper half of a float32
            numbers = (np.frombuffer(data, f"{self.order}u2").astype(np.uint32) << 16).view(np.float32)
        else:
            numbers = np.frombuffer(data, f"{self.order}{np.dtype(storage.type).str[1:]}")
        steps = [step * numbers.itemsize for step in tensor.stride]
        shaped = np.lib.stride_tricks.as_strided(numbers, tensor.shape, steps, writeable=False)
        return np.asarray(shaped, np.float32 if numbers.dtype.kind == "f" else np.int64, order="C")


@contextmanager
def opened(path: str | Path, is_shell: Callable[[Name], bool]) -> Iterator[TorchFile]:
    """Opens a checkpoint, its numbers unread.

    Args:
        is_shell: which classes may be in it, as empty shells.

    Raises:
        ModelError: for a file that is missing, damaged, no checkpoint of torch, or that asks for anything else.
    """
    with ExitStack() as files:
        try:
            file = files.enter_context(Path(path).open("rb"))
            with named(path):
                found = _open(file, is_shell)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
        yield found


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """What goes wrong within is told of the file."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _refuse(name: str, *_: Any) -> Any:
    raise ModelError(f"it calls {name}, which no checkpoint does")


def _open(file: BinaryIO, is_shell: Callable[[Name], bool]) -> TorchFile:
    start = file.read(512)
    file.seek(0)
    if start.startswith(b"PK\x03\x04"):
        return _open_zip(file, is_shell)
    if start[257:262] == b"ustar":
        raise ModelError("is in the format of torch 0.1, a tar; load and save it with torch 0.4 first")
    if start.lstrip()[:1] == b"<":
        raise ModelError("is a web page, not a checkpoint; download the file itself")
    if not start.startswith(b"\x80"):
        raise ModelError("is no checkpoint of torch" if start else "is empty; copy or download it again")
    return _open_legacy(file, is_shell)


def _open_zip(file: BinaryIO, is_shell: Callable[[Name], bool]) -> TorchFile:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {one.filename: one for one in archive.infolist()}
    except (zipfile.BadZipFile, *MALFORMED, struct.error, NotImplementedError) as error:
        raise ModelError("is cut off or damaged; copy or download it again") from error
    lists = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(lists) != 1 or f"{lists[0][:-8]}constants.pkl" in members:
        raise ModelError("is a zip, but no checkpoint of torch that holds Python's own modules")
    root = lists[0].removesuffix("data.pkl")
    places = {name.removeprefix(root): _member(file, one) for name, one in members.items()}
    order = "<"
    if "byteorder" in places:
        place, size = places["byteorder"]
        file.seek(place)
        order = ">" if file.read(min(size, 3)) == b"big" else "<"
    storages: dict[str, Storage] = {}
    place, size = places["data.pkl"]
    file.seek(place)
    # What follows is another member, whose header would be read as instructions too.
    saved = Reader(ANSWERS, partial(known, is_shell), partial(persistent, storages)).read(file, size)
    checks = {key: members[f"{root}data/{key}"].CRC for key in storages if f"{root}data/{key}" in members}
    found = {key: places.get(f"data/{key}", (0, -1)) for key in storages}
    for key, storage in storages.items():
        if found[key][1] < storage.count * storage.width:
            raise ModelError(f"lacks numbers of its storage {key}: it is cut off or damaged; copy or download it again")
    return TorchFile(saved, file, found, order, checks)


def _member(file: BinaryIO, member: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the bytes of a zip's member begin, and how many there are."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 or member.file_size != member.compress_size:
        raise ModelError("is a zip whose members are compressed, as torch never writes them; save it with torch again")
    file.seek(member.header_offset)
    header = file.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER or not header.startswith(b"PK\x03\x04"):
        raise ModelError("is cut off or damaged; copy or download it again")
    place = member.header_offset + LOCAL_HEADER + sum(struct.unpack("<HH", header[26:30]))
    if place + member.file_size > file.seek(0, os.SEEK_END):
        raise ModelError("is cut off; copy or download it again")
    return place, member.file_size


def _open_legacy(file: BinaryIO, is_shell: Callable[[Name], bool]) -> TorchFile:
    storages: dict[str, Storage] = {}
    plain = Reader({}, lambda name: False, partial(_refuse, "a storage"))
    if plain.read(file) != MAGIC:
        raise ModelError("is a pickle, but no checkpoint of torch; save it with torch.save")
    if plain.read(file) != PROTOCOL:
        raise ModelError("is a checkpoint of a torch that nobody has")
    system = plain.read(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ModelError("was written on a machine with another order of bytes; save it with a later torch")
    saved = Reader(ANSWERS, partial(known, is_shell), partial(persistent, storages)).read(file)
    keys = plain.read(file)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(storages):
        raise ModelError("is damaged: its list of storages is another; copy or download it again")
    place = file.tell()
    end, places = file.seek(0, os.SEEK_END), {}
    for key in keys:
        file.seek(place)
        written = file.read(8)  # how many numbers follow; an end before it reads as none
        size = storages[key].count * storages[key].width
        if len(written) < 8 or place + 8 + size > end:
            raise ModelError("is cut off; copy or download it again")
        if struct.unpack("<q", written)[0] != storages[key].count:
            raise ModelError(f"is damaged: its storage {key:.40} is of another size; copy or download it again")
        places[key] = (place + 8, size)
        place += 8 + size
    return TorchFile(saved, file, places, "<")
