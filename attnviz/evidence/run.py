"""The tests of one photo's maps, one after the other, and the record of what they found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from attnviz.errors import ConfigError, ModelError
from attnviz.evidence import maps
from attnviz.evidence.curves import DRAWS, STEPS, Course, Curve, curves, passes as curve_passes
from attnviz.evidence.leaving import blocks, correlations, drops, in_blocks, photos as left_out, violations
from attnviz.evidence.reading import Reader, probabilities
from attnviz.evidence.removal import HOWS, How, Removal
from attnviz.evidence.verdict import Verdict, judge
from attnviz.network import NOTHING_ASKED
from attnviz.stats import spearman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnviz.network import Asked, Network
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace


TINY = 1e-30
"""A probability that rounds to none has a logarithm all the same."""


@runtime_checkable
class Dissectable(Protocol):
    """A network that can be taken apart, which two more tests need: ours can."""

    def randomised(self, seed: int = 0, coarse: bool = False) -> Iterator[tuple[str, Network]]:
        """The same network with more and more of its layers' parameters in random order, from the attention down, and
        the name of the layer that was last (Adebayo et al. 2018, arXiv:1810.03292); `coarse`: in few steps."""

    def unfocused(self) -> Network:
        """The same network, its attention uniform (Wiegreffe and Pinter 2019, arXiv:1908.04626)."""


@dataclass(frozen=True)
class Settings:
    """How maps are tested.

    Args:
        how: what stands where a cell was: "blur" or "mean".
        steps: parts that the cells are divided into for deletion and insertion.
        draws: random orders (each is read backwards too).
        seed: of these, and of randomised weights.

    Raises:
        ConfigError: another `how`, or numbers that are not positive.
    """

    how: How = "blur"
    steps: int = STEPS
    draws: int = DRAWS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise ConfigError(f"cells are removed by {' or '.join(HOWS)}, not {self.how!r}")
        for name, least, value in (("steps", 2, self.steps), ("draws", 1, self.draws), ("seed", 0, self.seed)):
            if type(value) is not int or value < least:
                raise ConfigError(f"{name} must be a whole number from {least}, not {value!r}")


@dataclass(frozen=True, eq=False)
class WordEvidence:
    """What the tests found for one word.

    Attributes:
        index, token: the word, numbered from 0.
        probability: in the photo, given the words before; `without`: where no cell of the photo is left.
        entropy, effective_cells, peak, change: of its map, as in `Step`.
        on_image: share of its attention that lies on the picture at all; None where the network does not tell.
        deletion, insertion: see `curves`.
        correlation, violation: of weight and drop when cells are left out one by one; see `leaving`.
        shift, interference: see `maps`.
        randomised: layer -> rank correlation of its map with the map once that layer and those above are random; None
            where one of the two is even.
        unfocused: by what factor its probability changes when attention is uniform; None where that cannot be tried.
        verdict: what all that says.
    """

    index: int
    token: str
    probability: float
    without: float
    entropy: float
    effective_cells: float
    peak: tuple[int, int]
    change: float | None
    on_image: float | None
    deletion: Curve
    insertion: Curve
    correlation: float | None
    violation: float
    shift: maps.Shift
    interference: maps.Interference | None
    randomised: dict[str, float | None]
    unfocused: float | None
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the tests found for one photo's sentence.

    Attributes:
        trace: the maps that were tested, of the words as given, with the verdicts in it.
        words: one record a word.
        sinks: cells (row, column) that are strong at nearly every word.
        passes: photos that the network has read for this: the cost.
        settings: how it was tested.
        lacking: why the map was not compared with one by gradient, of a network that could have one.
    """

    trace: Trace
    words: tuple[WordEvidence, ...]
    sinks: tuple[tuple[int, int], ...]
    passes: int
    settings: Settings = field(default_factory=Settings)
    lacking: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "caption": self.trace.caption,
            "model": self.trace.model,
            "mode": self.trace.mode,
            "image": None if self.trace.image is None else self.trace.image.to_dict(),
            "settings": asdict(self.settings),
            "passes": self.passes,
            "sinks": [list(cell) for cell in self.sinks],
            "words": [plain(asdict(word)) for word in self.words],
        }


