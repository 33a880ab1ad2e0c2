"""Parameter types: each turns an option's text into a value, or says in one line what it should look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # generic only since click 8.4

Known = Callable[[click.Context], Iterable[str]]


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the names close to `word`, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), list(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


class Name(_Type):
    """One of a few names; a wrong one gets the close ones.

    Args:
        kind: what the names are of, for messages.
        names: the accepted ones.
        old: earlier ones, accepted and not offered.
    """

    name = "name"

    def __init__(self, kind: str, names: Iterable[str], old: Iterable[str] = ()) -> None:
        self.kind, self.names, self.old = kind, tuple(names), tuple(old)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "|".join(self.names)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in (*self.names, *self.old):
            close = suggestion(str(value), self.names)
            self.fail(
                f"no {self.kind} is called {str(value)!r}{close or '; there are ' + ', '.join(self.names)}", param, ctx
            )
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        return [item(name) for name in self.names if name.startswith(incomplete)]


class Names(Name):
    """Several of a few names, with commas between: a tuple, each once, in the order given.

    Args:
        kind, names: as of Name.
        repeats: a name that comes again counts once; without it, it is an error.
    """

    def __init__(self, kind: str, names: Iterable[str], *, repeats: bool = True) -> None:
        super().__init__(kind, names)
        self.repeats = repeats

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"{self.names[0]},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        found = [super(Names, self).convert(part.strip(), param, ctx) for part in str(value).split(",")]
        distinct = tuple(dict.fromkeys(found))
        if len(distinct) < len(found) and not self.repeats:
            again = next(name for name in distinct if found.count(name) > 1)
            self.fail(f"the {self.kind} {again} is named twice; name each once", param, ctx)
        return distinct

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        return _next_of(self.names, incomplete)


class Steps(_Type):
    """Step numbers like 1-5,8, counted from 0 as in the file names; kept as text, since only a trace knows its end."""

    name = "steps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from attnviz.errors import ConfigError
        from attnviz.render.options import parse_steps

        # A preset may hold a list of numbers.
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        try:
            parse_steps(text)
        except ConfigError as error:
            self.fail(str(error).removeprefix("steps: "), param, ctx)
        return text


class Layers(_Type):
    """Layers of a network: all, last, or numbers from 0 such as 8 or 10-20; `several`: such with commas between."""

    name = "layers"

    def __init__(self, several: bool = False) -> None:
        self.several = several

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "1,6,12" if self.several else "all|last|N|N-N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from attnviz.errors import ConfigError
        from attnviz.network import parse_layers

        if isinstance(value, tuple):
            return value
        chosen = [part.strip() for part in str(value).split(",")] if self.several else [str(value)]
        try:
            for text in chosen:
                parse_layers(text)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        if len(set(chosen)) < len(chosen):
            self.fail("the same layers are named twice; name each once", param, ctx)
        return tuple(chosen) if self.several else chosen[0]


class Head(_Type):
    """How a network's heads become one map: mean, max, or a head's number from 0."""

    name = "head"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "mean|max|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text not in ("mean", "max") and not (text.isascii() and text.isdigit() and len(text) <= 4):
            self.fail(f"{text!r} is no head; give mean, max, or a head's number from 0", param, ctx)
        return text


class Size(_Type):
    """The longest side of the pictures in pixels, or `original`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        text = str(value).strip().lower()
        if text == "original":
            return text
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
            self.fail(f"{str(value)!r} is no size; give the longest side in pixels, or 'original'", param, ctx)
        return int(text)


class HostName(_Type):
    """The name of a machine, or its address in numbers."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        import ipaddress
        import re

        text = str(value).strip().lower().removeprefix("[").removesuffix("]")
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", text) or text[-1].isdigit():
                self.fail(f"{str(value)!r} is no host; give a name such as localhost, or an address", param, ctx)
        return text


class File(_Type):
    """The path of a file; whoever reads it says what is wrong with it.

    Args:
        names: what else may stand in its place, such as presets of the command; for completion.
        folder: whether the path is of a folder.
    """

    name = "file"

    def __init__(self, names: Known = lambda ctx: (), *, folder: bool = False) -> None:
        self.names, self.folder = names, folder

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        found = [item(name) for name in self.names(ctx) if name.startswith(incomplete)]
        return [*found, item("", "dir" if self.folder else "file")]


class Paths(_Type):
    """Names or paths with commas between: a tuple.

    Args:
        names: those that are known; for completion.
    """

    name = "paths"

    def __init__(self, names: Known = lambda ctx: ()) -> None:
        self.names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        paths = tuple(part.strip() for part in str(value).split(",") if part.strip())
        if not paths:
            self.fail("is empty; give a name or a path", param, ctx)
        return paths

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        last = incomplete.rpartition(",")[2]
        return _next_of([*self.names(ctx), *_paths(last)], incomplete)


def item(value: str, kind: str = "plain") -> Any:
    """A completion: see `shells` for its kinds."""
    from click.shell_completion import CompletionItem

    return CompletionItem(value, kind)


def _next_of(names: Iterable[str], incomplete: str) -> list[Any]:
    """What can stand after the last comma: the names that are not before it; a comma may follow."""
    before, comma, last = incomplete.rpartition(",")
    given = [part.strip() for part in before.split(",")]
    return [item(f"{before}{comma}{name}", "open") for name in names if name.startswith(last) and name not in given]


def _paths(start: str) -> list[str]:
    """The files and folders, these with a slash, whose paths begin so."""
    folder, slash, beginning = start.rpartition("/")
    try:
        found = sorted(Path(folder + slash).iterdir())
    except OSError:
        return []
    names = [f"{path.name}/" if path.is_dir() else path.name for path in found]
    return [folder + slash + name for name in names if name.startswith(beginning) and not name.startswith(".")]
