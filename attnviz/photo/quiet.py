"""Libraries as we need them while a photo is read: their global switches, and their chatter kept from the user."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

MOST_PROFILE = 16 * 2**20
"""Bytes of a profile or a text in a PNG once they are unpacked: profiles of printers have several million."""

_LOCK = threading.RLock()
_LOGGERS = ("PIL", "tifffile", "imagecodecs")


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow with its global switches as we need them, whatever the program that uses us has set, and without warnings.

    Its limit on pixels would warn or raise in words of its own before ours is looked at; its switch for cut-off files
    would fill what is missing with grey. Switches and warnings belong to the whole process, so one thread at a time is
    in here.
    """
    from PIL import Image, ImageFile, PngImagePlugin

    switches: tuple[tuple[Any, str, Any], ...] = (
        (Image, "MAX_IMAGE_PIXELS", None),
        (ImageFile, "LOAD_TRUNCATED_IMAGES", False),
        (PngImagePlugin, "MAX_TEXT_CHUNK", MOST_PROFILE),
    )
    _silence()
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = [getattr(module, name) for module, name, _ in switches]
        try:
            for module, name, value in switches:
                setattr(module, name, value)
            yield
        finally:
            for (module, name, _), value in zip(switches, saved, strict=True):
                setattr(module, name, value)


@cache
def _silence() -> None:
    """For good, since neither is of use to anybody: what the libraries log, and what libtiff prints."""
    for name in _LOGGERS:
        # With a handler of their own, what nobody listens to is no longer printed; who listens still hears it.
        logging.getLogger(name).addHandler(logging.NullHandler())
    import ctypes

    from PIL import _imaging

    # libtiff writes to the process's standard error, past Python. Where Pillow hides its libtiff, it stays as it is.
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetWarningHandler", "TIFFSetErrorHandler"):
            function = getattr(library, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(None)
