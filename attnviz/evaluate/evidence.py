"""Evidence over many photos: what the maps of networks are worth on a split, and whether focus tells what is right.

Of each photo the first given caption is read and its maps are tested (`evidence.several`); then each network writes its
own caption, and how focused its maps are is kept beside how likely it held its words. averages.py makes means of it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz._version import __version__
from attnviz.data.words import is_content
from attnviz.errors import ConfigError, DataError
from attnviz.evaluate.kept import Kept
from attnviz.evidence.several import PhotoScores, Protocol, Subject, examine
from attnviz.limits import EVIDENCE_PHOTOS
from attnviz.network import Asked, Seeing

if TYPE_CHECKING:
    import os

    from attnviz.data import Record, Split
    from attnviz.network import Network
    from attnviz.photo.image import Photo

Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Measured:
    """What was measured of one network.

    Attributes:
        model, mode: its name and score function.
        photos: image -> what was found, as `Kept` has it, in the order of the sample.
    """

    model: str
    mode: str | None
    photos: dict[str, dict[str, Any]] = field(repr=False)


def sample(split: Split, photos: int, seed: int = 0) -> list[int]:
    """The numbers of `photos` records with captions, drawn without replacement: the first of a longer sample.

    Raises:
        DataError: the split has no captions.
    """
    able = [number for number, record in enumerate(split) if record.captions]
    if not able:
        raise DataError(f"{split.lines}: has no captions to read")
    return [able[place] for place in np.random.default_rng(seed).permutation(len(able))[:photos]]


def measure(
    networks: Sequence[Network],
    split: Split,
    folder: str | os.PathLike[str],
    *,
    photos: int = EVIDENCE_PHOTOS,
    protocol: Protocol | None = None,
    beam: int | None = None,
    progress: Progress = lambda new, done, left: None,
) -> list[Measured]:
    """Tests the maps of networks on photos of a split; what an earlier run left in `folder` is not measured again.

    Args:
        networks: several are quicker together, where they see alike.
        folder: where each photo's numbers are kept, in a file for each network.
        photos: how many, drawn from the split by the protocol's seed.
        beam: sentences searched for the networks' own captions; None for their own choice.
        progress: called with (photos measured now, photos done, photos left).

    Raises:
        ConfigError: two networks have one name and mode.
        DataError: for a split without captions, or a folder where something else was measured.
        ImageError: for a photo that cannot be read.
        ModelError: a network reads no given words, or tells no probabilities.
        OutputError: the folder cannot be written.
    """
    protocol, asked = protocol or Protocol(), Asked(beam=beam)
    for network in networks:
        network.check(asked)
        network.check(Asked("a word"))
    called = [_name(one) for one in networks]
    if again := next((name for name in called if called.count(name) > 1), None):
        raise ConfigError(f"two networks are called {again}; measure one of them in a run and a folder of its own")
    chosen = sample(split, photos, protocol.settings.seed)
    facts = {
        "attnviz": __version__,
        "data": hashlib.sha256(split.lines.read_bytes()).hexdigest(),
        "protocol": protocol.to_dict(),
        "beam": beam,
    }
    kept = [
        Kept(folder, name, facts | {"network": one.fingerprint()}) for name, one in zip(called, networks, strict=True)
    ]
    names = [split[number].image for number in chosen]
    todo = [place for place, name in enumerate(names) if any(name not in one.photos for one in kept)]
    progress(0, len(chosen) - len(todo), len(todo))
    subjects: list[Subject] = []
    for new, place in enumerate(todo, 1):
        subjects = subjects or [Subject.of(network, protocol.settings.seed) for network in networks]
        record, number = split[chosen[place]], chosen[place]
        (photo,) = split.photos(number, number + 1)
        left = [i for i, one in enumerate(kept) if record.image not in one.photos]
        task = _Task(photo, record, protocol, asked, second=place % protocol.second == 0)
        for i, found in task.run([(i, subjects[i]) for i in left]):
            kept[i].add(record.image, found)
        progress(new, len(chosen) - len(todo) + new, len(todo) - new)
    return [
        Measured(network.name, network.mode, {name: one.photos[name] for name in names})
        for network, one in zip(networks, kept, strict=True)
    ]


@dataclass(frozen=True)
class _Task:
    """What is to be measured of one photo."""

    photo: Photo
    record: Record
    protocol: Protocol
    asked: Asked
    second: bool

    def run(self, subjects: Sequence[tuple[int, Subject]]) -> Iterator[tuple[int, dict[str, Any]]]:
        """What was found for each of the numbered subjects; those that see alike are tested together."""
        groups: dict[Any, list[tuple[int, Subject]]] = {}
        for number, subject in subjects:
            groups.setdefault(subject.eyes or number, []).append((number, subject))
        words = self.record.captions[0].words
        given = Asked(" ".join(words))
        for group in groups.values():
            together = [subject for _, subject in group]
            tested = examine(
                together, self.photo, given, self._choose, self.protocol, second=self.second, count=len(words)
            )
            spoken = self._captions([subject.network for subject in together])
            for (number, _), scores, caption in zip(group, tested, spoken, strict=True):
                yield number, {"given": _given(words, scores), "own": caption}

    def _choose(self, known: Sequence[int]) -> list[int]:
        """Some of the first caption's words that a network knows: the same for all networks that know them."""
        words = self.record.captions[0].words
        seed = [self.protocol.settings.seed, zlib.crc32(self.record.image.encode())]
        order = [word for word in np.random.default_rng(seed).permutation(len(words)).tolist() if word in set(known)]
        content = [word for word in order if is_content(words[word])][: self.protocol.content]
        function = [word for word in order if not is_content(words[word])][: self.protocol.function]
        return sorted([*content, *function])

    def _captions(self, networks: Sequence[Network]) -> list[list[dict[str, Any]]]:
        """For each network the words that it writes itself, with their probability and how focused their maps are."""
        prepared, found = [networks[0].prepare(self.photo, self.asked)], []
        if isinstance(networks[0], Seeing):
            prepared = networks[0].see(prepared)
        for network in networks:
            (trace,) = network.describe(prepared, self.asked)
            trace = trace.joined()
            likely = [None] * len(trace) if trace.logprobs is None else [float(value) for value in trace.logprobs]
            found.append(
                [
                    {"token": token, "logprob": logprob, "entropy": step.entropy, "cells": step.effective_cells}
                    for token, logprob, step in zip(trace.tokens, likely, trace.steps, strict=True)
                ]
            )
        return found


def _given(words: Sequence[str], scores: PhotoScores | None) -> dict[str, Any] | None:
    """The scores of a given caption's words, JSON-ready; None where the network could not be tested on it."""
    if scores is None:
        return None
    told = [{"content": is_content(words[one.index]), **one.to_dict()} for one in scores.words]
    return {"words": told, "sinks": scores.sinks, "passes": scores.passes}


def _name(network: Network) -> str:
    return "-".join(filter(None, (network.name, network.mode)))
