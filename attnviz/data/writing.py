"""Writes training splits, SPLIT.zip and SPLIT.jsonl as `attnviz guide training` says; `attnviz.data` reads them."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from attnviz.errors import DataError, one_line
from attnviz.files import absent, is_file, is_folder, spelled, unfit, write_atomically
from attnviz.photo import image

SIDE = 224
"""Photos are squeezed to SIDE x SIDE pixels, whatever their shape: the input of the networks trained on them."""

QUALITY = 90
"""Of the JPEGs."""

STAMP = (2026, 1, 1, 0, 0, 0)
"""Date of every file in the zip, so that the same photos make the same bytes."""

Progress = Callable[[int, int], None]


def named(pairs: Iterable[str], form: str) -> Iterator[tuple[str, str]]:
    """`train=FILE` -> (train, FILE).

    Args:
        pairs: as given.
        form: how they should look, for messages.

    Raises:
        DataError: for another form, and for a name that comes twice.
    """
    seen = set()
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (equals and value and re.fullmatch(r"[\w-]+", name)):
            raise DataError(f"{pair}: not of the form {form}")
        if name in seen:
            raise DataError(f"{pair}: {name} is given twice; give each split a name of its own")
        seen.add(name)
        yield name, value


def read_names(path: Path) -> list[str]:
    """The photos that a file lists, one a line, each once. Raises DataError where it lists none."""
    wanted = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not wanted:
        raise DataError(f"{path}: names no photo; write one name a line")
    return list(dict.fromkeys(wanted))


def read_text(path: Path) -> str:
    """Raises DataError for a file that is missing or no text."""
    try:
        return spelled(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: {absent(path)}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not a text file in UTF-8") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def check_photos(images: Path, names: Iterable[str]) -> None:
    """Raises DataError when the folder is missing or lacks a photo: better now than after an hour."""
    if not is_folder(images):
        raise DataError(f"{images}: {absent(images, 'folder', 'give the one that holds the photos')}")
    names = list(names)
    for name in names:
        if unfit(name) or Path(name).is_absolute() or ".." in Path(name).parts or not one_line(name) == name:
            raise DataError(f"{images}: a photo cannot be called {name!r}; give names of files in the folder")
    if missing := [name for name in names if not is_file(spelled(images / name))]:
        raise DataError(f"{images}: lacks {len(missing)} of the photos, {missing[0]} first; unpack the download there")


def write_split(
    images: Path, out: Path, lines: Mapping[str, Mapping[str, Any]], progress: Progress | None = None
) -> None:
    """Writes OUT.zip and OUT.jsonl.

    Args:
        images: folder of the photos.
        out: where the split goes, without suffix.
        lines: photo name -> what its line says beside name, width and height.
        progress: called with (photos done, photos in all).

    Raises:
        ImageError: for a photo that is missing or damaged.
        OutputError: when the split cannot be written.
    """
    records, archive, pool = [], io.BytesIO(), ThreadPoolExecutor()  # Pillow decodes and encodes outside Python's lock
    try:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as photos:
            squeezed = pool.map(_squeezed, (spelled(images / name) for name in lines))
            for (name, line), (content, (height, width)) in zip(lines.items(), squeezed, strict=True):
                photos.writestr(zipfile.ZipInfo(name, STAMP), content)
                record = {"image": name, "width": width, "height": height, **line}
                records.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False))
                if progress:
                    progress(len(records), len(lines))
    finally:
        pool.shutdown(cancel_futures=True)
    # The photos first: a list without its photos would look whole.
    write_atomically(out.with_name(f"{out.name}.zip"), archive.getvalue())
    write_atomically(out.with_name(f"{out.name}.jsonl"), ("\n".join(records) + "\n").encode())


def _squeezed(path: Path) -> tuple[bytes, tuple[int, int]]:
    """The JPEG that goes into the zip, and the original's (H, W)."""
    photo, stream = image.load(path), io.BytesIO()
    Image.fromarray(photo.pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue(), photo.size
