"""SPLIT.jsonl, beside a sound zip."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from fuzz import mutate
from fuzz.target import Target

RECORDS = [
    {
        "image": name,
        "width": 16,
        "height": 12,
        "captions": [{"tokens": ["A", "brown", "dog", "."], "phrases": [[0, 3, "7", ["animals"]]]}] * 2,
        "boxes": {"7": [[0.12, 0.4, 0.55, 0.93]], "8": []},
        "objects": ["dog", "frisbee"],
        "references": ["A brown dog ."],
    }
    for name in ("park.png", "caf\u00e9.png")
]


def seeds(folder: Path) -> Sequence[bytes]:
    make_zip(folder / "photos.zip")
    plain = {"image": "park.png", "captions": [{"tokens": ["a", "dog"]}]}
    return ["".join(json.dumps(record) + "\n" for record in records).encode() for records in (RECORDS, [plain])]


def make_zip(path: Path) -> None:
    import io

    from PIL import Image

    with zipfile.ZipFile(path, "w") as archive:
        for record in RECORDS:
            stream = io.BytesIO()
            Image.new("RGB", (16, 12), "red").save(stream, "PNG")
            archive.writestr(str(record["image"]), stream.getvalue())


def read(path: Path) -> None:
    from attnviz.data import Split

    path.with_suffix(".zip").write_bytes((path.parent / "photos.zip").read_bytes())
    try:
        use(Split(path))
    finally:
        path.with_suffix(".zip").unlink()


def use(split: object) -> None:
    """As training and measuring do."""
    from attnviz.data import Split

    assert isinstance(split, Split)
    for record, photo in zip(split, split.photos(), strict=True):
        assert photo.size == (12, 16)
        for caption in record.captions:
            " ".join(caption.words)
            for phrase in caption.phrases:
                assert caption.words[phrase.start : phrase.end]
                record.boxes.get(phrase.chain)
        " ".join(record.objects)


TARGET = Target(".jsonl", seeds, read, mutate.json_lines)