def check(
    network: Network,
    photo: Photo,
    asked: Asked = NOTHING_ASKED,
    settings: Settings | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evidence:
    """Tests whether the maps of one photo's words show what the words hang on.

    Args:
        network: any; one that is `Dissectable` gets two tests more.
        photo: as `attnviz.photo.image.load` gives it.
        asked: with given words, or without, and then the network writes them first.
        settings: how to test.
        progress: called with (photos read, photos to read).

    Raises:
        ModelError: the network tells no probabilities, wrote nothing, or reads its own words as others.
    """
    settings = settings or Settings()
    words = asked.text_of(0) or network.describe([network.prepare(photo, asked)], asked)[0].caption
    total = [0]
    reader = Reader.of(network, photo, asked, words, lambda done: progress(min(done, total[0]), total[0]))
    trace = reader.read(photo).joined()
    if not len(trace) or trace.frame is None:
        raise ModelError(f"{network.name} wrote no word over {photo.name}, so there is no map to test")
    parts = blocks(trace.frame)
    count = len(trace)
    second = reader.second(network.prepare(reader.photo, reader.asked)) if asked.map == "attention" else None
    layers = 12 if isinstance(network, Dissectable) else 0  # about; only the bar depends on it
    compared = count if second is None else 2 * count
    total[0] = curve_passes(compared, settings.steps, settings.draws) + int(parts.max()) + 1 + layers
    progress(0, total[0])
    removal = Removal(reader.photo, trace.frame, settings.how)
    course = Course(removal, trace.frame, settings.steps, settings.draws, settings.seed)
    found = curves(reader, course, trace.weights, second)
    weights = in_blocks(trace.weights, parts)
    fallen = drops(reader.logprobs(left_out(removal, parts)), np.log(np.maximum(found.whole, TINY)))
    shifts, related = maps.shifts(weights, fallen), correlations(weights, fallen)
    against, like = violations(weights, fallen), maps.interference(trace.weights)
    random, factors = _dissected(reader, trace, found.whole, settings.seed)
    progress(total[0], total[0])
    steps = trace.steps
    verdicts = [
        judge(found.deletion[i], found.insertion[i], related[i], against[i], shifts[i], maps.even(trace.weights[i]))
        for i in range(count)
    ]
    return Evidence(
        replace(trace, verdicts=tuple((verdict.kind, verdict.reason) for verdict in verdicts)),
        tuple(
            WordEvidence(
                index=i,
                token=trace.tokens[i],
                probability=float(found.whole[i]),
                without=float(found.nothing[i]),
                entropy=steps[i].entropy,
                effective_cells=steps[i].effective_cells,
                peak=steps[i].peak,
                change=steps[i].change,
                on_image=None if trace.on_image is None else float(trace.on_image[i]),
                deletion=found.deletion[i],
                insertion=found.insertion[i],
                correlation=related[i],
                violation=against[i],
                shift=shifts[i],
                interference=like[i],
                randomised={name: row[i] for name, row in random.items()},
                unfocused=None if factors is None else float(factors[i]),
                verdict=verdicts[i],
            )
            for i in range(count)
        ),
        tuple(maps.sinks(trace.weights)),
        reader.passes,
        settings,
        reader.lacking,
    )


def _dissected(
    reader: Reader, trace: Trace, whole: np.ndarray, seed: int
) -> tuple[dict[str, list[float | None]], np.ndarray | None]:
    """Rank correlations of the maps with those of randomised networks, and the factors under uniform attention."""
    network = reader.network
    if not isinstance(network, Dissectable):
        return {}, None
    layers = {}
    for name, other in network.randomised(seed):
        (read,) = reader.traces([reader.photo], other)
        layers[name] = [spearman(own, new) for own, new in zip(trace.weights, read.weights, strict=True)]
    even = probabilities(reader.logprobs([reader.photo], network.unfocused())[0])
    return layers, even / np.maximum(whole, TINY)


def plain(value: Any) -> Any:
    """Arrays and tuples as lists, numpy's numbers as Python's."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value
