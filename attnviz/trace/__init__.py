"""The waist of the hourglass: left of a `Trace` are networks, right of it one image and plain numpy arrays.

trace.py (Trace, Step) and their files; meta.py, the JSON text in such a file; npz.py, NumPy's archives, bounded;
notes.py, what should be known before the pictures are believed.
"""

from __future__ import annotations

from attnviz.trace.meta import ImageInfo
from attnviz.trace.trace import Step, Trace

__all__ = ["ImageInfo", "Step", "Trace"]
