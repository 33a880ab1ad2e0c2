"""transformers says much that nobody asked for; here it says nothing, and afterwards it is as it was."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_LOCK = threading.Lock()
_LOGGERS = ("transformers", "huggingface_hub")
_inside = 0
_undo = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, no warnings, no log below critical and no progress bars of transformers; from several threads at once.

    The first that comes in turns them off, and the last that leaves turns them on again.
    """
    global _inside
    with _LOCK:
        if _inside == 0:
            _turn_off(_undo)
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                _undo.close()


def _turn_off(undo: ExitStack) -> None:
    undo.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    from huggingface_hub import utils as hub
    from transformers.utils import logging as own

    for name in _LOGGERS:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL)
    if own.is_progress_bar_enabled():
        undo.callback(own.enable_progress_bar)
        own.disable_progress_bar()
        if sys.stderr is not None and sys.stderr.isatty():
            hub.enable_progress_bars()  # a download of gigabytes should be seen
