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
from attnviz.render import DrawOptions, colorbar
from attnviz.render.overlay import table
from attnviz.render.pictures import Pictures
from attnviz.render.text import cleaned, printable

if TYPE_CHECKING:
    from attnviz.evidence.curves import Curve
    from attnviz.evidence.run import Evidence, WordEvidence
    from attnviz.photo.image import Photo

LONGEST, QUALITY = 480, 88  # of a map's picture: pixels, and of its JPEG
WIDE, HIGH, LEFT = 190, 120, 30  # of a curve, and of the room for its numbers, in CSS pixels
BAR, STOPS = 320, 64  # of the colour bar: CSS pixels, and colours that are told

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fff; --faint: #5e5e66; --line: #d9d9de; --own: #b2182b;
  --chance: #9a9aa2; --centre: #2166ac; --second: #1b7837; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --paper: #17171b; --faint: #a9a9b2; --line: #3a3a42;
  --own: #ff7a86; --chance: #8b8b94; --centre: #7db7ff; --second: #7fd08f; } }
body { margin: 0 auto; max-width: 1120px; padding: 18px; font: 15px/1.45 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0 0 4px; overflow-wrap: anywhere; }
.about, figcaption, footer, ul { color: var(--faint); font-size: .85rem; }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 6px 0 10px; padding: 0; }
li { display: flex; align-items: center; gap: 6px; }
article { display: grid; grid-template-columns: 240px 226px 226px minmax(0, 1fr); gap: 18px; padding: 16px 0;
  border-top: 1px solid var(--line); }
article img { width: 100%; height: auto; border-radius: 6px; }
figure { margin: 0; }
.kind { font-weight: 600; }
p { margin: 0 0 6px; overflow-wrap: anywhere; }
header > svg { margin: 8px 0; }
svg { display: block; max-width: 100%; height: auto; overflow: visible; }
.own { stroke: var(--own); fill: none; stroke-width: 2; } .mean { stroke: var(--own); stroke-width: 1; }
.chance { fill: var(--chance); opacity: .35; } .centre { stroke: var(--centre); stroke-dasharray: 6 4; }
.fading { stroke: var(--faint); stroke-dasharray: 2 3; } .axis { stroke: var(--faint); fill: none; }
.second { stroke: var(--second); stroke-dasharray: 8 3 2 3; stroke-width: 1.5; }
text { fill: var(--faint); font-size: 11px; } .name { fill: var(--ink); font-size: 12px; }
@media (max-width: 940px) { article { grid-template-columns: 1fr 1fr; } article > :first-child { grid-column: 1 / -1; }
  article > :last-child { grid-column: 1 / -1; } figure svg { width: 100%; } }
@media (max-width: 480px) { article { grid-template-columns: 1fr; } }
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
    read = f"{counted(evidence.passes, 'version')} of the photo read"
    about = ", ".join(filter(None, (trace.model, trace.mode, read)))
    rows = "\n".join(_row(word, pictures) for word in evidence.words)
    notes = "".join(f"<p>{escape(cleaned(line))}</p>" for line in remarks(evidence))
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
<header><h1>{_text(pictures.name)}: {escape(cleaned(trace.caption))}</h1><p class="about">{_text(about)}</p>
{_bar(pictures)}
<p class="about">A map that shows what its word hangs on makes the word's probability fall early when the cells under
the heat go first (deletion: a small mean height), and rise early when they come back first (insertion: a large
one).</p>
{_key(evidence)}
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
<p class="about">{escape(cleaned(word.verdict.reason))}.</p>
<p class="about">What would change that: {escape(cleaned(word.verdict.otherwise))}.</p></div>
</article>"""


def _plot(name: str, curve: Curve) -> str:
    """One curve as an inline picture, with the mean heights it stands beside."""
    levels = [curve.centre, curve.uniform, *([] if curve.second is None else [curve.second])]
    most = max(0.05, float(curve.values.max()), *curve.random, *levels)

    def y(value: float) -> str:
        return f"{HIGH * (1 - value / (1.05 * most)):.1f}"

    points = " ".join(f"{WIDE * i / (len(curve.values) - 1):.1f},{y(value)}" for i, value in enumerate(curve.values))
    top, bottom = max(curve.random), min(curve.random)
    lines = "".join(
        f'<line class="{kind}" x1="0" x2="{WIDE}" y1="{y(value)}" y2="{y(value)}"/>'
        for kind, value in (
            ("centre", curve.centre),
            ("fading", curve.uniform),
            ("mean", curve.area),
            ("second", curve.second),
        )
        if value is not None
    )
    said = f"{name}: mean height {curve.area:.3f}, random orders {bottom:.3f} to {top:.3f}"
    if curve.second is not None:
        said += f", the map by gradient {curve.second:.3f}"
    band = max(1.0, HIGH * (top - bottom) / (1.05 * most))
    end = "all back" if name == "insertion" else "all gone"
    return f"""<figure><svg viewBox="-{LEFT} -18 {WIDE + LEFT + 6} {HIGH + 36}" width="{WIDE + LEFT + 6}" role="img"
