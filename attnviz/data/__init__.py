"""Data to train on and to measure with.

splits.py reads SPLIT.zip and SPLIT.jsonl, writing.py writes them, flickr.py and coco.py make them of downloads,
table.py of photos and a table of captions; words.py says what counts as a word, things.py what people call COCO's
objects, regions.py what boxes cover of a grid.
"""

from __future__ import annotations

from attnviz.data.splits import Caption, Phrase, Record, Split

__all__ = ["Caption", "Phrase", "Record", "Split"]
