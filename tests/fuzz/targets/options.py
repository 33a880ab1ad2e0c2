"""The TOML files of `--config`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fuzz import mutate
from fuzz.target import Target

CONFIGS = Path(__file__).parents[3] / "configs"
MORE = b"""# all kinds of options
mode = "dot"
beam = 3
opacity = 0.5
fade = 0
size = "original"
steps = [1, 2]
format = ["png", "gif"]
cells = true
loop = false
duration = 1.5
max-pixels = 1000
"""


def seeds(folder: Path) -> Sequence[bytes]:
    return [
        *(path.read_bytes() for path in sorted((CONFIGS / "render").glob("*.toml"))),
        MORE,
    ]


def read(path: Path) -> None:
    """As the command does: first the types of the options, then whether they make sense together."""
    import click

    from attnviz.cli.delivery import checked
    from attnviz.cli.render import command
    from attnviz.errors import ConfigError
    from attnviz.render import DrawOptions

    try:
        context = command.make_context("render", ["photo.jpg", "--config", str(path)])
        checked({name: value for name, value in context.params.items() if name in DrawOptions.__dataclass_fields__})
    except click.UsageError as error:
        raise ConfigError(f"{path.name} {error.format_message()}") from error
    except ConfigError as error:
        raise ConfigError(f"{path.name} {error}") from error


TARGET = Target(".toml", seeds, read, mutate.text)
