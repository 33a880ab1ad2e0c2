"""COCO's annotations: sentences, and things in photos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fuzz import mutate
from fuzz.target import Target

IMAGES = [{"id": number, "file_name": f"{number:012}.jpg", "height": 12, "width": 16} for number in (9, 25)]
CAPTIONS = [{"id": 1, "image_id": 9, "caption": "A dog's ball."}, {"id": 2, "image_id": 25, "caption": "Two cats "}]
THINGS = [{"id": 1, "image_id": 9, "category_id": 18, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 3]]}]


def seeds(folder: Path) -> Sequence[bytes]:
    told = {"info": {}, "images": IMAGES, "annotations": CAPTIONS}
    seen = {
        "images": IMAGES,
        "annotations": THINGS,
        "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}],
    }
    return [json.dumps(one).encode() for one in (told, seen)]


def read(path: Path) -> None:
    from attnviz.data.coco import make_lines

    as_captions = b'"caption"' in path.read_bytes()
    made = make_lines({"train": 1}, path if as_captions else None, None if as_captions else path)
    json.dumps(made)


TARGET = Target(".json", seeds, read, mutate.json_tree)
