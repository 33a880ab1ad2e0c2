"""What attnviz asks of any model that writes words about a photo: the seam through which other people's models come in.

A `Network` takes photos one by one (`prepare` keeps what its input needs, and not the photo) and describes them in
batches (`describe` gives a `Trace` for each). `Asked` is what a user wants of it, checked once, when it is made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

from attnviz.errors import ConfigError, ModelError
from attnviz.files import composed
from attnviz.limits import MOST_BEAMS

if TYPE_CHECKING:
    import numpy as np

    from attnviz.photo.frame import Frame
    from attnviz.photo.image import Photo
    from attnviz.trace import ImageInfo, Trace

Hard = Literal["sample", "argmax"]
View = Literal["all", "overview", "tiles"]
Map = Literal["attention", "gradient"]

VIEWS: tuple[View, ...] = ("all", "overview", "tiles")
MAPS: tuple[Map, ...] = ("attention", "gradient")
HARDS: tuple[Hard, ...] = ("sample", "argmax")


def parse_layers(text: str) -> tuple[int, int] | None:
    """The first and last layer that are meant, -1 for the last there is; None for all of them ("10-20" -> (10, 20)).

    Raises:
        ConfigError: anything else.
    """
    match = re.fullmatch(r"(all)|(last)|([0-9]{1,4})(?:-([0-9]{1,4}))?", str(text))
    if match is None or (match[4] and int(match[4]) < int(match[3])):
        raise ConfigError(f"layers must be all, last, or numbers from 0 such as 8 or 10-20, not {text!r}")
    if match[1]:
        return None
    return (-1, -1) if match[2] else (int(match[3]), int(match[4] or match[3]))


@dataclass(frozen=True)
class Asked:
    """What is asked of a network, the same for all photos of a run but for given words.

    Attributes:
        text: given words, one string for all photos or one for each; None lets the network write.
        prompt: the question or instruction of a network that takes one; None for the network's own.
        beam: sentences searched side by side; 1 is greedy. None for the network's own choice.
        hard: hard attention: one cell gives the context, the best one or one drawn with `seed`.
        seed: of `hard="sample"`.
        layers: whose attention is shown, of a network with several: "all" (their mean), "last", or layers counted from
            0, such as "8" or "10-20" (their mean).
        heads: how the heads become one map: "mean", "max", or a head's number.
        view: of a photo that the network sees several times, "overview", "tiles", or "all" of them as one map.
        map: "attention", or "gradient": the attention times what the word's probability owes to it, without the
            cells that speak against the word.

    Raises:
        ConfigError: a value that nothing can be asked with.
    """

    text: str | Sequence[str] | None = None  # kept as a tuple
    prompt: str | None = None
    beam: int | None = None
    hard: Hard | None = None
    seed: int = 0
    layers: str = "all"
    heads: str = "mean"
    view: View = "all"
    map: Map = "attention"

    def __post_init__(self) -> None:
        if self.text is not None and not isinstance(self.text, str):
            texts: tuple[Any, ...] = tuple(self.text) if hasattr(self.text, "__iter__") else (self.text,)
            if not all(isinstance(text, str) for text in texts):
                raise ConfigError("text must be one string for all images, or a list with one string per image")
            object.__setattr__(self, "text", tuple(map(composed, texts)))
        elif self.text is not None:
            object.__setattr__(self, "text", composed(self.text))  # a decomposed letter is no letter to a vocabulary
        if not isinstance(self.prompt, str | None):
            raise ConfigError(f"prompt must be text, not {self.prompt!r}")
        if self.beam is not None and (type(self.beam) is not int or not 1 <= self.beam <= MOST_BEAMS):
            raise ConfigError(f"the number of beams must be a whole number from 1 to {MOST_BEAMS}, not {self.beam!r}")
        if self.hard not in (None, *HARDS):
            raise ConfigError(f"hard attention is sample or argmax, not {self.hard!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ConfigError(f"seed must be a whole number, not {self.seed!r}")
        if self.view not in VIEWS:
            raise ConfigError(f"view must be {', '.join(VIEWS)}, not {self.view!r}")
        if self.map not in MAPS:
            raise ConfigError(f"map must be {' or '.join(MAPS)}, not {self.map!r}")
        parse_layers(self.layers)
        if not re.fullmatch(r"mean|max|[0-9]{1,4}", str(self.heads)):
            raise ConfigError(f"heads must be mean, max or a head's number from 0, not {self.heads!r}")

    def text_of(self, photo: int) -> str | None:
        """The given words for a photo, by its number from 0 among those that are described."""
        return self.text if isinstance(self.text, str | None) else self.text[photo]

    def part(self, start: int, stop: int) -> Asked:
        """The same for photos [start, stop) alone."""
        return self if isinstance(self.text, str | None) else replace(self, text=self.text[start:stop])

    def changed(self) -> dict[str, Any]:
        """The fields that are not as they are by default, JSON-ready; given words left out."""
        return {
            field.name: value
            for field in fields(self)
            if field.name != "text" and (value := getattr(self, field.name)) != field.default
        }

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return {**asdict(self), "text": list(self.text) if isinstance(self.text, tuple) else self.text}


NOTHING_ASKED = Asked()
"""A caption, as the network itself would write it."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a network needs of one photo, so that the photo itself need not be kept.

    Attributes:
        inputs: whatever the network takes, such as (h, w, 3) uint8 pixels of its input's size.
        frame: how the photo lies on the network's input and grid.
        image: which photo it is.
        nbytes: the memory that `inputs` takes.
    """

    inputs: Any
    frame: Frame
    image: ImageInfo
    nbytes: int


@runtime_checkable
class Network(Protocol):
    """A model that writes words about a photo and tells where it looks at each.

    Attributes:
        name: what the model is called in traces.
        mode: its score function, or what else tells it from others of its name; None where there is no such thing.
        device: a torch.device, or the name of one; "cpu" where there is no torch in it.
        concurrent: whether several threads may call `describe` at once. (`prepare` always may be.)
    """

    @property
    def name(self) -> str: ...

    @property
    def mode(self) -> str | None: ...

    @property
    def device(self) -> Any: ...

    @property
    def concurrent(self) -> bool: ...

    def fingerprint(self) -> str:
        """A text that changes with whatever decides what the network says: weights, configuration, words."""

    def check(self, asked: Asked) -> None:
        """Raises AttnvizError, one line, for what the network cannot do, whatever the photo."""

    def prepare(self, photo: Photo, asked: Asked = NOTHING_ASKED) -> Prepared:
        """What `describe` needs of a photo; the photo is not kept. Called from several threads at once.

        A network may have another frame and grid for every photo.

        Raises:
            AttnvizError: the photo cannot be taken, such as one of an extreme shape.
        """

    def describe(self, prepared: Sequence[Prepared], asked: Asked) -> list[Trace]:
        """Describes photos, or reads given words over them: one trace each, in order.

        A network that writes pieces of words gives a step for each piece, with `Trace.words`: they are joined where
        words are wanted.

        A photo gets the same bits whatever stands beside it. Rounding depends on the shape of a batch and on a photo's
        place in it, so a network that cannot rule that out works photo by photo.

        Args:
            prepared: at least one, from `prepare` with the same `asked`, but for the given words and the beam. A photo
                may come several times, with other words each time.
            asked: `asked.text_of(i)` are the words given for the i-th photo.

        Raises:
            AttnvizError: what `check` would have raised, or a photo the network fails on.
        """


class Guesses(NamedTuple):
    """What a network thought would come at each of T given words: whether its likeliest word was the given one (bool),
    that word's probability as traces tell it, and the same before any calibration (float64); all (T,)."""

    right: np.ndarray
    probability: np.ndarray
    raw: np.ndarray


