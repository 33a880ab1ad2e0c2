"""Is every word seen? The colour difference between pictures and photos, where the words have most of their weight.

For each word the pixels that hold the strongest half of its weight are found, and over them the mean difference CIE76
between the picture and the photo: 2.3 is just noticeable, 10 is seen at a glance. Wanted is 10 or more for 98 % of the
words and 20 or more for 90 %, in all six modes, on the photos themselves and on black, white and grey ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))

from cielab import difference

import attnviz
from attnviz.cli.choices import MODES
from attnviz.data import Split
from attnviz.photo.image import Photo, load
from attnviz.render import DrawOptions
from attnviz.render.pictures import Pictures

SIZE = 160  # pixels of the longest side, 10 a cell: a mean over pixels does not need more
PLAIN = {"black": 0, "white": 255, "grey": 128}
WANTED = {10: 98.0, 20: 90.0}  # a difference of at least so much, for so many percent of the words
NOISE = 1e-6  # of a trace that is even but for it
EVEN = 2.0  # the most that the channels of its picture may deviate
SUFFIXES = (".jpg", ".jpeg", ".png")
ROW = "{:<18} {:>6} " + " {:>13}" * 4


def compare_seen(folder: Path, most: int, **options: Any) -> None:
    """Prints a line for each mode: the share of words that are seen, at 10 and at 20.

    Args:
        folder: photos, or a split (see `attnviz.data.Split`).
        most: photos.
        options: of DrawOptions.
    """
    photos = list(photos_of(folder, most))
    drawing = DrawOptions(size=SIZE, **options)
    print(f"Seen, {len(photos)} photos, scale {drawing.scale}, {drawing.cmap}: % of words at a difference of 10, of 20")
    print(ROW.format("mode", "words", "photo", *PLAIN))
    worst = dict.fromkeys(WANTED, 100.0)
    for mode in MODES:
        traces = attnviz.explain(attnviz.load_model("flickr8k", mode=mode), photos)
        found = np.concatenate(
            [seen(trace, photo, drawing) for trace, photo in zip(traces, photos, strict=True)], axis=1
        )
        shares = {least: 100 * (found >= least).mean(axis=1) for least in WANTED}
        cells = [" / ".join(f"{shares[least][column]:.1f}" for least in WANTED) for column in range(len(found))]
        print(ROW.format(mode, found.shape[1], *cells))
        worst = {least: min(worst[least], shares[least].min()) for least in WANTED}
    told = ", ".join(f"{worst[least]:.1f} % at {least} (wanted {share:.0f})" for least, share in WANTED.items())
    print(f"least: {told}  {'yes' if all(worst[least] >= share for least, share in WANTED.items()) else 'NO'}")
    deviation = even(drawing)
    print(f"a trace that is even but for noise of {NOISE}: deviation {deviation:.2f}", end="  ")
    print("yes\n" if deviation <= EVEN else "NO\n")


def photos_of(folder: Path, most: int) -> Iterator[Photo]:
    """The photos of a folder, or those of a split."""
    if not folder.is_dir():
        yield from Split(folder).photos(0, most)
        return
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[:most]:
        yield load(path)


def seen(trace: attnviz.Trace, photo: Photo, options: DrawOptions) -> npt.NDArray[np.float64]:
    """(4, T): the mean difference of each word's strongest half, on the photo and on the plain ones."""
    plain = [Photo(np.full_like(photo.pixels, value), photo.name, None) for value in PLAIN.values()]
    drawn = [Pictures(trace, one, options) for one in (photo, *plain)]
    found = np.empty((len(drawn), len(trace)))
    for index in range(len(trace)):
        half = strongest_half(drawn[0].density(index))
        for row, pictures in enumerate(drawn):
            found[row, index] = difference(pictures.overlay(index)[half], pictures.pixels[half]).mean()
    return found


def strongest_half(density: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """(H, W) bool: the fewest pixels that hold half of the weight."""
    values = np.nan_to_num(density.astype(np.float64)).ravel()
    order = np.argsort(-values)
    count = int(np.searchsorted(np.cumsum(values[order]), values.sum() / 2)) + 1
    mask = np.zeros(values.size, np.bool_)
    mask[order[:count]] = True
    return mask.reshape(density.shape)


def even(options: DrawOptions) -> float:
    """The largest deviation of a channel in the picture of a trace that is even but for noise, on a grey photo."""
    weights = 1 + np.random.default_rng(0).normal(0, NOISE, (1, 16, 16))
    trace = attnviz.Trace((weights / weights.sum()).astype(np.float32), ("a",))
    pictures = Pictures(trace, Photo(np.full((160, 160, 3), 128, np.uint8), "grey", None), options)
    return float(pictures.overlay(0).reshape(-1, 3).std(axis=0).max())
