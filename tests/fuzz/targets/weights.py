"""Files of attention from other programs: NumPy's, JSON, safetensors."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np

from fuzz import mutate
from fuzz.target import Target


def seeds(folder: Path) -> Sequence[bytes]:
    from safetensors.numpy import save

    array = np.random.default_rng(0).dirichlet(np.ones(9), (2, 3)).astype(np.float32)
    plain, packed = io.BytesIO(), io.BytesIO()
    np.save(plain, array)
    np.savez(packed, weights=array, tokens=np.array(["a", "dog", "runs"]))
    text = json.dumps({"weights": array[0].tolist(), "tokens": ["a", "dog", "runs"]})
    return [plain.getvalue(), packed.getvalue(), text.encode(), save({"weights": array, "more": array[0]})]


def read(path: Path) -> None:
    from attnviz.errors import AttnvizError
    from attnviz.trace import Trace
    from attnviz.trace.weights import read_weights

    array, tokens = read_weights(path)
    try:
        repr(Trace.of(array, tokens or ("a", "dog", "runs"), image=None))
    except AttnvizError as error:
        raise type(error)(f"{path}: {error}") from error


def damaged(random: Random, data: bytes) -> bytes:
    if data[:1] == b"{" and random.random() < 0.7:
        return mutate.json_tree(random, data)
    return mutate.raw(random, data)


TARGET = Target(".npy", seeds, read, damaged)
