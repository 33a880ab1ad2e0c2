"""The gallery of a run: `index.html`, and beside it a folder with a thumbnail and an explorer's data for each photo.

tiles.py, the maps that the gallery's tiles show; files.py, the folder; cards.py, the tiles' markup; page.py, the whole.
"""

from __future__ import annotations

from attnviz.batch.gallery.page import write_gallery

__all__ = ["write_gallery"]
