"""SPLIT.zip, beside a sound list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fuzz.target import Target
from fuzz.targets import split


def seeds(folder: Path) -> Sequence[bytes]:
    (lines, _) = split.seeds(folder)
    (folder / "lines.jsonl").write_bytes(lines)
    return [(folder / "photos.zip").read_bytes()]


def read(path: Path) -> None:
    from attnviz.data import Split

    path.with_suffix(".jsonl").write_bytes((path.parent / "lines.jsonl").read_bytes())
    try:
        split.use(Split(path))
    finally:
        path.with_suffix(".jsonl").unlink()


TARGET = Target(".zip", seeds, read)