aria-label="{said}"><text class="name" x="0" y="-7">{name}, mean {curve.area:.3f}</text>
<rect class="chance" x="0" width="{WIDE}" y="{y(top)}" height="{band:.1f}"/>{lines}
<polyline class="axis" points="0,0 0,{HIGH} {WIDE},{HIGH}"/><polyline class="own" points="{points}"/>
<text class="top" x="-4" y="{float(y(most)) + 4:.1f}" text-anchor="end">{most:.2f}</text>
<text x="-4" y="{HIGH + 4}" text-anchor="end">0</text><text x="0" y="{HIGH + 15}">no cell</text>
<text x="{WIDE}" y="{HIGH + 15}" text-anchor="end">{end}</text></svg></figure>"""


def _key(evidence: Evidence) -> str:
    """What the lines of the curves are."""
    kinds = [
        ("own", "the word's probability, cells in the map's own order"),
        ("mean", "its mean height"),
        ("chance", "mean heights of random orders"),
        ("centre", "of the order from the centre"),
        ("fading", "of the whole photo fading"),
    ]
    if any(word.deletion.second is not None for word in evidence.words):
        kinds.append(("second", "of the map by gradient"))
    return "<ul>" + "".join(f"<li>{_sample(kind)}{text}</li>" for kind, text in kinds) + "</ul>"


def _sample(kind: str) -> str:
    shape = f'<line class="{kind}" x1="0" x2="28" y1="5" y2="5"/>'
    if kind == "chance":
        shape = '<rect class="chance" width="28" height="10"/>'
    return f'<svg viewBox="0 0 28 10" width="28" height="10" aria-hidden="true">{shape}</svg>'


def _bar(pictures: Pictures) -> str:
    """The colours of the maps, and what they stand for."""
    scale, options = pictures.scales[0], pictures.options
    colours = colorbar.gradient(scale, table(options.style, options.cmap, options.strength), (1, STOPS))[0]
    stops = "".join(
        f'<stop offset="{(place + 0.5) / STOPS:.4f}" stop-color="#{bytes(colour).hex()}"/>'
        for place, colour in enumerate(colours)
    )
    marks = "".join(
        f'<text x="{BAR * position:.1f}" y="26" text-anchor="middle">{_text(text)}</text>'
        for position, text in colorbar.ticks(scale)
        if text
    )
    return f"""<svg viewBox="-14 -16 {BAR + 28} 46" width="{BAR + 28}" role="img" aria-label="Colour bar of the maps">
<defs><linearGradient id="heat">{stops}</linearGradient></defs>
<text x="0" y="-5">{_text(colorbar.titles(scale)[0])}</text>
<rect width="{BAR}" height="12" fill="url(#heat)"/>{marks}</svg>"""


def _text(text: str) -> str:
    return escape(printable(text))
