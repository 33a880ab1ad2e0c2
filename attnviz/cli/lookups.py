"""Parameter types whose values are looked up: networks, colour maps and fonts by name, and lengths on paper.

A name that nothing has is wrong usage, and is told before any file is read. A path is not looked at here: whoever reads
the file says what is wrong with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.config import model_names
from attnviz.cli.types import File, Paths, item
from attnviz.errors import ConfigError, ModelError

if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # generic only since click 8.4

FONT_FILES = (".ttf", ".otf", ".ttc")


class Model(File):
    """A network: a bundled model's name, a checkpoint's path, `hf:...`, or one of another package."""

    name = "model"

    def __init__(self) -> None:
        super().__init__(model_names)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if told := _no_network(str(value)):
            self.fail(told, param, ctx)
        return str(value)


class Models(Paths):
    """Several networks, with commas between: a tuple."""

    name = "models"

    def __init__(self) -> None:
        super().__init__(model_names)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        models = super().convert(value, param, ctx)
        if told := next(filter(None, map(_no_network, models)), None):
            self.fail(told, param, ctx)
        return models


def _no_network(name: str) -> str | None:
    """That nothing is called `name`; None where something is, or where it is a path, which its reader opens."""
    path = Path(name)
    if name in model_names() or path.suffix or os.sep in name or "/" in name or path.exists():
        return None
    from attnviz.zoo import nothing_called

    try:
        return nothing_called(name)
    except ModelError:  # two packages offer it, which is no fault of the command line
        return None


class ColourMap(_Type):
    """The name of a colour map: the own one, or one of matplotlib."""

    name = "colour map"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name = str(value)
        if param is None or name != param.default:  # that one is there, without an import of matplotlib
            from attnviz.render.palette import colours

            _ask(self, lambda: colours(name), param, ctx)
        return name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from attnviz.render.palette import names

        # Those that run the other way double the list: they come once the name is there that they turn round.
        known = [name for name in names() if not name.endswith("_r") or incomplete.startswith(name.removesuffix("_r"))]
        return [item(name) for name in known if name.startswith(incomplete)]


class Font(File):
    """The name of a font, or the path of its file."""

    name = "font"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        font = str(value)
        if Path(font).suffix.lower() not in FONT_FILES:
            from attnviz.render.figure.words import find

            _ask(self, lambda: find(font), param, ctx)
        return font


class Length(_Type):
    """The width or height of a page, with its unit: a number alone would be inches to one, millimetres to another."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if not text[-1:].isalpha():
            self.fail(f"{text!r} has no unit; write in or mm after the number, like 3.25in or 85mm", param, ctx)
        if param is None or text != param.default:
            from attnviz.render.figure.options import inches

            _ask(self, lambda: inches(text, str(param.name) if param else self.name), param, ctx)
        return text


def _ask(kind: _Type, known: Callable[[], Any], param: click.Parameter | None, ctx: click.Context | None) -> None:
    """Fails as a value of this type does where those who know it refuse the value."""
    try:
        known()
    except ConfigError as error:
        told = str(error)
        for name in ("font", str(param.name) if param else kind.name):
            told = told.removeprefix(f"{name}: ")
        kind.fail(told, param, ctx)
