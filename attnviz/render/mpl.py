"""matplotlib's first import, whatever the surroundings: whoever draws with it imports this module before.

We save figures without a backend, so an MPLBACKEND that this installation lacks (a notebook sets its own kernel's for
all that it starts) is no reason to fail; nor is a home that cannot be written, where matplotlib tells at length of its
caches. A program that has imported matplotlib itself keeps its settings.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

BACKEND = "MPLBACKEND"


def _first_import() -> None:
    logger = logging.getLogger("matplotlib")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.ERROR)
    backend = os.environ.pop(BACKEND, None)  # one that is not there ends the import half way
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ[BACKEND] = backend  # for what this process starts
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend  # as its import would have done


if "matplotlib" not in sys.modules:
    _first_import()

from matplotlib import colormaps  # noqa: E402 - for `palette`

__all__ = ["colormaps"]
