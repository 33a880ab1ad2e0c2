"""Arrays: the heatmaps as numbers, on the pixels of the pictures, for other programs to read."""

from __future__ import annotations

import zipfile
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from attnviz.render.names import endings
from attnviz.render.parallel import ordered
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnviz.render.pictures import Pictures

EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's first day: the same input gives the same bytes


def jobs(pictures: Pictures) -> Iterator[Job]:
    """`heatmaps.npz`; of compared traces, those after the first are in `heatmaps-dot.npz` and the like."""
    for number, ending in enumerate(endings(pictures.names)):
        yield Job(f"heatmaps{ending}.npz", partial(write, pictures, number))


def write(pictures: Pictures, number: int, stream: BinaryIO) -> None:
    """Writes an `.npz` that `numpy.load` reads: `density` float32 (S, H, W), `tokens` (S,) and `steps` (S,).

    Density is weight times number of cells; it is NaN where the model saw nothing. Maps are written one by one, so
    a trace of many steps on a large photo takes no more memory than a short one.
    """
    steps = np.array(pictures.steps, np.int64)
    tokens = np.array([pictures.trace.tokens[step] for step in pictures.steps])
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, values in (("steps", steps), ("tokens", tokens)):
            with archive.open(zipfile.ZipInfo(f"{name}.npy", EPOCH), "w") as file:
                np.lib.format.write_array(file, values, version=(1, 0), allow_pickle=False)
        member = zipfile.ZipInfo("density.npy", EPOCH)
        member.compress_type = zipfile.ZIP_DEFLATED
        shape = (len(pictures), *pictures.size)
        with archive.open(member, "w", force_zip64=True) as file:
            layout = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, layout)
            for density in ordered(pictures.panel(number).density, range(len(pictures)), pictures.options.threads):
                file.write(np.ascontiguousarray(density, "<f4").data)
