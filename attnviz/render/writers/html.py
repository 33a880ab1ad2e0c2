"""HTML: one page for a photo, with everything in it: it asks for nothing from outside, and works from a file.

The page holds the photo once and the weights of every trace, and paints the overlays itself: the JavaScript in the
folder `page` follows the same law as `geometry` and `heatmap`, and takes colours, strengths and scales from
here. The style "contour" has no page of its own and is shown as "heat".
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import zlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from attnviz._version import __version__
from attnviz.photo.frame import Frame
from attnviz.render.colorbar import GREY
from attnviz.render.compare import kind_of, names_of
from attnviz.render.heatmap import BOTTOM, SCALES, THRESHOLD, quantity, scales, scales_of_peaks
from attnviz.render.overlay import OPACITY, UNSEEN, layer
from attnviz.render.text import printable
from attnviz.render.writers.base import Job
from attnviz.trace.wording import unsure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from attnviz.render.pictures import Pictures
    from attnviz.trace import Trace

FOLDER = Path(__file__).parents[1] / "page"
QUALITY = 88  # of the photo's JPEG: above, files grow faster than anybody sees
EXPLORER = ("overlay.js", "chart.js", "bar.js", "grid.js", "picture.js", "explorer.js")
SCRIPTS = (*EXPLORER, "app.js")
DEPTH = 65535  # parts of a step's peak that weights are kept in

# Nothing may be fetched from anywhere, and no script or style runs but the page's own, known by their hashes.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
    "base-uri 'none'; form-action 'none'"
)


def jobs(pictures: Pictures) -> Iterator[Job]:
    """`attention.html`."""
    yield Job("attention.html", lambda stream: write(pictures, stream))


def write(pictures: Pictures, stream: BinaryIO) -> None:
    """Writes the page."""
    stream.write(page(pictures).encode())


def page(pictures: Pictures) -> str:
    """The page as text."""
    style, script, template, explorer = (source(name) for name in ("page.css", "scripts", "page.html", "explorer.html"))
    parts = {
        "policy": POLICY.format(style=digest(style), script=digest(script)),
        "version": __version__,
        "style": style,
        "explorer": filled(explorer, {"photo": photo_url(pictures)}),
        "data": embedded(contents(pictures)),
        "script": script,
    }
    return filled(template, parts)


def photo_url(pictures: Pictures) -> str:
    """The photo as a data: address."""
    jpeg = io.BytesIO()
    Image.fromarray(pictures.pixels).save(jpeg, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with `{name}` replaced. Not str.format: whatever the parts hold stands as it is."""
    pieces = template.split("{")
    return pieces[0] + "".join(parts[piece.split("}")[0]] + piece.split("}", 1)[1] for piece in pieces[1:])


def embedded(value: Any) -> str:
    """JSON that can stand within a script element: no character in it can end the element or begin a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def contents(pictures: Pictures) -> dict[str, Any]:
    """What the page shows, JSON-ready: see explorer.js. Each trace is a row, with a grid and a frame of its own."""
    options, steps = pictures.options, pictures.steps
    style = "heat" if options.style == "contour" else options.style
    colours, strength = layer(style, options.cmap)
    tokens = [printable(token) for token in pictures.trace.tokens]
    frames = [
        trace.frame or Frame.stretch(pictures.frame.photo, pictures.frame.photo, trace.grid)
        for trace in pictures.traces
    ]
    peaks = [
        [scale.top for scale in scales("step", trace.density, steps, frame)]
        for trace, frame in zip(pictures.traces, frames, strict=True)
    ]
    every = [peak for of_one in peaks for peak in of_one]
    found = {name: scales_of_peaks(name, every)[0] for name in SCALES}
    rows = zip(pictures.traces, frames, names_of(pictures.traces), strict=True)
    return {
        "version": __version__,
        "name": printable(pictures.name),
        "tokens": tokens,
        "steps": list(steps),
        "words": [tokens[step] for step in steps],
        "size": list(pictures.size),
        "kind": kind_of(pictures.traces).capitalize(),
        "rows": [_row(trace, frame, steps, name) for trace, frame, name in rows],
        "tops": {name: peaks if name == "step" else scale.top for name, scale in found.items()},
        "clipped": {name: scale.clipped for name, scale in found.items()},
        "doubling": [name for name, scale in found.items() if scale.doubling],
        "bottom": BOTTOM,
        "colours": colours.tobytes().hex(),
        "strength": [round(float(value), 5) for value in strength],
        "threshold": THRESHOLD,
        "unseen": UNSEEN,
        "grey": GREY,
        "scale": options.scale,
        "cells": options.cells,
        "quantity": quantity(pictures.traces),
        "opacity": OPACITY[style] if options.opacity is None else options.opacity,
        "duration": options.duration,
    }


def _row(trace: Trace, frame: Frame, steps: Sequence[int], name: str) -> dict[str, Any]:
    weights = trace.weights[list(steps)]
    peaks = weights.max(axis=(1, 2))
    chosen = [trace.steps[step] for step in steps]
    known = all(step.logprob is not None and not math.isnan(step.logprob) for step in chosen)
    doubtful = unsure(trace.logprobs, len(trace))
    return {
        "label": name,
        "mode": trace.mode,
        "model": trace.model,
        "grid": list(trace.grid),
        "frame": frame.to_dict(),
        "weights": packed(weights, peaks),
        "peaks": [float(peak) for peak in peaks],
        "probabilities": [round(min(1.0, math.exp(step.logprob or 0.0)), 5) for step in chosen] if known else None,
        "unsure": [known and doubtful[step] for step in steps],
        "entropy": [round(step.entropy, 5) for step in chosen],
        "verdicts": None if trace.verdicts is None else [_verdict(*trace.verdicts[step]) for step in steps],
        "notes": trace.summary()["notes"],
    }


def _verdict(kind: str, reason: str) -> list[str]:
    return [printable(kind), printable(reason[:1].upper() + reason[1:])]


def packed(weights: npt.NDArray[np.float32], peaks: npt.NDArray[np.float32]) -> str:
    """(S, h, w) weights as 16-bit parts of each step's peak: all high bytes, then all low ones, deflated, in base64."""
    parts = np.rint(weights / np.maximum(peaks, np.finfo(np.float32).tiny)[:, None, None] * DEPTH).astype(np.uint16)
    planes = np.stack([parts >> 8, parts & 255]).astype(np.uint8)
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()


@lru_cache(maxsize=8)
def source(name: str) -> str:
    """One of the page's files, or its scripts together."""
    return scripts(*SCRIPTS) if name == "scripts" else (FOLDER / name).read_text(encoding="utf-8")


def scripts(*names: str, more: str = "") -> str:
    """Some of the page's scripts, and one more, as one that keeps its names to itself."""
    body = "\n".join([*((FOLDER / name).read_text(encoding="utf-8") for name in names), more])
    return f'"use strict";\n(() => {{\n{body}}})();\n'


def digest(text: str) -> str:
    """The hash by which a policy lets a style or script run."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
