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
from attnviz.render import DrawOptions, colorbar
from attnviz.render.figure.page import SETTINGS, settings
from attnviz.render.overlay import table
from attnviz.render.pictures import Pictures
from attnviz.render.text import cleaned, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from attnviz.evidence.run import Evidence, WordEvidence
    from attnviz.photo.image import Photo

WIDTH, HEIGHT = 8.27, 11.69  # inches: A4
MARGIN, ROW, TOP = 0.5, 1.9, 1.1  # inches: around, for a word, for a page's head
VERDICT, ACROSS = 6.0, 36  # inches from the left, and characters of a line
TEXT, SMALL = 8.0, 6.5  # points
DOTS = 300  # of a map's longest side
OWN, CHANCE, CENTRE, FADED, SECOND = "#b2182b", "#999999", "#2166ac", "#4d4d4d", "#1b7837"
LINE = 0.13  # inches
DASHED, DOTTED, MIXED = (0, (5, 3)), (0, (1, 2)), (0, (6, 2, 1, 2))


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
    lines = [part for line in remarks(evidence) for part in textwrap.wrap(cleaned(line), 135)]
    for first in range(0, count, a_page):
        words = range(first, min(first + a_page, count))
        fits = words.stop == count and TOP + len(words) * ROW + len(lines) * LINE <= HEIGHT - 2 * MARGIN
        yield _page(evidence, pictures, words, lines if fits else [])
    if not fits:
        yield _page(evidence, pictures, range(0), lines)


def _page(evidence: Evidence, pictures: Pictures, words: range, remarks: list[str]) -> Figure:
    from matplotlib.figure import Figure

    page = Figure(figsize=(WIDTH, HEIGHT))
    trace = evidence.trace
    title = f"{pictures.name}: {trace.caption}"
    read = f"{counted(evidence.passes, 'version')} of the photo read"
    about = ", ".join(filter(None, (trace.model, trace.mode, read)))
    page.text(MARGIN / WIDTH, 1 - MARGIN / HEIGHT, _said(title, 90), size=TEXT + 2, weight="bold", va="top")
    page.text(MARGIN / WIDTH, 1 - (MARGIN + 0.27) / HEIGHT, _said(about, 120), size=TEXT, color=FADED, va="top")
    _key(page, evidence, 1 - (MARGIN + 0.62) / HEIGHT)
    _bar(page, pictures, 1 - (MARGIN + 0.12) / HEIGHT)
    for row, word in enumerate(words):
        _word(page, evidence.words[word], pictures, 1 - (MARGIN + TOP + row * ROW) / HEIGHT)
    below = 1 - (MARGIN + TOP + len(words) * ROW) / HEIGHT
    page.text(MARGIN / WIDTH, below, "\n".join(remarks), size=SMALL, color=FADED, va="top", parse_math=False)
    return page


def _key(page: Figure, evidence: Evidence, top: float) -> None:
    """What the lines of the curves are."""
    from matplotlib.lines import Line2D

    samples: list[tuple[str, float, Any, str]] = [
        (OWN, 1.2, "-", "the map's own order"),
        (OWN, 0.7, "-", "its mean height"),
        (CHANCE, 6, "-", "random orders"),
        (CENTRE, 0.8, DASHED, "from the centre"),
        (FADED, 0.8, DOTTED, "the photo fading"),
    ]
    if any(word.deletion.second is not None for word in evidence.words):
        samples.append((SECOND, 0.9, MIXED, "the map by gradient"))
    left = MARGIN
    for colour, width, style, text in samples:
        across = [left / WIDTH, (left + 0.22) / WIDTH]
        pale = 0.35 if colour == CHANCE else 1.0
        page.add_artist(Line2D(across, [top, top], color=colour, lw=width, ls=style, alpha=pale, solid_capstyle="butt"))
        page.text((left + 0.28) / WIDTH, top, text, size=SMALL, color=FADED, va="center")
        left += 0.42 + 0.049 * len(text)


