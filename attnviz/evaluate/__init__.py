"""Measuring a model: how good its captions are, and whether it looks where the words are.

report.py conducts it and has the record of all figures; captions.py is BLEU, objects.py whether captions name what is
there; reading.py has words read over photos, localization.py counts what given captions reach, regions.py makes regions
and boxes of their maps, alone.py is the protocol of phrase-grounding models, grounded.py looks at the network's own
captions; figures.py has means with intervals, by category and beside chance.

Evidence over many photos: evidence.py conducts it and kept.py keeps each photo's numbers, averages.py makes means of
them, focus.py says whether focused maps are those of right words.
"""

from __future__ import annotations

from attnviz.evaluate.averages import Average, average
from attnviz.evaluate.evidence import measure
from attnviz.evaluate.figures import Figure
from attnviz.evaluate.report import Report, evaluate

__all__ = ["Average", "Figure", "Report", "average", "evaluate", "measure"]
