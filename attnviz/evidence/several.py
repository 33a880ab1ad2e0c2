"""The tests of one photo's sentence at the price that averages over many photos can pay, for several networks at once.

Fewer parts and orders than `check` has, and larger blocks to leave out; and only some words get curves of their own.
What does not depend on a map is read once for all words; where networks have equal eyes (`network.Seeing`), what is
seen of a photo serves them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.errors import ConfigError
from attnviz.evidence import maps
from attnviz.evidence.curves import Course, Curve
from attnviz.evidence.leaving import blocks, correlations, drops, in_blocks, photos as left_out, violations
from attnviz.evidence.reading import Reader, probabilities, together
from attnviz.evidence.removal import Removal
from attnviz.evidence.run import TINY, Dissectable, Settings, plain
from attnviz.evidence.verdict import Verdict, judge
from attnviz.network import Seeing
from attnviz.stats import spearman

if TYPE_CHECKING:
    from attnviz.network import Asked, Network, Prepared
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace

PARTS, DRAWS = 5, 3
"""Of the curves: half of what `check` takes, since the mean over many photos does the rest."""

Choose = Callable[[Sequence[int]], Sequence[int]]
"""Of the numbers of the words that a network knows, those that get curves of their own."""


@dataclass(frozen=True)
class Protocol:
    """What is done with each of many photos.

    Args:
        settings: how cells are removed, in how many parts, and how many random orders there are.
        blocks: the most photos with a block of cells left out.
        content, function: of each caption, so many words of either kind get curves of their own.
        second: the second map is compared on one of so many photos.

    Raises:
        ConfigError: a number that is not positive.
    """

    settings: Settings = field(default_factory=lambda: Settings(steps=PARTS, draws=DRAWS))
    blocks: int = 64
    content: int = 2
    function: int = 1
    second: int = 4

    def __post_init__(self) -> None:
        for name in ("blocks", "content", "function", "second"):
            if type(value := getattr(self, name)) is not int or value < 1:
                raise ConfigError(f"{name} must be a whole number from 1, not {value!r}")

    @classmethod
    def seeded(cls, seed: int) -> Protocol:
        """The protocol with another seed."""
        return cls(Settings(steps=PARTS, draws=DRAWS, seed=seed))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class WordScores:
    """What the tests found for one word; fields as in `WordEvidence`, and None where a test was not made.

    Attributes:
        log_unfocused: the logarithm of the factor by which uniform attention changes its probability.
    """

    index: int
    token: str
    probability: float
    without: float
    entropy: float
    effective_cells: float
    correlation: float | None
    violation: float
    shift: maps.Shift
    randomised: dict[str, float | None]
    log_unfocused: float | None
    deletion: Curve | None = None
    insertion: Curve | None = None
    verdict: Verdict | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; of the curves only the areas, of the verdict its kind."""
        found: dict[str, Any] = plain(asdict(self))
        for name in ("deletion", "insertion"):
            if found[name] is not None:
                del found[name]["values"]
        found["verdict"] = None if self.verdict is None else self.verdict.kind
        return found


