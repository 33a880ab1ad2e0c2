"""`index.html`: the tiles, the data that they are painted from, and the explorer that each of them opens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from attnviz._version import __version__
from attnviz.batch.gallery.cards import card, failed
from attnviz.batch.gallery.files import THUMBNAIL, Entry, Files
from attnviz.batch.gallery.tiles import LEAST, MOST, Tile, read
from attnviz.batch.record import DONE, Record
from attnviz.errors import counted
from attnviz.render.colorbar import GREY
from attnviz.render.heatmap import BOTTOM, SCALES, THRESHOLD, scales_of_peaks
from attnviz.render.options import DrawOptions
from attnviz.render.overlay import OPACITY, UNSEEN, layer
from attnviz.render.parallel import ordered
from attnviz.render.writers.html import EXPLORER, digest, embedded, filled, scripts, source

if TYPE_CHECKING:
    from attnviz.batch.outs import Out

BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="  # a pixel of nothing
SCRIPTS = ("tiles.js", "box.js", "filters.js")
# The scripts beside the page hold data alone; "file:" is what 'self' means for a page on a disk.
POLICY = (
    "default-src 'none'; img-src 'self' file: data:; style-src 'sha256-{style}'; "
    "script-src 'self' file: 'sha256-{script}'; base-uri 'none'; form-action 'none'"
)


def write_gallery(
    name: str,
    records: Sequence[Record],
    out: Out,
    photo: Callable[[str], bytes | None],
    threads: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> None:
    """Writes the gallery of some photos, and the files beside it.

    Args:
        name: of the page, in `out`; results lie in the folders beside it.
        records: of the photos, failed ones too.
        out: the output folder.
        photo: gives the bytes of the photo of a path; None where it cannot be read any more.
        threads: how many work at once; None for one a core.
        progress: is told how many photos are in it by now.

    Raises:
        OutputError: a file that cannot be written.
    """
    beside = Files(out, photo)
    done = [record for record in records if record.state == DONE]

    def made(record: Record) -> tuple[Tile | None, Entry | None]:
        tile = read(out.read, str(record.folder), record.files)
        return tile, beside.add(record, tile)

    cards, photos, seen = [], [], Seen()
    for record, (tile, entry) in zip(done, ordered(made, done, threads), strict=True):
        size = _size(tile)
        cards.append(card(record, tile, entry, size))
        photos.append(None if tile is None or entry is None else {"size": list(size), **tile.to_dict()})
        seen.note(tile)
        progress(len(cards))
    lost = [failed(record) for record in records if record.state != DONE]
    out.write(name, _page("".join([*cards, *lost]), photos, seen, len(lost)).encode())
    beside.tidy()


class Seen:
    """What is to be known of all tiles together, without keeping them: they may have large maps."""

    def __init__(self) -> None:
        self.options: DrawOptions | None = None
        self.labels: dict[str, None] = {}
        self.kinds: set[str] = set()

    def note(self, tile: Tile | None) -> None:
        """Takes note of one more."""
        if tile is not None:
            self.options = self.options or tile.options
            self.labels.update(dict.fromkeys(filter(None, tile.labels)))
            self.kinds.add(tile.kind)


def _size(tile: Tile | None) -> tuple[int, int]:
    """(H, W) of a photo's thumbnail, in pixels."""
    trace = tile.traces[0] if tile else None
    height, width = (
        trace.frame.photo if trace and trace.frame else trace.image.size if trace and trace.image else (3, 4)
    )
    share = THUMBNAIL / max(height, width)
    return max(1, round(height * share)), max(1, round(width * share))


def _page(cards: str, photos: Sequence[Any], seen: Seen, lost: int) -> str:
    style = source("page.css") + _own("gallery.css")
    script = scripts(*EXPLORER, more="\n".join(_own(name) for name in SCRIPTS))
    kind = next(iter(seen.kinds)) if len(seen.kinds) == 1 else "row"
    data = {"photos": photos, "kind": kind, "labels": list(seen.labels), **_look(seen.options or DrawOptions())}
    parts = {
        "policy": POLICY.format(style=digest(style), script=digest(script)),
        "version": __version__,
        "title": f"attnviz: {counted(len(photos), 'photo')}",
        "style": style,
        "script": script,
        "count": str(len(photos)),
        "failed": str(lost),
        "cards": cards,
        "data": embedded(data),
        "explorer": filled(source("explorer.html"), {"photo": BLANK}),
    }
    return filled(_own("gallery.html"), parts)


def _look(options: DrawOptions) -> dict[str, Any]:
    """How all tiles are painted, as in the page of one photo: the first one's colours and scale."""
    style = "heat" if options.style == "contour" else options.style
    colours, strength = layer(style, options.cmap)
    return {
        "least": LEAST,
        "most": MOST,
        "colours": colours.tobytes().hex(),
        "strength": [round(float(value), 5) for value in strength],
        "opacity": OPACITY[style] if options.opacity is None else options.opacity,
        "scale": options.scale,
        "cells": options.cells,
        "duration": options.duration,
        "doubling": [name for name in SCALES if scales_of_peaks(name, [1.0])[0].doubling],
        "tops": {name: scales_of_peaks(name, [0.0])[0].top for name in SCALES if name != "step"},
        "bottom": BOTTOM,
        "threshold": THRESHOLD,
        "unseen": UNSEEN,
        "grey": GREY,
    }


def _own(name: str) -> str:
    return files("attnviz.batch.gallery").joinpath(name).read_text(encoding="utf-8")
