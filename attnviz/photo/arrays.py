"""Numbers of any kind as numpy arrays: of numpy, of lists, of torch and jax, neither of which is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from attnviz.errors import AttnvizError

SHORT_FLOATS = ("bfloat16", "float8_e4m3fn", "float8_e5m2")  # numpy's names for what it cannot compute with


def to_numpy(name: str, value: Any, error: type[AttnvizError]) -> npt.NDArray[Any]:
    """Numbers of any kind as a numpy array.

    Torch tensors are detached and fetched from wherever they are; short floats that numpy lacks become float32.

    Args:
        name: what the value is called in messages.
        error: what is raised, where no array can be made of the value.
    """
    try:
        if hasattr(value, "detach"):  # a torch tensor
            value = value.detach()
            value = (value.float() if value.is_floating_point() and value.element_size() < 4 else value).cpu().numpy()
        array = np.asarray(value)
    except Exception as reason:  # ragged lists, sparse tensors, objects with an __array__ of their own
        raise error(f"{name}: no array can be made of this {type(value).__name__} ({reason})") from reason
    return array.astype(np.float32) if array.dtype.name in SHORT_FLOATS else array
