"""Networks that other packages install: the entry points of the group `attnviz.networks`.

An entry point NAME = "package.module:load" makes `--model NAME:REST` (or NAME alone) mean `load(REST, mode=...,
device=...)`, which gives a `Network`: REST is whatever the package makes of it, "" where there is none; `mode` is a
score function's name or None; `device` is "auto", "cpu", "cuda" or "mps".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attnviz.errors import AttnvizError, ModelError
from attnviz.network import NOTHING_ASKED, Asked, Prepared

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from attnviz.network import Network
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace

GROUP = "attnviz.networks"

ASKED_OF_A_NETWORK = ("name", "mode", "device", "concurrent", "fingerprint", "check", "prepare", "describe")
"""What the protocol `Network` asks for; a test holds the two equal."""


@dataclass(frozen=True)
class Plugin:
    """A network that a package offers.

    Attributes:
        name: what `--model` calls it.
        package, version, summary: of the package.
        entry: where it is loaded from.
    """

    name: str
    package: str
    version: str
    summary: str
    entry: EntryPoint

    def __str__(self) -> str:
        return f"{self.package} {self.version}, which offers the network {self.name!r}"

    def load(self, rest: str = "", mode: str | None = None, device: str = "auto") -> Network:
        """Imports the package and opens its network.

        Raises:
            ModelError: what goes wrong in the package, in one line that names it.
        """
        with self.named("cannot be imported"):
            factory = self.entry.load()
        with self.named("fails"):
            network = factory(rest, mode=mode, device=device)
            lacking = [name for name in ASKED_OF_A_NETWORK if not hasattr(network, name)]
        if lacking:
            raise ModelError(f"{self}: {type(network).__name__} is no network, it lacks {', '.join(lacking)}")
        return Guarded(network, self)

    @contextmanager
    def named(self, what: str) -> Iterator[None]:
        """Raises ModelError for what goes wrong inside: one line that names the package.

        With ATTNVIZ_TRACEBACK set, as its author would, it is left as it is.
        """
        try:
            yield
        except AttnvizError:
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
                raise
            if os.environ.get("ATTNVIZ_TRACEBACK"):
                raise
            told = " ".join(str(error).split())
            raise ModelError(f"{self}: {what}: {type(error).__name__}{': ' if told else ''}{told[:300]}") from error


class Guarded:
    """A network of another package: what it does wrong is told in one line that names the package."""

    def __init__(self, network: Network, plugin: Plugin) -> None:
        self._network, self._plugin = network, plugin

    def __getattr__(self, name: str) -> Any:
        """Whatever else the network has, such as further capabilities."""
        return getattr(self._network, name)

    @property
    def name(self) -> str:
        return str(self._network.name)

    @property
    def mode(self) -> str | None:
        return None if self._network.mode is None else str(self._network.mode)

    @property
    def device(self) -> Any:
        return self._network.device

    @property
    def concurrent(self) -> bool:
        return bool(self._network.concurrent)

    def fingerprint(self) -> str:
        with self._plugin.named("fails"):
            return str(self._network.fingerprint())

    def check(self, asked: Asked) -> None:
        with self._plugin.named("fails"):
            self._network.check(asked)

    def prepare(self, photo: Photo, asked: Asked = NOTHING_ASKED) -> Prepared:
        with self._plugin.named("fails"):
            found: object = self._network.prepare(photo, asked)
        if not isinstance(found, Prepared):
            raise ModelError(f"{self._plugin}: prepare gives {type(found).__name__}, not attnviz.network.Prepared")
        return found

    def describe(self, prepared: Sequence[Prepared], asked: Asked) -> list[Trace]:
        from attnviz.trace import Trace

        with self._plugin.named("fails"):
            found: list[object] = list(self._network.describe(prepared, asked))
        kinds = {type(one).__name__ for one in found if not isinstance(one, Trace)}
        if kinds or len(found) != len(prepared):
            given = ", ".join(sorted(kinds)) or f"{len(found)} traces"
            raise ModelError(f"{self._plugin}: describe gives {given}, not {len(prepared)} of attnviz.Trace")
        return [one for one in found if isinstance(one, Trace)]


def plugins() -> list[Plugin]:
    """What is installed, by name; nothing of it is imported."""
    from importlib.metadata import entry_points

    found: dict[tuple[str, str], Plugin] = {}
    for entry in entry_points(group=GROUP):
        told = {} if entry.dist is None else entry.dist.metadata.json
        package, version, summary = (str(told.get(key) or "") for key in ("name", "version", "summary"))
        one = Plugin(entry.name, package or entry.module, version, summary, entry)
        found.setdefault((one.name, one.package), one)  # the first on the path is the one that is imported
    return [found[key] for key in sorted(found)]


def offering(name: str) -> Plugin | None:
    """What is installed under a name; None where nothing is. Raises ModelError where two packages offer it."""
    found = [one for one in plugins() if one.name == name]
    if len(found) > 1:
        packages = " and ".join(f"{one.package} {one.version}" for one in found)
        raise ModelError(f"the network {name!r} is offered by {packages}; uninstall one of them")
    return found[0] if found else None
