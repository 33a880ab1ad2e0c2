"""Where results go: one folder per photo, never two photos in one folder, never below a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attnviz.errors import OutputError
from attnviz.files import composed, fitting, is_folder, unfit

STDIN = "-"


def result_folders(images: Sequence[str], out: str | None) -> list[Path]:
    """The folder of each photo's results.

    One photo: `out` itself, or STEM-attention/ in the current folder. Several: STEM-attention/ of each, in `out` or the
    current folder. Photos of one stem keep their suffix (a.jpg-attention/, a.png-attention/), and those of one name get
    a number, in the order given (a.jpg-attention/, a.jpg-2-attention/). A name too long for a folder is cut, and gets
    digits of its hash. The file system may not tell upper from lower
    case, nor one Unicode form from another; neither do we.

    Raises:
        OutputError: when a file stands where a folder has to be.
    """
    if out is not None and not out.strip():
        raise OutputError("-o names no folder: it is empty; name one, or leave -o out")
    if out is not None and len(images) == 1:
        folders = [Path(out)]
    else:
        folders = [Path(out or ".") / fitting(name, "-attention") for name in _distinct(images)]
    for folder in folders:
        check_folder(folder)
    return folders


def check_folder(folder: Path) -> None:
    """Raises OutputError when `folder` cannot become a folder because it or one above it is a file."""
    if reason := unfit(folder):
        raise OutputError(f"{folder}: cannot be written: {reason}; choose another folder with -o")
    for path in (folder, *folder.parents):
        if is_folder(path):
            return
        if path.exists() or path.is_symlink():
            raise OutputError(f"{folder}: cannot be written: {path} is a file; choose another folder with -o")


def _distinct(images: Sequence[str]) -> list[str]:
    paths = [Path("stdin" if image == STDIN else image) for image in images]
    stems = [_key(path.stem) for path in paths]
    names = [path.name if stems.count(stem) > 1 else path.stem for path, stem in zip(paths, stems, strict=True)]
    plain, taken = {_key(name) for name in names}, set[str]()
    distinct = []
    for name in names:
        number, candidate = 1, name
        # A number must not make the name of another photo either: a, a, a-2 become a, a-3, a-2.
        while _key(candidate) in taken or (number > 1 and _key(candidate) in plain):
            number += 1
            candidate = f"{name}-{number}"
        taken.add(_key(candidate))
        distinct.append(candidate)
    return distinct


def _key(name: str) -> str:
    return composed(composed(name).casefold())
