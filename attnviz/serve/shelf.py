"""Photos that are kept for a while, in memory alone, so that the next question about one is answered at once."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from attnviz.serve.answers import RefusalError

if TYPE_CHECKING:
    from attnviz.evidence import Evidence
    from attnviz.network import Prepared
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace

MOST_PREPARED, MOST_TRACES = 24, 64
"""Of one photo: more networks, or questions, than anybody goes back to."""


@dataclass(eq=False)
class Kept:
    """One photo, and what has been made of it.

    Attributes:
        key: by which it can be asked for; nobody can guess it.
        name: of its file, as it may be shown.
        data: its file.
        shown: it at the size of pictures.
        born: when it came.
        prepared: what networks take of it, with the encoder's work done where that can be kept.
        traces: what they said.
        evidence: what tests of their maps found.
    """

    key: str
    name: str
    data: bytes
    shown: Photo
    born: float
    prepared: OrderedDict[Hashable, Prepared] = field(default_factory=OrderedDict)
    traces: OrderedDict[Hashable, list[Trace]] = field(default_factory=OrderedDict)
    evidence: dict[Hashable, Evidence] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory that it takes, about."""
        of_traces = sum(_size(trace) for traces in self.traces.values() for trace in traces)
        of_prepared = sum(one.nbytes for one in self.prepared.values())
        return len(self.data) + self.shown.pixels.nbytes + of_prepared + of_traces


class Shelf:
    """What is kept: of all photos the ones asked for last, up to a size and an age.

    Args:
        most_bytes: of all of them.
        most_seconds: since one came; asking for it does not make it younger.
        clock: tells the time, in seconds.
    """

    def __init__(self, most_bytes: int, most_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes, self._most_seconds, self._clock = most_bytes, most_seconds, clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._secret = secrets.token_bytes(32)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Memory that all take, about."""
        return sum(kept.nbytes for kept in self._kept.values())

    def key_of(self, data: bytes, name: str) -> str:
        """The key of a photo: the same for the same bytes and name, as long as the server runs."""
        found = hashlib.blake2b(name.encode("utf-8", "surrogatepass") + b"\0", key=self._secret, digest_size=16)
        found.update(data)
        return found.hexdigest()

    def add(self, key: str, name: str, data: bytes, shown: Photo) -> Kept:
        """Puts a photo on the shelf."""
        kept = self._kept[key] = Kept(key, name, data, shown, self._clock())
        return kept

    def find(self, key: str) -> Kept | None:
        """A photo that is kept still."""
        self.sweep()
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def get(self, key: str) -> Kept:
        """A photo that is kept still. Raises RefusalError."""
        if (kept := self.find(key)) is None:
            raise RefusalError(404, "this photo is no longer kept; send it once more")
        return kept

    def sweep(self) -> float:
        """Forgets what is too old or too much; gives the seconds after which the next one will be too old."""
        now = self._clock()
        for key in [key for key, kept in self._kept.items() if now - kept.born >= self._most_seconds]:
            del self._kept[key]
        while self._kept and self.nbytes > self._most_bytes:
            self._kept.popitem(last=False)
        ages = [now - kept.born for kept in self._kept.values()]
        return self._most_seconds - max(ages, default=0.0)


def remember(some: OrderedDict[Hashable, Any], key: Hashable, value: Any, most: int) -> None:
    """Keeps a value, and of all the newest."""
    some[key] = value
    some.move_to_end(key)
    while len(some) > most:
        some.popitem(last=False)


def _size(trace: Trace) -> int:
    arrays = (trace.weights, trace.scores, trace.channel_weights, trace.logprobs)
    return 1000 + sum(array.nbytes for array in arrays if array is not None)
