"""Evidence on paper: for each word its map, its curves beside those of chance, and the verdict with its numbers."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz._version import __version__
from attnviz.errors import counted
from attnviz.evidence.table import remarks
from attnviz.evidence.verdict import KINDS
from attnviz.render import DrawOptions
from attnviz.render.figure.page import SETTINGS, settings
from attnviz.render.pictures import Pictures
from attnviz.render.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from attnviz.evidence.run import Evidence, WordEvidence
    from attnviz.photo.image import Photo

WIDTH, HEIGHT = 8.27, 11.69  # inches: A4
MARGIN, ROW, TOP = 0.5, 1.9, 0.95  # inches: around, for a word, for a page's head
TEXT, SMALL = 8.0, 6.5  # points
DOTS = 300  # of a map's longest side
OWN, CHANCE, CENTRE, FADED = "#b2182b", "#999999", "#2166ac", "#4d4d4d"


def pdf(evidence: Evidence, photo: Photo) -> bytes:
    """The report as a PDF of A4 pages; the same evidence gives the same bytes.

    Args:
        evidence: from `check`.
        photo: which it was tested on, in any size.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    stream = io.BytesIO()
    metadata = {"Creator": f"attnviz {__version__}", "CreationDate": None}
    with settings(SETTINGS), PdfPages(stream, metadata=metadata) as pages:
        for page in figures(evidence, photo):
            pages.savefig(page)
    return stream.getvalue()


def figures(evidence: Evidence, photo: Photo) -> Iterator[Figure]:
    """The pages, as matplotlib figures."""
    pictures = Pictures(evidence.trace, photo, DrawOptions(size=DOTS))
    a_page = int((HEIGHT - 2 * MARGIN - TOP) / ROW)
    count = len(evidence.words)
    for first in range(0, count, a_page):
        yield _page(evidence, pictures, range(first, min(first + a_page, count)), last=first + a_page >= count)


def _page(evidence: Evidence, pictures: Pictures, words: range, last: bool) -> Figure:
    from matplotlib.figure import Figure

    page = Figure(figsize=(WIDTH, HEIGHT))
    trace = evidence.trace
    title = f"{pictures.name}: {trace.caption}"
    about = ", ".join(filter(None, (trace.model, trace.mode, f"{counted(evidence.passes, 'photo')} read")))
    page.text(MARGIN / WIDTH, 1 - MARGIN / HEIGHT, _said(title, 90), size=TEXT + 2, weight="bold", va="top")
    page.text(MARGIN / WIDTH, 1 - (MARGIN + 0.27) / HEIGHT, _said(about, 120), size=TEXT, color=FADED, va="top")
    _key(page, 1 - (MARGIN + 0.52) / HEIGHT)
    for row, word in enumerate(words):
        _word(page, evidence.words[word], pictures, 1 - (MARGIN + TOP + row * ROW) / HEIGHT)
    if last:
        left = (MARGIN + 0.05) / HEIGHT
        lines = [part for line in remarks(evidence) for part in textwrap.wrap(printable(line), 130)]
        room = HEIGHT - 2 * MARGIN - TOP - len(words) * ROW
        shown = lines[: max(1, int(room / 0.13))]
        page.text(MARGIN / WIDTH, left, "\n".join(shown), size=SMALL, color=FADED, va="bottom", parse_math=False)
    return page


def _key(page: Figure, top: float) -> None:
    """What the lines of the curves are."""
    left = MARGIN
    for colour, text in (
        (OWN, "the map's own order; across, the mean height"),
        (CHANCE, "random orders"),
        (CENTRE, "- -  from the centre outwards"),
        (FADED, "\u00b7\u00b7\u00b7  the whole photo fading"),
    ):
        page.text(left / WIDTH, top, text, size=SMALL, color=colour, va="top")
        left += 0.35 + 0.058 * len(text)


def _word(page: Figure, word: WordEvidence, pictures: Pictures, top: float) -> None:
    """A word's row: its map at the left, its two curves, its verdict at the right."""
    high = (ROW - 0.45) / HEIGHT

    def place(left: float, wide: float) -> tuple[float, float, float, float]:
        return left / WIDTH, top - high - 0.2 / HEIGHT, wide / WIDTH, high

    picture = page.add_axes(place(MARGIN, 1.9))
    picture.imshow(pictures.overlay(word.index))
    picture.set_axis_off()
    picture.set_anchor("NW")
    unsure = f", p {word.probability:.2f}"
    page.text(MARGIN / WIDTH, top, _said(f"{word.token}{unsure}", 30), size=TEXT, weight="bold", va="top")
    for left, name, insert in ((2.85, "deletion", False), (4.6, "insertion", True)):
        _curve(page.add_axes(place(left, 1.35)), word, name, insert)
    lines = [
        word.verdict.kind.upper(),
        *textwrap.wrap(f"{KINDS[word.verdict.kind]}.", 38),
        "",
        *textwrap.wrap(printable(word.verdict.reason), 41),
        *textwrap.wrap(f"Otherwise: {word.verdict.otherwise}.", 41),
    ]
    page.text(6.1 / WIDTH, top, "\n".join(lines), size=SMALL, va="top", linespacing=1.25, parse_math=False)


def _curve(axes: Any, word: WordEvidence, name: str, insert: bool) -> None:
    curve = word.insertion if insert else word.deletion
    share = np.linspace(0, 1, len(curve.values))
    least, most = min(curve.random), max(curve.random)
    axes.fill_between([0, 1], [least, least], [most, most], color=CHANCE, alpha=0.35, lw=0)
    axes.axhline(curve.centre, color=CENTRE, lw=0.7, ls="--")
    axes.axhline(curve.uniform, color=FADED, lw=0.7, ls=":")
    axes.plot(share, curve.values, color=OWN, lw=1.2)
    axes.axhline(curve.area, color=OWN, lw=0.7)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(0.05, 1.08 * float(curve.values.max()), 1.05 * max(curve.random)))
    axes.tick_params(labelsize=SMALL - 1, length=2, pad=1.5, width=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.5)
    axes.set_title(f"{name} {curve.area:.3f}", size=SMALL, pad=2)
    axes.set_xlabel("share of the cells " + ("back" if insert else "gone"), size=SMALL - 1, labelpad=1)


def _said(text: str, width: int) -> str:
    """Printable text that matplotlib takes as it stands, cut where it would leave the page."""
    return textwrap.shorten(printable(text), width, placeholder=" ...").replace("$", r"\$")
