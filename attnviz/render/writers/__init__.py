"""Formats by name."""

from __future__ import annotations

from attnviz.render.writers import apng, arrays, gif, html, mp4, png, webp
from attnviz.render.writers.base import Job, Writer

__all__ = ["WRITERS", "Job", "Writer"]

WRITERS: dict[str, Writer] = {
    "png": Writer("a picture for each step", png.jobs),
    "gif": Writer("an animation that opens everywhere", gif.jobs),
    "apng": Writer("an animation in full colour", apng.jobs),
    "webp": Writer("a small animation in full colour", webp.jobs, webp.require),
    "mp4": Writer("a video, for slides (needs the extra 'video')", mp4.jobs, mp4.require),
    "html": Writer("a page to explore, in one file", html.jobs),
    "arrays": Writer("the heatmaps as numbers, for numpy", arrays.jobs),
}
