"""Boxes: where the words look, as COCO-style JSON, and in the fields of FiftyOne's detections."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

from attnviz._version import __version__
from attnviz.render.writers.base import Job
from attnviz.trace.regions import regions_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnviz.render.pictures import Pictures

SHARE = 0.5


def jobs(pictures: Pictures) -> Iterator[Job]:
    """`boxes.json`."""
    yield Job("boxes.json", lambda stream: write(pictures, stream))


def write(pictures: Pictures, stream: BinaryIO) -> None:
    """Writes the boxes of the regions that hold half of each drawn word's weight, in pixels of the photo."""
    text = json.dumps(contents(pictures), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    stream.write(text.encode("utf-8", "backslashreplace"))


def contents(pictures: Pictures) -> dict[str, Any]:
    """JSON-ready: COCO's images, categories (the words) and annotations with scores; and `detections` with FiftyOne's
    label, bounding_box ([x, y, w, h] as shares of the photo's width and height) and confidence.
    """
    trace, frame = pictures.trace, pictures.frame
    height, width = frame.photo
    words = {trace.tokens[step].strip(): 0 for step in pictures.steps}
    categories = {word: number for number, word in enumerate(words, 1)}
    annotations: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for step in pictures.steps:
        word = trace.tokens[step].strip()
        for region in regions_of(trace.weights[step], frame, SHARE):
            x, y, wide, high = region.xywh
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 1,
                    "category_id": categories[word],
                    "bbox": [x, y, wide, high],
                    "area": region.area,
                    "iscrowd": 0,
                    "score": region.score,
                    "step": step,
                }
            )
            relative = [x / width, y / height, wide / width, high / height]
            detections.append({"label": word, "bounding_box": relative, "confidence": region.score, "step": step})
    return {
        "info": {
            "description": f"where the words look: regions that hold {SHARE:.0%} of each word's weight",
            "caption": trace.caption,
            "relative": pictures.options.relative,
            "attnviz": __version__,
        },
        "images": [{"id": 1, "file_name": pictures.name, "width": width, "height": height}],
        "categories": [{"id": number, "name": word} for word, number in categories.items()],
        "annotations": annotations,
        "detections": detections,
    }
