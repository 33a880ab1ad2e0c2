"""Which photos a folder holds."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

from attnviz.batch.catalogue import ALIKE, NOTHING, PHOTO, Catalogue, Found, Photos
from attnviz.batch.listed import Listed
from attnviz.batch.names import ENDING
from attnviz.errors import ConfigError, DataError
from attnviz.files import absent, composed, is_folder
from attnviz.photo.kinds import LIKE_PHOTOS, SUFFIXES


class Present:
    """The paths of a folder, looked up when they are asked for."""

    def __init__(self, top: Path) -> None:
        self._top = top

    def __contains__(self, path: object) -> bool:
        return os.path.lexists(self._top / str(path))


def chosen(
    name: str, files: Iterable[Listed], glob: str | None, shard: tuple[int, int], present: Container[str] | None = None
) -> Found:
    """Those of the files that are asked for; the folders of their results are found over all of them.

    Args:
        name: of the source.
        files: all that it holds, in any order; of several with the same path the first one counts.
        present: as in `Found`; the paths of `files` by default.

    Raises:
        ConfigError: a pattern or shard that means nothing.
        DataError: none of them is a photo that is asked for.
    """
    wanted = matcher(glob) if glob is not None else is_image
    number, count = shard

    def kind(one: Listed) -> tuple[int, bool]:
        mine = count == 1 or part(one.path, count) == number
        if one.error is not None or wanted(one.path):
            return PHOTO, mine
        return ALIKE if glob is None and one.path.lower().endswith(LIKE_PHOTOS) else NOTHING, mine

    found = Catalogue(files, kind)
    if not found.any_photos:
        what = f"no file that matches {glob!r}" if glob is not None else f"no photos ({', '.join(SUFFIXES)})"
        others = found.paths(ALIKE, mine=False)
        what += f" but {by_suffix(others)}" if others else ""
        raise DataError(f"{name}: holds {what}; name another folder, or choose files with --glob")
    return Found(Photos(found), found.paths(ALIKE, mine=True), found if present is None else present)


def check_shard(shard: tuple[int, int]) -> None:
    """Raises ConfigError for (I, N) that is no part of a whole."""
    number, count = shard
    if not 1 <= number <= count:
        raise ConfigError(f"shard: {number}/{count} is no part of a whole; give I/N with I from 1 to N")


def find(folder: Path, out: Path, glob: str | None = None, shard: tuple[int, int] = (1, 1)) -> Found:
    """The photos below a folder.

    Hidden files and folders are left out, and so are `out` and folders of results. Links are followed, but no folder is
    read twice, so a link in a circle does no harm; a folder is called by its own path rather than by a link's. A link
    to nothing is listed: whoever made it should hear of it.

    Args:
        folder: where to look.
        out: the output folder, wherever it is.
        glob: which files to take, see `matcher`; by default those with the suffix of an image.
        shard: (I, N): only the I-th of N parts, by a hash of each photo's path.

    Raises:
        ConfigError: a pattern or shard that means nothing.
        DataError: no folder, or no photo in it.
    """
    if glob is not None:
        matcher(glob)
    check_shard(shard)
    if not is_folder(folder):
        if os.path.lexists(folder):
            raise DataError(f"{folder}: is a file, not a folder; name a folder of photos, or use 'attnviz render'")
        raise DataError(f"{folder}: {absent(folder, 'folder', 'name a folder of photos')}")
    if out.exists() and out.samefile(folder):
        raise ConfigError(
            f"{out}: is the folder of the photos; give another for the results, such as {out / 'results'}"
        )
    return chosen(str(folder), _files(folder, out), glob, shard, Present(folder))


def by_suffix(paths: Iterable[str]) -> str:
    """How many files there are of each suffix, such as "12 .nef, 1 .jxl"; the most come first."""
    counts = Counter(Path(path).suffix.lower() for path in paths)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())


def part(path: str, count: int) -> int:
    """Which of `count` parts a photo belongs to, from 1: by its path alone, so that others make no difference."""
    digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % count + 1


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a relative path matches a pattern.

    A pattern without "/" looks at the file's name, in every folder. * stands for any characters of a name, ** for any
    folders, ? for one character, [ab] for one of a few, {jpg,png} for one of several words. Letters with marks are the
    same in each of their Unicode forms.

    Raises:
        ConfigError: brackets without an end, or no pattern at all.
    """
    if not pattern or pattern.startswith("/") or "\0" in pattern:
        raise ConfigError(f"glob: {pattern!r} matches nothing in the folder; write a pattern such as '*.jpg'")
    if "/" not in pattern:
        pattern = "**/" + pattern
    try:
        expression = re.compile(_translate(composed(pattern)), re.DOTALL)
    except re.error as error:
        raise ConfigError(
            f"glob: {pattern!r} is no pattern ({error}); write one such as '2024/**/*.{{jpg,png}}'"
        ) from error
    return lambda path: expression.fullmatch(composed(path)) is not None


_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[(?P<not>!?)(?P<set>\]?[^\]]*)\]|[{},]|.", re.DOTALL)


def _translate(pattern: str) -> str:
    """The pattern as a regular expression."""
    simple = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}
    depth, parts = 0, []
    for match in _TOKEN.finditer(pattern):
        token = match[0]
        if match["set"] is not None:
            inside = match["set"].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            parts.append(f"[{'^/' if match['not'] else ''}{inside}]")
            continue
        if token == "[":
            raise re.error("a [ without ]")
        depth += (token == "{") - (token == "}")
        parts.append("|" if token == "," and depth > 0 else simple.get(token) or re.escape(token))
    if depth:
        raise re.error("a { without }" if depth > 0 else "a } without {")
    return "".join(parts)


def is_image(path: str) -> bool:
    """Whether a path has the suffix of an image."""
    return path.lower().endswith(SUFFIXES)


def _files(top: Path, out: Path) -> Iterator[Listed]:
    """All files that are not hidden, and the folders that cannot be read."""
    read = {_identity(top)}
    if out.is_dir():
        read.add(_identity(out))
    folders, links = [""], list[str]()
    while folders or links:
        if folders:
            inside = folders.pop()
        else:  # links last, so that a folder is found where it really is
            inside = min(links)
            links.remove(inside)
            if not _fresh(top / inside, read):
                continue
        try:
            for entry in _visible(top / inside):
                path = f"{inside}/{entry.name}" if inside else entry.name
                if _is_folder(entry):
                    if _is_result(Path(entry.path)):
                        continue
                    if entry.is_symlink():
                        links.append(path)
                    elif _fresh(Path(entry.path), read):
                        folders.append(path)
                elif _is_file(entry):
                    yield Listed(path)
        except OSError as error:
            if not inside:
                raise DataError(f"{top}: cannot be read: {error.strerror}; check its permissions") from error
            yield Listed(inside, error=f"cannot be read: {error.strerror}; check the folder's permissions")


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What is right in a folder and not hidden, one at a time: there may be millions."""
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether this is a file, or a link that leads to nothing: no pipe or device."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return True


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _fresh(path: Path, read: set[tuple[int, int]]) -> bool:
    """Whether a folder was not met before; from now on it was. One that cannot be looked at is: reading it says why."""
    try:
        identity = _identity(path)
    except OSError:
        return True
    if identity in read:
        return False
    read.add(identity)
    return True


def _is_result(path: Path) -> bool:
    """Whether attnviz filled this folder: its pictures are no photos."""
    return path.name.endswith(ENDING) and (path / "trace.npz").is_file()
