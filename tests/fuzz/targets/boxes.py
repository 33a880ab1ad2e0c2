"""The file of `--boxes`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np

from fuzz import mutate
from fuzz.target import Target

CAPTIONS = b'[{"tokens": ["a", "dog"], "phrases": [[0, 2, "7", ["animals"]]]}]'
LINE = b'{"image": "photo.png", "captions": %s, "boxes": {"7": [[0.1, 0.2, 0.5, 0.9]]}}\n' % CAPTIONS


def seeds(folder: Path) -> Sequence[bytes]:
    return [
        b'{"photo.png": {"dog": [[0.12, 0.4, 0.55, 0.93]], "a": [[0, 0, 1, 1], [0.2, 0.2, 0.3, 0.3]]}}',
        b'{"photo.png": [[0.12, 0.4, 0.55, 0.93]], "other.jpg": {"cat": [[0, 0, 0.5, 1]]}}',
        LINE,
        LINE + LINE.replace(b"photo", b"other"),
    ]


def read(path: Path) -> None:
    from attnviz.cli.boxes import boxes_of
    from attnviz.photo.image import Photo

    for named in boxes_of(str(path), [Photo(np.zeros((12, 16, 3), np.uint8), "photo.png", None)]):
        for corners in named.values():
            assert np.isfinite(np.asarray(corners, float)).all()


def damaged(random: Random, data: bytes) -> bytes:
    return (mutate.json_lines if data.startswith(LINE[:9]) else mutate.json_tree)(random, data)


TARGET = Target(".json", seeds, read, damaged)
