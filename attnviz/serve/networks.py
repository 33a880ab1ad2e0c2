"""The networks on offer; each is loaded when it is first asked for, by the worker."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnviz.errors import ModelError
from attnviz.network import Layered, Prompted, Seeing
from attnviz.serve.asks import Source

if TYPE_CHECKING:
    from attnviz.network import Network

Load = Callable[[str, "str | None"], "Network"]


@dataclass(frozen=True)
class Offer:
    """A model that may be asked.

    Attributes:
        name: what it is called here.
        model: what `load` takes.
        modes: its score functions, the one that is taken first; none where there is nothing to choose.
    """

    name: str
    model: str
    modes: tuple[str, ...] = ()


class Networks:
    """What is on offer.

    Args:
        offers: the models; the first one is loaded at once.
        load: opens a network by `Offer.model` and mode. Called by the worker alone.
    """

    def __init__(self, offers: Sequence[Offer], load: Load) -> None:
        self.offers = tuple(offers)
        self._load = load
        self._loaded: dict[Source, Network] = {}
        self._eyes: dict[Source, Hashable] = {}
        self.error: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the first one is there."""
        return bool(self._loaded)

    @property
    def first(self) -> Source:
        """The one that answers where none is named."""
        return self.source(None, None)

    def source(self, name: str | None, mode: str | None) -> Source:
        """A network by name and mode; None for what comes first. Raises ModelError for one that is not on offer."""
        names = {offer.name: offer for offer in self.offers}
        if name is not None and name not in names:
            raise ModelError(f"no model here is called {name!r}; {_hint(name, names)}")
        offer = self.offers[0] if name is None else names[name]
        if mode is not None and mode not in offer.modes:
            told = _hint(mode, offer.modes) if offer.modes else "it has none to choose"
            raise ModelError(f"the model {offer.name} has no mode {mode!r}; {told}")
        return Source(offer.name, mode or (offer.modes[0] if offer.modes else None))

    def split(self, text: str) -> tuple[str, str | None]:
        """Name and mode in "flickr8k:dot"; the names of some models have colons themselves."""
        name, colon, mode = text.rpartition(":")
        return (name, mode) if colon and any(name == offer.name for offer in self.offers) else (text, None)

    def load(self, source: Source) -> Network:
        """A network, loaded where it is not there yet. Raises ModelError. For the worker alone."""
        if source not in self._loaded:
            (offer,) = (offer for offer in self.offers if offer.name == source.model)
            network = self._load(offer.model, source.mode)
            self._eyes[source] = network.eyes() if isinstance(network, Seeing) else source
            self._loaded[source] = network
        return self._loaded[source]

    def eyes(self, source: Source) -> Hashable:
        """What a loaded network sees with: equal for those that see alike."""
        return self._eyes[source]

    def to_dict(self) -> list[dict[str, Any]]:
        """What there is to choose, JSON-ready."""
        return [self._told(offer) for offer in self.offers]

    def _told(self, offer: Offer) -> dict[str, Any]:
        """What there is to choose of one; None for layers and prompt where it has none, or is not there yet."""
        network = next((one for source, one in list(self._loaded.items()) if source.model == offer.name), None)
        depth = getattr(network, "depth", None)
        layers = depth if isinstance(network, Layered) and isinstance(depth, int) else None
        prompt = network.prompt if isinstance(network, Prompted) else None
        return {"name": offer.name, "modes": list(offer.modes), "layers": layers, "prompt": prompt}


def _hint(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
