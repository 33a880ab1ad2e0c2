"""Flickr8k's captions and lists, and the sentences and boxes of Flickr30k Entities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

from fuzz import mutate
from fuzz.target import Target

CAPTIONS = b"1000_a.jpg#0\tA child runs .\n1000_a.jpg#1\tThe dog\n1001_b.jpg#0\tA cat\n"
LIST = b"1000_a.jpg\n1001_b.jpg\n"
SENTENCES = b"[/EN#18/people A child] runs with [/EN#19/animals/other the brown dog] .\nA child [/EN#0/notvisual it]\n"
XML = b"""<annotation><filename>1000.jpg</filename><size><width>500</width><height>375</height><depth>3</depth></size>
<object><name>18</name><name>20</name><bndbox><xmin>1</xmin><ymin>20</ymin><xmax>300</xmax><ymax>370</ymax></bndbox></object>
<object><name>19</name><scene>1</scene></object></annotation>
"""
BOMB = b"""<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]>
<annotation><size><width>&c;</width></size></annotation>"""


def seeds(folder: Path) -> Sequence[bytes]:
    return [CAPTIONS, LIST, SENTENCES, XML, XML, BOMB]


def read(path: Path) -> None:
    from attnviz.data import flickr
    from attnviz.data.writing import read_names, read_text

    data = path.read_bytes()
    if b"<" in data[:200]:
        flickr.read_boxes(path)
    elif b"EN#" in data:
        for line in read_text(path).splitlines():
            flickr.read_sentence(line)
    elif b"\t" in data:
        flickr.read_captions(path)
    else:
        read_names(path)


def damaged(random: Random, data: bytes) -> bytes:
    return mutate.text(random, data)


TARGET = Target(".txt", seeds, read, damaged)
