"""MP4 (H.264), for slides and video programs. Needs PyAV: the extra `video`."""

from __future__ import annotations

import shutil
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt

from attnviz.errors import ConfigError
from attnviz.render.parallel import ordered
from attnviz.render.strip import BACKGROUND
from attnviz.render.writers.base import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnviz.render.pictures import Pictures

RATES = (10, 20, 25, 50)  # frames a second; constant, since many players stumble over rates that vary
QUALITY = 18  # x264's rate factor: visually without loss
MAX_SIDE = 8192  # what players take
THREADS = 2  # a fixed number, so that the same input gives the same bytes on every machine


def jobs(pictures: Pictures) -> Iterator[Job]:
    """`attention.mp4`."""
    require()
    yield Job("attention.mp4", lambda stream: write(pictures, stream))


def require() -> None:
    """Raises ConfigError unless PyAV is there."""
    try:
        import av  # noqa: F401
    except ImportError:
        raise ConfigError("mp4: needs PyAV; pip install 'attnviz[video]'") from None


def write(pictures: Pictures, stream: BinaryIO) -> None:
    """Writes the animation. An MP4 does not say whether to loop; players do.

    Raises:
        ConfigError: PyAV or its H.264 encoder is missing, or the picture is too large.
    """
    require()
    height, width = pictures.empty_still.shape[:2]
    if max(height, width) > MAX_SIDE:
        raise ConfigError(f"mp4: a side of {max(height, width)} pixels is more than {MAX_SIDE}; give a smaller size")
    # FFmpeg reopens the file by its name, to move the index to the front: so that a browser can start at once.
    with tempfile.TemporaryDirectory(prefix="attnviz-") as folder:
        path = Path(folder, "attention.mp4")
        _encode(pictures, str(path), (height, width))
        with path.open("rb") as file:
            shutil.copyfileobj(file, stream)


def _encode(pictures: Pictures, path: str, size: tuple[int, int]) -> None:
    import av

    height, width = size
    # The lowest rate at which every frame lasts as long as it should, to within half a frame at worst.
    lasting = [still.milliseconds for still in pictures.stills]
    rate = next((rate for rate in RATES if all(time * rate % 1000 == 0 for time in lasting)), RATES[-1])
    with av.open(path, "w", options={"movflags": "faststart", "fflags": "+bitexact"}) as container:
        try:
            video = container.add_stream("libx264", rate=rate)
        except (ValueError, av.FFmpegError) as error:
            raise ConfigError(f"mp4: this build of PyAV has no H.264 encoder ({error})") from error
        video.width, video.height = width + width % 2, height + height % 2
        video.pix_fmt = "yuv420p"
        video.options = {
            "crf": str(QUALITY),
            "preset": "fast",
            "tune": "stillimage",
            "threads": str(THREADS),
            "flags": "+bitexact",
        }
        codec = video.codec_context
        codec.color_range = 1  # limited, as yuv420p is taken to be
        codec.colorspace = codec.color_primaries = codec.color_trc = 1  # BT.709
        time = 0
        shown = 0
        for still, pixels in zip(
            pictures.stills, ordered(pictures.still, pictures.stills, pictures.options.threads), strict=True
        ):
            frame = av.VideoFrame.from_ndarray(even(pixels), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            time += still.milliseconds
            while shown * 1000 < time * rate:
                frame.pts, frame.time_base = shown, Fraction(1, rate)
                container.mux(video.encode(frame))
                shown += 1
        container.mux(video.encode(None))


def even(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) with even sides, as H.264 with half the colour resolution wants: a dark row or column is added."""
    height, width = pixels.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(pixels)
    out = np.empty((height + height % 2, width + width % 2, 3), np.uint8)
    out[:] = BACKGROUND
    out[:height, :width] = pixels
    return out
