"""Formats by name."""

from __future__ import annotations

from attnviz.render.writers import apng, arrays, boxes, figures, gif, html, mp4, sheet, stills, webp
from attnviz.render.writers.base import Job, Writer

__all__ = ["WRITERS", "Job", "Writer"]

WRITERS: dict[str, Writer] = {
    "png": Writer("a picture for each step", stills.pngs),
    "gif": Writer("an animation that opens everywhere", gif.jobs),
    "overview": Writer("all words in one picture", sheet.jobs),
    "jpg": Writer("a JPEG for each step, smaller than PNG", stills.jpegs),
    "webp-stills": Writer("a WebP for each step, the smallest", stills.webps, stills.require),
    "apng": Writer("an animation in full colour", apng.jobs),
    "webp": Writer("a small animation in full colour", webp.jobs, webp.require),
    "mp4": Writer("a video, for slides (needs the extra 'video')", mp4.jobs, mp4.require),
    "html": Writer("a page to explore, in one file", html.jobs),
    "pdf": Writer("a figure for print", figures.pdfs),
    "svg": Writer("a figure to work on", figures.svgs),
    "boxes": Writer("boxes around half of each word's weight, as COCO-style JSON", boxes.jobs),
    "arrays": Writer("the heatmaps as numbers, for numpy", arrays.jobs),
}
