"""Where a photo's results go: a folder of its own, whatever the photo is called and whatever stands beside it.

`trip/a.jpg` goes to `trip/a.jpg-attention`: the suffix stays, so `a.jpg` and `a.png` never meet. Names that are not
safe on every system are mended, and get a few digits of their own hash, so that two names never become one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from attnviz.files import NAME_BYTES, composed, hashed

ENDING = "-attention"
# What a name may not hold or be on one system or another: separators and wildcards, controls, bytes that are no text,
# a leading dash (an option) or blank, a blank or dot at the end, and the names of devices.
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^[-\s]|[.\s]$')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.DOTALL)


def result_folders(paths: Iterable[str]) -> dict[str, str]:
    """Photo -> folder of its results, both relative and with "/" between the parts.

    Where names differ only in case or in their Unicode form, which not every file system tells apart, only the one
    that is in lower case and composed stays as it is; the others get digits of their hash.
    """
    paths = list(paths)
    apart = set_apart(paths)
    return {path: apart.get(path) or result_folder(path) for path in paths}


def result_folder(path: str) -> str:
    """The folder of a photo whose name is like no other's."""
    return "/".join(_safe_parts(path))


def set_apart(paths: Sequence[str]) -> dict[str, str]:
    """The folders of those photos whose names are like another's, but for the one that keeps its own."""
    import numpy as np

    marks = np.fromiter((_mark(result_folder(path)) for path in paths), np.uint64, len(paths))
    marks.sort()
    again = set(marks[1:][marks[1:] == marks[:-1]].tolist())
    if not again:
        return {}
    plain = ((path, result_folder(path)) for path in paths)
    return {path: _hashed(folder, path) for path, folder in plain if _mark(folder) in again and folder != _key(folder)}


def _mark(folder: str) -> int:
    """What is the same for two folders that are alike: a few bytes, since there may be millions."""
    digest = hashlib.blake2b(_key(folder).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _safe_parts(path: str) -> Iterable[str]:
    *folders, name = path.split("/")
    for folder in folders:
        yield _safe(folder, "")
    yield _safe(name, ENDING)


def _safe(name: str, ending: str) -> str:
    mended = _UNSAFE.sub("_", name)
    if _DEVICE.fullmatch(mended):
        mended = f"_{mended}"
    if mended == name and len(f"{name}{ending}".encode()) <= NAME_BYTES:
        return name + ending
    return _hashed(mended + ending, name)


def _hashed(folder: str, of: str) -> str:
    """The folder with digits of a hash in the last part of its name, which is cut where it would be too long."""
    above, slash, name = folder.rpartition("/")
    ending = ENDING if name.endswith(ENDING) else ""
    return f"{above}{slash}{hashed(name.removesuffix(ending), ending, of)}"


def _key(path: str) -> str:
    return composed(composed(path).casefold())
