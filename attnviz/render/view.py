"""`show`: the page's view in a notebook."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from attnviz.files import write_atomically
from attnviz.render.drawing import write

if TYPE_CHECKING:
    import os

    from attnviz.photo.image import Photo, Source
    from attnviz.render.options import DrawKeywords
    from attnviz.trace import Trace

HEIGHT = 860  # pixels


class View:
    """A page that a notebook displays where it is a cell's result; elsewhere `save` it and open the file.

    Attributes:
        page: the page, as HTML text.
    """

    def __init__(self, page: str, about: str, height: int = HEIGHT) -> None:
        self.page, self._about, self._height = page, about, height

    def __repr__(self) -> str:
        return f"<View of {self._about}>"

    def _repr_html_(self) -> str:
        """The page in a frame of its own, from which it can reach neither the notebook nor anything else."""
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" title="{html.escape(self._about)}" '
            f'sandbox="allow-scripts allow-downloads" width="100%" height="{self._height}" frameborder="0"></iframe>'
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the page as a file. Raises OutputError where that fails."""
        write_atomically(path if isinstance(path, str) else str(path), self.page.encode())


def show(
    trace: Trace,
    image: Source | Photo | Any,
    *,
    compare: Sequence[Trace] = (),
    height: int = HEIGHT,
    **options: Unpack[DrawKeywords],
) -> View:
    """The page of a trace, for a notebook.

    Args:
        trace, image, compare, options: as for `attnviz.draw`.
        height: of the view, in pixels.

    Raises:
        AttnvizError: as for `attnviz.draw`.
    """
    stream = io.BytesIO()
    write(trace, image, stream, format="html", compare=compare, **options)
    return View(stream.getvalue().decode(), repr(trace), height)
