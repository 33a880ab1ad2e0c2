"""The waist of the hourglass: left of a `Trace` are networks, right of it one image and plain numpy arrays.

trace.py (Trace and its file) over step.py (one step and its numbers); meta.py, the JSON text in such a file; npz.py,
NumPy's archives, bounded; arrays.py, what people hand over as checked arrays; words.py, from a tokenizer's pieces to
words; notes.py, what should be known before the pictures are believed.
"""

from __future__ import annotations

from attnviz.trace.meta import ImageInfo
from attnviz.trace.step import Step
from attnviz.trace.trace import Trace

__all__ = ["ImageInfo", "Step", "Trace"]