@dataclass(frozen=True, eq=False)
class PhotoScores:
    """What the tests found for one photo's sentence and one network.

    Attributes:
        words: those that the network knows.
        sinks: how many cells are strong at nearly every word.
        passes: photos that the network has read for this.
    """

    words: tuple[WordScores, ...]
    sinks: int
    passes: int


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, and what `Dissectable` makes of it, made once for all photos.

    Attributes:
        layers: name of the layer that was put in random order last -> network.
        unfocused: the network with uniform attention; None where that cannot be tried.
        eyes: see `Seeing`; None where a network does not tell.
        alike: those of these networks that have the same eyes.
    """

    network: Network
    layers: dict[str, Network]
    unfocused: Network | None
    eyes: str | None
    alike: frozenset[Network]

    @classmethod
    def of(cls, network: Network, seed: int = 0) -> Subject:
        """The subject that is made of a network; `seed` is of the random order."""
        layers = dict(network.randomised(seed, coarse=True)) if isinstance(network, Dissectable) else {}
        unfocused = network.unfocused() if isinstance(network, Dissectable) else None
        eyes = _eyes(network)
        others = [*layers.values(), *([] if unfocused is None else [unfocused])]
        alike = [other for other in others if eyes is not None and _eyes(other) == eyes]
        return cls(network, layers, unfocused, eyes, frozenset([network, *alike]))


def examine(
    subjects: Sequence[Subject],
    photo: Photo,
    asked: Asked,
    choose: Choose,
    protocol: Protocol,
    *,
    second: bool = False,
    count: int | None = None,
) -> list[PhotoScores | None]:
    """Tests one photo's sentence.

    Args:
        subjects: one network, or several with equal eyes.
        photo: as `attnviz.photo.image.load` gives it.
        asked: with the given words.
        choose: which words get curves of their own.
        protocol: how cells are taken away, and how often.
        second: whether the second map is compared too, where there is one.
        count: how many words there have to be.

    Returns:
        For each subject its scores; None where it reads the text as another number of words than `count`, or shows
        no map.

    Raises:
        ModelError: a network tells no probabilities.
    """
    first = Reader.of(subjects[0].network, photo, asked, asked.text_of(0) or "", lambda passes: None)
    tests = [_Test(one, replace(first, network=one.network), protocol) for one in subjects]
    able = [test for test in tests if len(test.trace) and len(test.trace) == (count or len(test.trace))]
    frame = next((test.trace.frame for test in able), None)
    if frame is None:
        return [None] * len(subjects)
    settings = protocol.settings
    removal = Removal(first.photo, frame, settings.how)
    course = Course(removal, frame, settings.steps, settings.draws, settings.seed)
    parts = blocks(frame, protocol.blocks)
    readers = [test.reader for test in able]
    for test, read in zip(
        able, together(readers, chain(course.chance_photos(), left_out(removal, parts))), strict=True
    ):
        test.take(read, course, parts)
        test.follow(choose, course, second)
    return [test.scores() if test in able else None for test in tests]


class _Test:
    """One network's tests of one sentence."""

    def __init__(self, subject: Subject, reader: Reader, protocol: Protocol) -> None:
        self.subject, self.reader, self.protocol = subject, reader, protocol
        self.whole = _seen(subject.network, reader.photo, reader.asked)
        self.trace = self._read(subject.network)
        unknown = set(self.trace.settings.get("unknown", ()))
        self.known = [i for i, token in enumerate(self.trace.tokens) if token not in unknown]

    def _read(self, network: Network, asked: Asked | None = None) -> Trace:
        # What other eyes would see has to be seen by them.
        alike = network in self.subject.alike
        whole = self.whole if alike else _seen(network, self.reader.photo, self.reader.asked)
        self.reader.count(1)
        (found,) = network.describe([whole], asked or self.reader.asked)
        return found.joined()

    def take(self, read: np.ndarray, course: Course, parts: np.ndarray) -> None:
        """What all words share: orders that know nothing of the map, and the blocks left out."""
        split = course.chance_count()
        self.chance = course.chance(probabilities(read[:split]))
        self.fallen = drops(read[split:], np.log(np.maximum(self.chance.whole, TINY)))
        self.weights = in_blocks(self.trace.weights, parts)
        self.shifts = maps.shifts(self.weights, self.fallen)
        self.against = violations(self.weights, self.fallen)
        self.related = correlations(self.weights, self.fallen)

    def follow(self, choose: Choose, course: Course, second: bool) -> None:
        """The orders of some words' own maps."""
        self.chosen = list(choose(self.known))
        rows = list(self.chosen)
        orders = [course.orders(self.trace.weights)[word] for word in self.chosen]
        other = self.reader.second(self.whole) if second else None
        if other is not None:
            orders += [course.orders(other)[word] for word in self.chosen]
            rows *= 2
        self.own: dict[int, tuple[Curve, Curve]] = {}
        if not orders:
            return
        p = probabilities(self.reader.logprobs(chain.from_iterable(map(course.order_photos, orders))))
        along = [one[..., word] for one, word in zip(course.along(p), rows, strict=True)]
        for place, word in enumerate(self.chosen):
            beside = None if other is None else along[len(self.chosen) + place]
            self.own[word] = self.chance.curves(word, along[place], beside)

    def scores(self) -> PhotoScores:
        layers = {name: self._read(network).weights for name, network in self.subject.layers.items()}
        even = None if self.subject.unfocused is None else self._read(self.subject.unfocused).logprobs
        steps, whole = self.trace.steps, self.chance.whole

        def scored(word: int) -> WordScores:
            curves = self.own.get(word)
            found = WordScores(
                index=word,
                token=self.trace.tokens[word],
                probability=float(whole[word]),
                without=float(self.chance.nothing[word]),
                entropy=steps[word].entropy,
                effective_cells=steps[word].effective_cells,
                correlation=self.related[word],
                violation=self.against[word],
                shift=self.shifts[word],
                randomised={name: spearman(self.trace.weights[word], other[word]) for name, other in layers.items()},
                log_unfocused=None if even is None else float(even[word] - np.log(max(whole[word], TINY))),
            )
            if curves is None:
                return found
            flat = maps.even(self.trace.weights[word])
            verdict = judge(*curves, found.correlation, found.violation, found.shift, flat)
            return replace(found, deletion=curves[0], insertion=curves[1], verdict=verdict)

        words = tuple(scored(word) for word in self.known)
        return PhotoScores(words, len(maps.sinks(self.trace.weights)), self.reader.passes)


def _eyes(network: Network) -> str | None:
    return network.eyes() if isinstance(network, Seeing) else None


def _seen(network: Network, photo: Photo, asked: Asked) -> Prepared:
    prepared = network.prepare(photo, asked)
    return network.see([prepared])[0] if isinstance(network, Seeing) else prepared
