"""Makes training splits (see `attnviz.data`) from the public downloads of Flickr8k and Flickr30k Entities.

Flickr8k: Hodosh et al. 2013; `Flickr8k.token.txt` holds lines `NAME.jpg#0<tab>caption`, and the files of a split list
one photo name a line. Flickr30k Entities, version 1: Plummer et al. 2015; `Sentences/ID.txt` holds five captions, words
apart, with phrases such as `[/EN#18/people A child]`, and `Annotations/ID.xml` the boxes of each thing, in pixels.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from attnviz.data.writing import Progress, check_photos, read_names, read_text, write_split
from attnviz.errors import DataError, counted
from attnviz.files import is_file

PHRASE = re.compile(r"\[/EN#(\d+)((?:/[^/\s\]]+)+) ([^\]]+)\]")


def make_split(
    images: Path, captions: Path, names: Path, out: Path, entities: Path | None = None, progress: Progress | None = None
) -> int:
    """Writes OUT.zip and OUT.jsonl.

    Args:
        images: folder of the photos.
        captions: Flickr8k.token.txt.
        names: the split's list, such as Flickr_8k.trainImages.txt.
        out: where the split goes, without suffix.
        entities: folder with Sentences/ and Annotations/; a photo that it lacks, or all without it, get the plain
            captions, without phrases and boxes.
        progress: called with (photos done, photos in all).

    Returns:
        How many photos have phrases.

    Raises:
        DataError: for a file that is missing or not of this format, and for missing photos; the message names it.
        ImageError: for a photo that is damaged.
        OutputError: when the split cannot be written.
    """
    references, wanted = read_captions(captions), read_names(names)
    if missing := [name for name in wanted if name not in references]:
        raise DataError(
            f"{captions}: lacks captions of {counted(len(missing), 'photo')} that {names.name} lists, "
            f"{missing[0]} first"
        )
    check_photos(images, wanted)
    lines, grounded = {}, 0
    for name in wanted:
        found = read_entities(entities, name.split("_")[0].split(".")[0]) if entities else None
        grounded += found is not None
        plain = {"captions": [{"tokens": text.split(), "phrases": []} for text in references[name]], "boxes": {}}
        lines[name] = {**(found or plain), "references": references[name]}
    write_split(images, out, lines, progress)
    return grounded


def read_captions(path: Path) -> dict[str, list[str]]:
    """Photo name -> its captions, in order. Raises DataError for a line that is not `NAME#NUMBER<tab>caption`."""
    found: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        head, tab, caption = line.partition("\t")
        name, mark, _ = head.rpartition("#")
        if not (tab and mark):
            raise DataError(f"{path}, line {number}: not of the form NAME.jpg#0<tab>caption")
        found[name].append(caption.strip())
    return dict(found)


def read_entities(folder: Path, photo: str) -> dict[str, Any] | None:
    """The captions with phrases and the boxes of one photo, as they stand in a split; None where the folder lacks it.

    Raises:
        DataError: for a file that is not of this format.
    """
    sentences, annotation = folder / "Sentences" / f"{photo}.txt", folder / "Annotations" / f"{photo}.xml"
    if not (is_file(sentences) and is_file(annotation)):
        return None
    captions = [read_sentence(line) for line in read_text(sentences).splitlines() if line.strip()]
    return {"captions": captions, "boxes": read_boxes(annotation)}


def read_sentence(line: str) -> dict[str, Any]:
    """`[/EN#18/people A child] runs` -> tokens, and phrases [start, end, chain, types]."""
    tokens: list[str] = []
    phrases = []
    position = 0
    for match in PHRASE.finditer(line):
        tokens += line[position : match.start()].split()
        words = match[3].split()
        phrases.append([len(tokens), len(tokens) + len(words), match[1], match[2].strip("/").split("/")])
        tokens += words
        position = match.end()
    return {"tokens": tokens + line[position:].split(), "phrases": phrases}


def read_boxes(path: Path) -> Mapping[str, list[list[float]]]:
    """Chain -> [x0, y0, x1, y1] of each of its boxes, as fractions of width and height.

    Raises:
        DataError: for a file that is no annotation.
    """
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    try:
        root = ElementTree.fromstring(read_text(path))
        width, height = (_number(root, f"size/{side}") for side in ("width", "height"))
        for thing in root.iter("object"):
            if (corners := thing.find("bndbox")) is None:
                continue  # a scene, or something that cannot be seen
            x0, y0, x1, y1 = (_number(corners, corner) for corner in ("xmin", "ymin", "xmax", "ymax"))
            box = [round(value, 5) for value in (x0 / width, y0 / height, x1 / width, y1 / height)]
            for chain in thing.iter("name"):
                boxes[str(chain.text)].append(box)
    except (ElementTree.ParseError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"{path}: not an annotation of Flickr30k Entities ({error})") from error
    return dict(boxes)


def _number(element: ElementTree.Element, path: str) -> float:
    text = element.findtext(path)
    value = math.nan if text is None else float(text)
    if not math.isfinite(value):
        raise ValueError(f"no {path}" if text is None else f"{path} is {text}")
    return value
