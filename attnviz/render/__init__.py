"""Drawing: a trace and its photo become files. Needs no network and no torch."""

from __future__ import annotations

from attnviz.render.drawing import draw, write
from attnviz.render.options import DrawOptions
from attnviz.render.writers import WRITERS

__all__ = ["WRITERS", "DrawOptions", "draw", "write"]
