"""What the frozen layers of a backbone make of a whole split, on disk as float16, computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from attnviz.captioner.efficientnet import EfficientNetLite
from attnviz.errors import DataError, counted
from attnviz.photo.frame import Frame

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.data import Split

BATCH = 32
"""Photos per forward pass: enough to fill two cores, little memory."""

Say = Callable[[str], None]


def frames(model: Captioner, split: Split) -> Iterator[Frame]:
    """How each photo of the split comes into the model."""
    if model.frame_kind == "stretch":  # whatever the photos' sizes, fractions of them fall into the same cells
        yield from repeat(Frame.stretch(model.input, model.input, model.grid), len(split))
        return
    for photo in split.photos():
        yield Frame.of(model.frame_kind, photo.size, model.input, model.grid)


def inputs(model: Captioner, split: Split, flip: bool = False) -> Iterator[np.ndarray]:
    """Each photo of the split as the network's input, (H, W, 3) uint8; mirrored when `flip`."""
    for photo in split.photos():
        pixels = Frame.of(model.frame_kind, photo.size, model.input, model.grid).apply(photo.pixels)
        yield pixels[:, ::-1] if flip else pixels


class FeatureStore:
    """Feature maps of every photo, memory-mapped: `maps[k]` is (photos, C_k, h_k, w_k) float16.

    Args:
        model: its backbone is what computes them.
        split: the photos.
        flip: whether of the mirror images.
        stages: how many of the backbone's first stages are frozen, whose output is then the one map; None: all of it.
        precision: what they are computed in, see `TrainConfig`.
        cache: the folder that keeps them, under a name made from the backbone's weights, the split's file and `flip`.
        say: told about progress.

    Raises:
        DataError: when the folder cannot be written or has too little room.
    """

    def __init__(
        self,
        model: Captioner,
        split: Split,
        flip: bool,
        cache: str | Path,
        say: Say = lambda line: None,
        stages: int | None = None,
        precision: str = "float32",
    ) -> None:
        folder = Path(cache)
        key = _fingerprint(model, split, flip, stages, precision)
        count = 1 if stages is not None else len(model.backbone.channels)
        paths = [folder / f"{split.name}-{key}-{k}.npy" for k in range(count)]
        if not all(path.exists() for path in paths):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with arithmetic(model, precision):
                    _compute(model, split, flip, stages, paths, say)
            except OSError as error:
                raise DataError(f"{folder}: the features cannot be kept there: {error.strerror or error}") from error
        self.maps = [np.load(path, mmap_mode="r") for path in paths]

    def batch(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """The maps of photos `rows`, float32."""
        return tuple(torch.from_numpy(np.ascontiguousarray(maps[rows])).float() for maps in self.maps)


def arithmetic(model: Captioner, precision: str) -> torch.autocast:
    """Within it, matrix products and convolutions are computed in `precision`: float32, or bfloat16 (Kalamkar et al.
    2019, arXiv:1905.12322). The weights stay float32."""
    return torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _fingerprint(model: Captioner, split: Split, flip: bool, stages: int | None, precision: str) -> str:
    frozen = ("" if stages is None else f" {stages}") + ("" if precision == "float32" else f" {precision}")
    digest = hashlib.sha256(
        f"{model.config.backbone} {model.config.layer} {model.input} {model.frame_kind} {flip}{frozen}".encode()
    )
    for name, value in model.backbone.state_dict().items():
        if stages is not None and not name.startswith(("stem.", *(f"stages.{k}." for k in range(stages)))):
            continue  # still learning
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    stat = split.archive.stat()
    digest.update(f"{stat.st_size} {len(split)} {split[0].image} {split[-1].image}".encode())
    return digest.hexdigest()[:16]


def _maps(model: Captioner, pixels: Tensor, stages: int | None) -> tuple[Tensor, ...]:
    backbone = model.backbone
    if stages is not None and isinstance(backbone, EfficientNetLite):
        return (backbone.early(pixels, stages),)
    return tuple(backbone(pixels))


@torch.inference_mode()
def _compute(model: Captioner, split: Split, flip: bool, stages: int | None, paths: list[Path], say: Say) -> None:
    model.eval()
    parts = [path.with_suffix(".part") for path in paths]
    stores: list[np.ndarray] = []
    photos, done = inputs(model, split, flip), 0
    while batch := list(islice(photos, BATCH)):
        pixels = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).to(model.device).float() / 255
        maps = [x.half().cpu().numpy() for x in _maps(model, pixels, stages)]
        stores = stores or [
            np.lib.format.open_memmap(part, "w+", np.float16, (len(split), *x.shape[1:]))
            for part, x in zip(parts, maps, strict=True)
        ]
        for store, x in zip(stores, maps, strict=True):
            store[done : done + len(batch)] = x
        done += len(batch)
        if done % (BATCH * 25) == 0 or done == len(split):
            say(f"features of {split.name}{' (mirrored)' if flip else ''}: {done} of {counted(len(split), 'photo')}")
    del stores
    for part, path in zip(parts, paths, strict=True):
        part.replace(path)
