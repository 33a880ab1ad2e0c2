"""Pictures as arrays, for plots of one's own, and in the logs of a training."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnviz.errors import ConfigError, counted
from attnviz.photo.image import Photo, load
from attnviz.render.options import DrawOptions, options_from
from attnviz.render.overview import Overview
from attnviz.render.pictures import Pictures
from attnviz.trace import Trace
from attnviz.trace.arrays import indices

if TYPE_CHECKING:
    from attnviz.photo.image import Source

Bytes = npt.NDArray[np.uint8]

LOGGED = 640  # pixels of the photo's longest side: dashboards show pictures small


def overlay(trace: Trace, photo: Source | Photo | Any, step: int, **options: Any) -> Bytes:
    """(H, W, 3) uint8: the photo with a step's map on it, as `attnviz.draw` paints it, for plots of one's own.

        plt.imshow(attnviz.overlay(trace, "photo.jpg", 2))

    Args:
        trace: what to paint.
        photo: as `attnviz.photo.image.load` takes it (a path, bytes, a PIL image, an array), or a Photo.
        step: which, counted from 0; below 0 from the end. Of pieces, the words that they make are counted.
        options: the fields of DrawOptions. `size` is that of the photo unless another is given; a scale that is shared
            is that of all steps.

    Raises:
        ConfigError: an unknown option, or a value that cannot be used.
        ImageError: a photo that cannot be read, or of another shape than the traced one.
        TraceError: no such step.
    """
    chosen = options_from(DrawOptions, {"size": "original", **options}, "overlay")
    shown = chosen.shown(trace)
    index = indices([step], len(shown))[0] % len(shown)
    pictures = Pictures(shown, photo if isinstance(photo, Photo) else load(photo), chosen)
    if index not in pictures.steps:
        raise ConfigError(f"overlay: step {index} is not among the steps {chosen.steps!r}; leave steps out")
    return pictures.overlay(pictures.steps.index(index))


def log(
    writer: Any,
    tag: str,
    step: int,
    traces: Trace | Sequence[Trace],
    photos: Any,
    **options: Any,
) -> None:
    """Writes what a network looks at into the log of a training: for each photo all words in one picture.

        attnviz.log(writer, "dev", epoch, attnviz.explain(model, photos), photos)

    Args:
        writer: a `SummaryWriter` of TensorBoard (of torch or tensorboardX), which gets pictures "TAG/NAME" and the
            captions as text; or a run of Weights & Biases, or the module `wandb`, which get the pictures with captions.
        tag: what they are called.
        step: of the training, such as the epoch.
        traces: one or several; those without a step are left out.
        photos: for each its photo, as `attnviz.photo.image.load` takes it, or a Photo.
        options: the fields of DrawOptions; `size` is 640 unless another is given.

    Raises:
        ConfigError: a writer of another kind, or not as many photos as traces.
        AttnvizError: as for `attnviz.draw`.
    """
    several = [traces] if isinstance(traces, Trace) else list(traces)
    sources = [photos] if isinstance(traces, Trace) and not isinstance(photos, list | tuple) else list(photos)
    if len(sources) != len(several):
        raise ConfigError(
            f"log: {counted(len(several), 'trace')}, but {counted(len(sources), 'photo')}; give each its own"
        )
    chosen = options_from(DrawOptions, {"size": LOGGED, **options}, "log")
    send = _sender(writer)
    loaded = [photo if isinstance(photo, Photo) else load(photo) for photo in sources]
    drawn = [(one, photo) for one, photo in zip(several, loaded, strict=True) if len(one)]
    pictures = [Overview(Pictures(chosen.shown(one), photo, chosen)).draw() for one, photo in drawn]
    send(tag, step, pictures, [one.caption for one, _ in drawn], [photo.name for _, photo in drawn])


def _sender(writer: Any) -> Any:
    """What sends pictures (H, W, 3), captions and names to a log under a tag, at a step."""
    if hasattr(writer, "add_image"):

        def to_tensorboard(tag: str, step: int, pictures: list[Bytes], captions: list[str], names: list[str]) -> None:
            for number, (picture, caption, name) in enumerate(zip(pictures, captions, names, strict=True)):
                writer.add_image(f"{tag}/{number:02d}-{name}", picture, step, dataformats="HWC")
                if hasattr(writer, "add_text"):
                    writer.add_text(f"{tag}/{number:02d}-{name}", caption, step)

        return to_tensorboard
    image = getattr(writer, "Image", None) or getattr(sys.modules.get("wandb"), "Image", None)
    if hasattr(writer, "log") and image is not None:

        def to_wandb(tag: str, step: int, pictures: list[Bytes], captions: list[str], names: list[str]) -> None:
            shown = [image(one, caption=caption) for one, caption in zip(pictures, captions, strict=True)]
            writer.log({tag: shown}, step=step)

        return to_wandb
    raise ConfigError(
        f"log: {type(writer).__name__} is neither a SummaryWriter of TensorBoard (add_image) nor a run of Weights & "
        "Biases (log, with wandb imported)"
    )
