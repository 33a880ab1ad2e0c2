"""Given words read over changed photos: what each word's probability becomes, in batches, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attnviz.errors import AttnvizError, GradientError, ModelError
from attnviz.network import Seeing
from attnviz.photo.image import Photo

if TYPE_CHECKING:
    from attnviz.network import Asked, Network, Prepared
    from attnviz.trace import Trace

BATCH = 16
"""Photos that a network is given at a time."""

DETAIL = 2.0
"""Pixels of the photo that are kept for a pixel of the network's input; more cannot be seen there."""

Floats = npt.NDArray[np.float64]


@dataclass
class Reader:
    """Reads one sentence over versions of one photo.

    Attributes:
        network: whose probabilities are asked for.
        photo: as it is; made smaller where the network would not see the difference.
        asked: with the words given.
        progress: called with the number of photos read, each time some are.
        passes: photos that have been read.
        lacking: why there is no map by gradient, of a network that could have one.
    """

    network: Network
    photo: Photo
    asked: Asked
    progress: Callable[[int], None] = lambda passes: None
    passes: int = field(default=0, init=False)
    lacking: str | None = field(default=None, init=False)

    @classmethod
    def of(cls, network: Network, photo: Photo, asked: Asked, words: str, progress: Callable[[int], None]) -> Reader:
        """A reader of `words`; the photo is made as small as the network's own input allows."""
        given = replace(asked, text=words, beam=None, hard=None, seed=0)
        return cls(network, _enough(network, photo, given), given, progress)

    def read(self, photo: Photo) -> Trace:
        """Where the network looks at the words in a photo, which is not made smaller."""
        (found,) = self.network.describe([self.network.prepare(photo, self.asked)], self.asked)
        if found.logprobs is None:
            raise ModelError(f"{self.network.name} does not tell its words' probabilities, which evidence needs")
        return found

    def second(self, prepared: Prepared) -> npt.NDArray[np.float32] | None:
        """(T, h, w): the words' maps by gradient, where the network has such a second map."""
        asked = replace(self.asked, map="gradient")
        try:
            self.network.check(asked)
            (found,) = self.network.describe([prepared], asked)
        except GradientError as error:
            self.lacking = str(error)
            return None
        except AttnvizError:  # no such map
            return None
        return found.joined().weights

    def logprobs(self, photos: Iterable[Photo], network: Network | None = None) -> Floats:
        """(n, T): the natural logarithm of each word's probability, given the words before it, for n photos."""
        found = self.traces(photos, network, replace(self.asked, map="attention"))  # of the maps that cost least
        return np.stack([np.asarray(trace.joined().logprobs, np.float64) for trace in found])

    def traces(
        self, photos: Iterable[Photo], network: Network | None = None, asked: Asked | None = None
    ) -> Iterator[Trace]:
        """The words read over each photo, by another network or asked in another way where such are given."""
        reader, asked = network or self.network, asked or self.asked
        for chunk in seen([reader], photos, asked):
            yield from reader.describe(chunk, asked)
            self.count(len(chunk))

    def count(self, photos: int) -> None:
        """So many more have been read."""
        self.passes += photos
        self.progress(self.passes)


def together(readers: Sequence[Reader], photos: Iterable[Photo]) -> list[Floats]:
    """For each reader what its `logprobs` gives; where their networks have equal eyes, photos are seen once for all."""
    rows: list[list[Floats]] = [[] for _ in readers]
    for chunk in seen([reader.network for reader in readers], photos, readers[0].asked):
        for reader, found in zip(readers, rows, strict=True):
            traces = reader.network.describe(chunk, reader.asked)
            found += [np.asarray(trace.joined().logprobs, np.float64) for trace in traces]
            reader.count(len(chunk))
    return [np.stack(found) for found in rows]


def seen(networks: Sequence[Network], photos: Iterable[Photo], asked: Asked) -> Iterator[list[Prepared]]:
    """Photos as any of the networks may describe them, which have equal eyes where they are several, in batches.

    While a batch is seen and read, the next one is made and prepared on a thread of its own.
    """
    first, source = networks[0], iter(photos)

    def some() -> list[Prepared]:
        return [first.prepare(photo, asked) for photo in islice(source, BATCH)]

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(some)
        while prepared := ahead.result():
            ahead = pool.submit(some)
            yield first.see(prepared) if isinstance(first, Seeing) else prepared


def _enough(network: Network, photo: Photo, asked: Asked) -> Photo:
    """The photo with no more pixels than the network's input can show, where its grid then stays the same."""
    from PIL import Image

    frame = network.prepare(photo, asked).frame
    shrink = max(DETAIL * resized / size for resized, size in zip(frame.resized, photo.size, strict=True))
    if shrink >= 1:
        return photo
    height, width = (max(1, round(size * shrink)) for size in photo.size)
    pixels = np.asarray(Image.fromarray(photo.pixels).resize((width, height), Image.Resampling.BOX))
    small = Photo(pixels, photo.name, photo.sha256)
    again = network.prepare(small, asked).frame
    return small if (again.grid, again.input) == (frame.grid, frame.input) else photo


def probabilities(logprobs: Sequence[float] | Floats) -> Floats:
    """exp, kept in [0, 1] against rounding."""
    return np.clip(np.exp(np.asarray(logprobs, np.float64)), 0, 1)
