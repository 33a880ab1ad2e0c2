"""The photo: image.py reads files and bytes into upright sRGB, frame.py says how it lies on a network's grid.

Of a file, source.py gets the bytes, kinds.py says what it is, and decode.py has it read: jpeg.py, png.py and tiff.py
(with tiff_pages.py) where Pillow alone would not do; deep.py makes 8 bits of more, colour.py (with icc.py) sRGB of any
colours, quiet.py keeps the libraries silent. glance.py has a photo's size, and small copies.
"""

from __future__ import annotations
