"""Evidence as a page: one HTML file with the maps, the curves and the verdicts, which asks for nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import io
from html import escape
from typing import TYPE_CHECKING

from attnviz.errors import counted
from attnviz.evidence.table import remarks
from attnviz.evidence.verdict import KINDS
from attnviz.render import DrawOptions
from attnviz.render.pictures import Pictures
from attnviz.render.text import printable

if TYPE_CHECKING:
    from attnviz.evidence.curves import Curve
    from attnviz.evidence.run import Evidence, WordEvidence
    from attnviz.photo.image import Photo

LONGEST, QUALITY = 480, 88  # of a map's picture: pixels, and of its JPEG
WIDE, HIGH = 200, 110  # of a curve, in CSS pixels

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fff; --faint: #6a6a72; --line: #d9d9de; --own: #b2182b;
  --chance: #9a9aa2; --centre: #2166ac; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --paper: #17171b; --faint: #a4a4ad; --line: #3a3a42;
  --own: #ff7a86; --chance: #8b8b94; --centre: #7db7ff; } }
body { margin: 0 auto; max-width: 1080px; padding: 18px; font: 15px/1.45 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0 0 4px; overflow-wrap: anywhere; }
.about, figcaption, footer { color: var(--faint); font-size: .85rem; }
article { display: grid; grid-template-columns: 240px 200px 200px minmax(0, 1fr); gap: 16px; padding: 16px 0;
  border-top: 1px solid var(--line); }
article img { width: 100%; height: auto; border-radius: 6px; }
figure { margin: 0; }
.kind { font-weight: 600; }
p { margin: 0 0 6px; overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; height: auto; overflow: visible; }
.own { stroke: var(--own); fill: none; stroke-width: 2; } .mean { stroke: var(--own); stroke-dasharray: 1 3; }
.chance { fill: var(--chance); opacity: .35; } .centre { stroke: var(--centre); stroke-dasharray: 6 4; }
.fading { stroke: var(--faint); stroke-dasharray: 2 3; } .axis { stroke: var(--faint); fill: none; }
text { fill: var(--faint); font-size: 11px; }
@media (max-width: 900px) { article { grid-template-columns: 1fr 1fr; } article > :first-child { grid-column: 1 / -1; }
  article > :last-child { grid-column: 1 / -1; } }
"""


def page(evidence: Evidence, photo: Photo) -> str:
    """The page as text; the same evidence gives the same text.

    Args:
        evidence: from `check`.
        photo: which it was tested on, in any size.
    """
    trace = evidence.trace
    pictures = Pictures(trace, photo, DrawOptions(size=LONGEST))
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    about = ", ".join(filter(None, (trace.model, trace.mode, f"{counted(evidence.passes, 'photo')} read")))
    rows = "\n".join(_row(word, pictures) for word in evidence.words)
    notes = "".join(f"<p>{_text(line)}</p>" for line in remarks(evidence))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(pictures.name)}: evidence</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>{_text(f"{pictures.name}: {trace.caption}")}</h1><p class="about">{_text(about)}</p>
<p class="about">Curves: the word's probability as cells go or come back in the map's own order; dotted across, its mean
height; grey, the mean heights of random orders; dashed, of the order from the centre; fine dots, of a fading photo.</p>
</header>
<main>
{rows}
</main>
<footer>{notes}</footer>
</body>
</html>
"""


def _row(word: WordEvidence, pictures: Pictures) -> str:
    from PIL import Image

    jpeg = io.BytesIO()
    Image.fromarray(pictures.overlay(word.index)).save(jpeg, "JPEG", quality=QUALITY)
    source = base64.b64encode(jpeg.getvalue()).decode()
    name = _text(word.token)
    return f"""<article>
<figure><h2 dir="auto">{name}</h2><img src="data:image/jpeg;base64,{source}" alt="Where the network looks at “{name}”">
<figcaption>p = {word.probability:.2f}, without the photo {word.without:.2f}</figcaption></figure>
{_plot("deletion", word.deletion)}
{_plot("insertion", word.insertion)}
<div><p class="kind">{_text(word.verdict.kind)}</p><p>{_text(KINDS[word.verdict.kind])}.</p>
<p class="about">{_text(word.verdict.reason)}.</p><p class="about">Otherwise: {_text(word.verdict.otherwise)}.</p></div>
</article>"""


def _plot(name: str, curve: Curve) -> str:
    """One curve as an inline picture, with the mean heights it stands beside."""
    top = max(0.05, float(curve.values.max()), *curve.random, curve.centre, curve.uniform) * 1.05

    def y(value: float) -> str:
        return f"{HIGH * (1 - value / top):.1f}"

    points = " ".join(f"{WIDE * i / (len(curve.values) - 1):.1f},{y(value)}" for i, value in enumerate(curve.values))
    most, least = max(curve.random), min(curve.random)
    lines = "".join(
        f'<line class="{kind}" x1="0" x2="{WIDE}" y1="{y(value)}" y2="{y(value)}"/>'
        for kind, value in (("centre", curve.centre), ("fading", curve.uniform), ("mean", curve.area))
    )
    said = f"{name}: mean height {curve.area:.3f}, random orders {least:.3f} to {most:.3f}"
    band = max(1.0, HIGH * (most - least) / top)
    return f"""<figure><svg viewBox="-2 -14 {WIDE + 4} {HIGH + 32}" width="{WIDE}" role="img" aria-label="{said}">
<text x="0" y="-4">{name} {curve.area:.3f}</text>
<rect class="chance" x="0" width="{WIDE}" y="{y(most)}" height="{band:.1f}"/>{lines}
<polyline class="axis" points="0,0 0,{HIGH} {WIDE},{HIGH}"/><polyline class="own" points="{points}"/>
<text x="0" y="{HIGH + 14}">0</text><text x="{WIDE}" y="{HIGH + 14}" text-anchor="end">all cells</text>
<text x="{WIDE}" y="-4" text-anchor="end">to {top / 1.05:.2f}</text></svg></figure>"""


def _text(text: str) -> str:
    return escape(printable(text))