def _bar(page: Figure, pictures: Pictures, top: float) -> None:
    """The colours of the maps, at the right of the head."""
    scale, options = pictures.scales[0], pictures.options
    bar = page.add_axes((VERDICT / WIDTH, top - 0.1 / HEIGHT, (WIDTH - MARGIN - VERDICT) / WIDTH, 0.1 / HEIGHT))
    colours = colorbar.gradient(scale, table(options.style, options.cmap, options.strength), (1, 256))
    bar.imshow(colours, aspect="auto", extent=(0, 1, 0, 1))
    bar.set_yticks([])
    marks = colorbar.ticks(scale)
    bar.set_xticks([position for position, _ in marks], [text for _, text in marks])
    bar.tick_params(labelsize=SMALL - 1, length=2, pad=1.5, width=0.5)
    for side in bar.spines.values():
        side.set_visible(False)
    bar.set_title(colorbar.titles(scale)[1], size=SMALL - 0.5, pad=2, color=FADED)


def _word(page: Figure, word: WordEvidence, pictures: Pictures, top: float) -> None:
    """A word's row: its map at the left, its two curves, its verdict at the right."""
    high = (ROW - 0.45) / HEIGHT

    def place(left: float, wide: float) -> tuple[float, float, float, float]:
        return left / WIDTH, top - high - 0.2 / HEIGHT, wide / WIDTH, high

    picture = page.add_axes(place(MARGIN, 1.9))
    picture.imshow(pictures.overlay(word.index))
    picture.set_axis_off()
    picture.set_anchor("NW")
    page.text(MARGIN / WIDTH, top, _said(word.token, 30), size=TEXT, weight="bold", va="top")
    for left, name, insert in ((2.75, "deletion", False), (4.45, "insertion", True)):
        _curve(page.add_axes(place(left, 1.35)), word, name, insert)
    kind = word.verdict.kind
    page.text(VERDICT / WIDTH, top, kind, size=TEXT, weight="bold", va="top")
    lines = [
        *textwrap.wrap(f"{KINDS[kind]}.", ACROSS),
        f"p {word.probability:.2f}, without the photo {word.without:.2f}",
        "",
        *textwrap.wrap(f"{cleaned(word.verdict.reason)}.", ACROSS),
        "",
        *textwrap.wrap(f"What would change that: {word.verdict.otherwise}.", ACROSS),
    ]
    below = top - 0.17 / HEIGHT
    page.text(VERDICT / WIDTH, below, "\n".join(lines), size=SMALL, va="top", linespacing=1.2, parse_math=False)


def _curve(axes: Any, word: WordEvidence, name: str, insert: bool) -> None:
    curve = word.insertion if insert else word.deletion
    share = np.linspace(0, 1, len(curve.values))
    least, most = min(curve.random), max(curve.random)
    axes.fill_between([0, 1], [least, least], [most, most], color=CHANCE, alpha=0.35, lw=0)
    levels = [curve.centre, curve.uniform, *([] if curve.second is None else [curve.second])]
    for value, colour, style in zip(levels, (CENTRE, FADED, SECOND), (DASHED, DOTTED, MIXED), strict=False):
        axes.axhline(value, color=colour, lw=0.8, ls=style)
    axes.plot(share, curve.values, color=OWN, lw=1.2)
    axes.axhline(curve.area, color=OWN, lw=0.7)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.06 * max(0.05, float(curve.values.max()), *curve.random, *levels))
    axes.tick_params(labelsize=SMALL - 1, length=2, pad=1.5, width=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.5)
    axes.set_title(f"{name}, mean {curve.area:.3f}", size=SMALL, pad=2)
    axes.set_xlabel("share of the cells " + ("back" if insert else "gone"), size=SMALL - 1, labelpad=1)


def _said(text: str, width: int) -> str:
    """Printable text that matplotlib takes as it stands, cut where it would leave the page."""
    return textwrap.shorten(printable(text), width, placeholder=" ...").replace("$", r"\$")