@runtime_checkable
class Guesser(Network, Protocol):
    """A network that tells how sure it was of given words, so that its probabilities can be held to the truth.

    Attributes:
        temperature: what its scores are divided by before they become the probabilities of a trace; 1 changes nothing.
    """

    @property
    def temperature(self) -> float: ...

    def guesses(self, prepared: Sequence[Prepared], asked: Asked) -> list[Guesses]:
        """One for each photo and the text given for it; `asked` must have a text."""


@runtime_checkable
class Layered(Network, Protocol):
    """A network whose words look at the photo in several layers, which can be shown side by side."""

    def describe_layers(self, prepared: Sequence[Prepared], asked: Asked, layers: Sequence[str]) -> list[list[Trace]]:
        """As `describe`, with a trace for each choice of layers, all recorded while the text is written once.

        Args:
            layers: choices as in `Asked.layers`, which is not looked at.

        Returns:
            For each photo a trace for each choice, in order; their words are the same.
        """


@runtime_checkable
class Prompted(Network, Protocol):
    """A network that is asked a question, or given an instruction.

    Attributes:
        prompt: what it is asked where no prompt is given; "" for nothing.
    """

    @property
    def prompt(self) -> str: ...


@runtime_checkable
class Seeing(Network, Protocol):
    """A network whose look at a photo can be taken once and kept: other words over it then cost only the reading, and
    other networks with the same eyes can read them too."""

    def eyes(self) -> str:
        """What sees, with the frame of a photo in it: equal for networks that see alike."""

    def see(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """The same photos, seen: what any network with equal `eyes` may be given to describe, as often as is wanted.

        The results are the same; but the same words over several photos that were seen may be read in batches, so that
        the last bits of a photo's numbers, and only those, may depend on what stands beside it.
        """


def describe_rows(
    network: Network, prepared: Sequence[Prepared], asked: Asked, layers: Sequence[str]
) -> list[list[Trace]]:
    """For each photo its traces: one for each choice of layers, or, of none, the one that `asked` asks for.

    Raises:
        AttnvizError: as `describe` does, and for choices of layers where there is but one.
    """
    if not layers:
        return [[trace] for trace in network.describe(prepared, asked)]
    if not isinstance(network, Layered):
        raise ModelError(f"{network.name}: there are no layers to choose in this model; leave out --layers")
    return network.describe_layers(prepared, asked, layers)
