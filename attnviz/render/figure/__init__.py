"""Figures for print and slides: the photo and a panel for each word, as a matplotlib figure."""

from __future__ import annotations

from attnviz.render import mpl  # noqa: F401 - before anything that imports matplotlib
from attnviz.render.figure.draw import FORMATS, figure, figures
from attnviz.render.figure.options import FigureOptions
from attnviz.render.figure.page import Page

__all__ = ["FORMATS", "FigureOptions", "Page", "figure", "figures"]
