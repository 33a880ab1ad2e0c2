"""Formats by name."""

from __future__ import annotations

from attnviz.render.writers import gif, png
from attnviz.render.writers.base import Job, Writer

__all__ = ["WRITERS", "Job", "Writer"]

WRITERS: dict[str, Writer] = {
    "png": Writer("a picture for each step", png.jobs),
    "gif": Writer("an animation that opens everywhere", gif.jobs),
}
