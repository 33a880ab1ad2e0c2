"""Results and refusals as the answers of a server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attnviz.errors import AttnvizError, ImageKindError, ImageSizeError, one_line

if TYPE_CHECKING:
    import numpy as np

    from attnviz.trace import Trace


class RefusalError(Exception):
    """What is not done, and why: `str(error)` is one line.

    Args:
        status: of HTTP.
        message: for whoever asked.
        retry: seconds after which it may be tried again.
    """

    def __init__(self, status: int, message: str, retry: float | None = None) -> None:
        super().__init__(one_line(message))
        self.status = status
        self.retry = None if retry is None else max(1, math.ceil(retry))

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status."""
        return {} if self.retry is None else {"Retry-After": str(self.retry)}


def refusal_of(error: BaseException) -> RefusalError | None:
    """An error as a refusal; None for one that nobody foresaw."""
    if isinstance(error, RefusalError):
        return error
    if isinstance(error, ImageSizeError):
        return RefusalError(413, str(error))
    if isinstance(error, ImageKindError):
        return RefusalError(415, str(error))
    if isinstance(error, AttnvizError):
        return RefusalError(422, str(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return RefusalError(503, "out of memory; try a smaller photo, or later", 10)
    return None


def trace_json(trace: Trace, photo: str) -> dict[str, Any]:
    """A trace as JSON: its summary, and its arrays as nested lists of exact float32 numbers.

    Args:
        trace: to be told.
        photo: by which it can be asked for again.
    """
    return {
        "photo": photo,
        **trace.summary(),
        "tokens": list(trace.tokens),
        **{name: _listed(getattr(trace, name)) for name in ("weights", "logprobs", "scores")},
        **{name: _listed(getattr(trace, name)) for name in ("channel_weights", "on_image", "words")},
    }


def _listed(array: np.ndarray | None) -> Any:
    """None for a number that JSON has not."""
    if array is None:
        return None
    import numpy as np

    if np.isfinite(array).all():
        return array.tolist()
    return np.where(np.isfinite(array), array.astype(object), None).tolist()  # type: ignore[call-overload]
