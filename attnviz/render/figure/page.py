"""The matplotlib figure that attnviz hands out: saved anywhere, its text stays text and its bytes stay the same."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from attnviz._version import __version__

SETTINGS: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType, embedded: no Type 3
    "ps.fonttype": 42,
    "pdf.use14corefonts": False,
    "pdf.compression": 6,
    "svg.fonttype": "none",  # text, not outlines
    "svg.hashsalt": "attnviz",  # identifiers that do not change from run to run
    "svg.image_inline": True,
    "savefig.bbox": None,  # the page is as wide as asked for
    "savefig.dpi": "figure",
    "savefig.facecolor": "auto",
    "savefig.transparent": False,
}
SCREEN = 110  # dots an inch in a notebook


_SETTINGS_LOCK = threading.RLock()


@contextmanager
def settings(changes: dict[Any, Any], defaults: bool = False) -> Iterator[None]:
    """matplotlib's settings with `changes`, and with `defaults` as they come, whatever the program has made of them.

    They are global, so only one thread at a time may change them.
    """
    with _SETTINGS_LOCK, matplotlib.rc_context():
        if defaults:
            matplotlib.rcdefaults()
        matplotlib.rcParams.update(changes)
        yield


class Page(Figure):
    """A matplotlib Figure that saves with embedded TrueType fonts, without dates and without cutting its margins.

    Attributes:
        photos: how many photos stand on it.
        words: how many words have panels, each counted once where rows compare it.
    """

    photos = 0
    words = 0

    def savefig(self, fname: Any, **options: Any) -> None:
        """As `matplotlib.figure.Figure.savefig`, with the settings above."""
        kind = options.get("format") or (Path(fname).suffix[1:] if isinstance(fname, str | Path) else None)
        known: dict[str, dict[str, str | None]] = {
            "pdf": {"Creator": f"attnviz {__version__}", "CreationDate": None},
            "svg": {"Creator": f"attnviz {__version__}", "Date": None},
            "png": {"Software": f"attnviz {__version__}"},
        }
        metadata = known.get(str(kind).lower(), {})
        given = options.pop("metadata", None)
        if metadata or given:
            options["metadata"] = {**metadata, **(given or {})}
        with settings(SETTINGS):
            super().savefig(fname, **options)

    def to_bytes(self, format: str) -> bytes:
        """The figure as a file of the format "pdf", "svg" or "png"."""
        stream = io.BytesIO()
        self.savefig(stream, format=format)
        return stream.getvalue()

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=SCREEN)
        return stream.getvalue()
