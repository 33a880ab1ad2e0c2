"""Where a photo's results go: a folder of its own, whatever the photo is called and whatever stands beside it.

`trip/a.jpg` goes to `trip/a.jpg-attention`: the suffix stays, so `a.jpg` and `a.png` never meet. Names that are not
safe on every system are mended, and get a few digits of their own hash, so that two names never become one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

from attnviz.files import NAME_BYTES, composed, hashed

ENDING = "-attention"
# What a name may not hold or be on one system or another: separators and wildcards, controls, bytes that are no text,
# a leading dash (an option) or blank, a blank or dot at the end, and the names of devices.
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^[-\s]|[.\s]$')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.DOTALL)


def result_folder(path: str) -> str:
    """The folder of a photo whose name is like no other's."""
    return "/".join(_safe_parts(path))


def mark(path: str) -> int:
    """What is the same for two photos whose folders some system takes for one: 64 bits, since there may be millions.

    Where names differ only in case or in their Unicode form, which not every file system tells apart, only the one
    that is in lower case and composed keeps its folder; the others get one by `apart`. So would a photo whose mark is
    another's by chance: that does no harm.
    """
    digest = hashlib.blake2b(_key(result_folder(path)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def apart(path: str) -> str | None:
    """The folder, with digits of its hash, of a photo whose mark is another's; None for the one that keeps its own."""
    folder = result_folder(path)
    return None if folder == _key(folder) else _hashed(folder, path)


def _safe_parts(path: str) -> Iterable[str]:
    *folders, name = path.split("/")
    for folder in folders:
        yield _safe_folder(folder)
    yield _safe(name, ENDING)


@lru_cache(1024)  # a folder holds many photos
def _safe_folder(name: str) -> str:
    return _safe(name, "")


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
