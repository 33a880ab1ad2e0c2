"""Options from a TOML file or a preset: they become the command's defaults, so that the command line wins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from attnviz.cli.choices import MODES
from attnviz.cli.types import suggestion
from attnviz.errors import ConfigError
from attnviz.files import read_toml

PACKAGED = Path(__file__).parents[1] / "configs"
IN_SOURCE_TREE = Path(__file__).parents[2] / "configs"

WEIGHTS = Path(__file__).parents[1] / "captioner" / "weights"

NOT_FROM_A_FILE = frozenset({"config", "help"})


def presets(kind: str = "render") -> dict[str, Path]:
    """Name -> file of the presets of a kind, "render" (which `draw` shares) or "figure".

    They come from the installed package or, in a source tree, from its configs/.
    """
    folder = (PACKAGED if PACKAGED.is_dir() else IN_SOURCE_TREE) / kind
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def kind_of(ctx: click.Context) -> str:
    """Of the presets that a command takes."""
    return "figure" if ctx.info_name == "figure" else "render"


def model_names(ctx: click.Context | None = None) -> list[str]:
    """The names of the bundled models, by those of their files: what they stand for need not be imported."""
    return sorted({model for model, _ in _bundled()})


def modes_of(model: str) -> list[str]:
    """The modes that the bundled model of this name has weights for; none where no bundled model is called so."""
    return sorted((mode for name, mode in _bundled() if name == model), key=list(MODES).index)


def _bundled() -> Iterator[tuple[str, str]]:
    """Name and mode of each bundled model."""
    longest = sorted(MODES, key=len, reverse=True)  # channel-dot before dot
    for path in WEIGHTS.glob("*.safetensors"):
        mode = next((mode for mode in longest if path.stem.endswith(f"-{mode}")), None)
        if mode:
            yield path.stem.removesuffix(f"-{mode}"), mode


def apply_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Callback of `--config`: reads the file and lays its values under the command line.

    Raises:
        click.BadParameter: for a name that no preset has.
        ConfigError: for a missing or malformed file, an unknown key, or a value that its option would not take.
    """
    if value is None:
        return
    path = _find(value, kind_of(ctx))
    if path is None:
        known = presets(kind_of(ctx))
        close = suggestion(value, known) or "; there are " + ", ".join(known)
        raise click.BadParameter(f"{value}: no such file, and no preset{close}", ctx, param)
    options = {option.name: option for option in ctx.command.params if isinstance(option, click.Option) and option.name}
    spelled = {_spelling(option): name for name, option in options.items() if name not in NOT_FROM_A_FILE}
    defaults: dict[str, Any] = {}
    for key, entry in read_toml(path).items():
        name = spelled.get(key.replace("_", "-"))
        if name is None:
            raise ConfigError(
                f"{value}: unknown key {key!r}{suggestion(key.replace('_', '-'), spelled) or _known(spelled)}"
            )
        defaults[name] = _checked(ctx, options[name], entry, f"{value}: {key}")
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _find(value: str, kind: str) -> Path | None:
    known = presets(kind)
    if value in known:
        return known[value]
    path = Path(value)
    if path.suffix == ".toml" or path.exists() or "/" in value:
        return path
    return None


def _checked(ctx: click.Context, option: click.Option, entry: Any, where: str) -> Any:
    """The entry, once the option's own type has accepted it; lists are written with commas, as on the command line."""
    if option.multiple and isinstance(entry, str | list):
        entry = [entry] if isinstance(entry, str) else entry
        if not all(isinstance(item, str) for item in entry):
            raise ConfigError(f"{where} must be text, or a list of texts")
        return entry
    if isinstance(entry, list) and all(isinstance(item, str | int) and not isinstance(item, bool) for item in entry):
        entry = ",".join(map(str, entry))
    if isinstance(entry, bool) != bool(option.is_flag) or not isinstance(entry, str | int | float):
        wanted = "true or false" if option.is_flag else "a value like on the command line"
        raise ConfigError(f"{where} must be {wanted}, not {entry!r}")
    if isinstance(entry, float) and isinstance(option.type, click.types.IntParamType):
        raise ConfigError(f"{where} must be a whole number, not {entry}")
    try:
        option.type_cast_value(ctx, entry)
    except click.BadParameter as error:
        raise ConfigError(f"{where}: {error.message}") from error
    return entry


def _spelling(option: click.Option) -> str:
    return max(option.opts, key=len).lstrip("-")


def _known(spelled: dict[str, str]) -> str:
    return "; there are " + ", ".join(spelled)
