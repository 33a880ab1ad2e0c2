"""What is wanted: the parameters of a request, checked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from attnviz.errors import ConfigError
from attnviz.network import Asked, parse_layers
from attnviz.serve.answers import RefusalError

if TYPE_CHECKING:
    from attnviz.evidence import Settings
    from attnviz.serve.networks import Networks

MOST_PARTS = 100
"""Parts and draws of a test, as the command line has it."""

MOST_ROWS = 12
"""Networks or layers side by side."""

Params = Mapping[str, Sequence[str]]
"""Name -> the values that were given for it, at least one."""

ASKING = tuple(field.name for field in fields(Asked) if field.name != "layers")
CHOOSING = ("model", "mode", "network", "layers", *ASKING, "pieces")
LOOK = ("scale", "style", "opacity", "cells", "relative", "regions", "steps", "size")
TESTING = ("remove", "parts", "draws")
NUMBERS = ("beam", "seed", "parts", "draws")
FLAGS = ("pieces", "cells", "relative", "regions", "picture")


class Source(NamedTuple):
    """A network by its name and score function; None where there is none to choose."""

    model: str
    mode: str | None


@dataclass(frozen=True)
class Wanted:
    """What is asked, and of whom.

    Attributes:
        sources: networks; the first one writes the words, the others read them.
        asked: see `Asked`.
        layers: choices of layers of the first network, side by side; none for the one of `asked`.
        pieces: whether pieces of words stay apart.
    """

    sources: tuple[Source, ...]
    asked: Asked
    layers: tuple[str, ...] = ()
    pieces: bool = False


def wanted_of(params: Params, networks: Networks) -> Wanted:
    """What some parameters mean.

    Raises:
        RefusalError: several values where one is meant, or too many rows.
        AttnvizError: a value that cannot be used, a network that is not on offer.
    """
    names: Sequence[str | None] = params.get("model", (None,))
    modes: Sequence[str | None] = params.get("mode", (None,))
    pairs = [(name, mode) for name in names for mode in modes]
    if "network" in params:
        if len({"model", "mode"} & params.keys()):
            raise RefusalError(400, "name networks by model and mode, or as network=MODEL:MODE, not both")
        pairs = [networks.split(text) for text in params["network"]]
    sources = tuple(dict.fromkeys(networks.source(*pair) for pair in pairs))
    layers = tuple(dict.fromkeys(params.get("layers", ("all",))))
    for text in layers:
        parse_layers(text)
    if len(layers) > 1 and len(sources) > 1:
        raise RefusalError(422, "layers are compared of one model and mode; name one")
    if len(layers) * len(sources) > MOST_ROWS:
        raise RefusalError(422, f"{len(layers) * len(sources)} rows; at most {MOST_ROWS} stand side by side")
    given = {name: value(params, name) for name in ASKING if name in params}
    asked = Asked(**given, layers=layers[0] if len(layers) == 1 else "all")
    return Wanted(sources, asked, layers if len(layers) > 1 else (), bool(value(params, "pieces", False)))


def look_of(params: Params) -> dict[str, Any]:
    """How pictures are to look: options of DrawOptions."""
    return {name: value(params, name) for name in LOOK if name in params}


def tests_of(params: Params) -> Settings:
    """How maps are to be tested. Raises ConfigError."""
    from attnviz.evidence import Settings

    most = {"parts": MOST_PARTS, "draws": MOST_PARTS}
    given = {name: value(params, name) for name in TESTING if name in params}
    for name, limit in most.items():
        if given.get(name, 0) > limit:
            raise ConfigError(f"{name} must be at most {limit}, not {given[name]}")
    names = {"remove": "how", "parts": "steps", "draws": "draws"}
    return Settings(**{names[name]: one for name, one in given.items()})


def value(params: Params, name: str, otherwise: Any = None) -> Any:
    """The one value of a parameter, as text, number or truth. Raises RefusalError or ConfigError."""
    if name not in params:
        return otherwise
    if len(params[name]) > 1:
        raise RefusalError(400, f"{name} is given {len(params[name])} times; give it once")
    text = params[name][0]
    try:
        if name in NUMBERS:
            return int(text)
        if name == "opacity":
            return float(text)
    except ValueError:
        raise ConfigError(f"{name} must be a number, not {text!r}") from None
    if name in FLAGS:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ConfigError(f"{name} must be true or false, not {text!r}")
        return text.lower() in ("true", "1")
    return text


def check_names(params: Params, known: Sequence[str]) -> None:
    """Raises RefusalError for a parameter that is none."""
    for name in params:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise RefusalError(400, f"no parameter is called {name!r}; {hint}")
