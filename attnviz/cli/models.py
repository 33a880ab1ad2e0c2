"""`attnviz models`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.tables import print_table
from attnviz.cli.types import File

if TYPE_CHECKING:
    from attnviz.zoo import Bundled, Plugin


HEADINGS = {"calibration": "ECE"}
"""What stands for a figure's name where room is scarce: the expected calibration error."""


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=File())
@click.option("--json", "as_json", is_flag=True, help="Print all that the checkpoints say of themselves as JSON.")
def command(paths: tuple[str, ...], as_json: bool) -> None:
    """List the models that can be named.

    PATH is a checkpoint file of your own, which is then listed instead.

    'attnviz render --model MODEL --mode MODE' takes a bundled one; without them it takes the default. The figures are
    those of the model card, measured with 'attnviz evaluate' (ECE: expected calibration error). Below them are the
    networks of others: of libraries that attnviz knows, and of packages that are installed.
    """
    from attnviz.zoo import bundled, described, plugins

    models, installed = ([described(Path(path)) for path in paths], []) if paths else (bundled(), plugins())
    if as_json:
        import json

        click.echo(json.dumps([*map(_facts, models), *map(_plugin_facts, installed)], indent=2))
        return
    if models:
        _print(models)
    else:
        click.echo("no bundled models; train one with 'attnviz train', or name a checkpoint with --model")
    if not paths:
        _print_others(installed)


def _print_others(installed: Sequence[Plugin]) -> None:
    """A table of what else `--model` can name."""
    from attnviz.zoo import ADAPTERS

    known = [(one.names, one.what, f"attnviz[{prefix}]") for prefix, one in ADAPTERS.items()]
    found = [(f"{one.name}, {one.name}:...", one.summary or "-", f"{one.package} {one.version}") for one in installed]
    click.echo()
    print_table([("others", "what", "from"), *known, *found])


def _plugin_facts(plugin: Plugin) -> dict[str, Any]:
    facts = {key: getattr(plugin, key) for key in ("package", "version", "summary")}
    return {"name": plugin.name, "mode": None, "default": False, **facts}


def _print(models: Sequence[Bundled]) -> None:
    """A table of what differs, and below it, once for all models alike, what they are made of."""
    facts = [_facts(model) for model in models]
    figures = [(one["card"] or {}).get("figures") or {} for one in facts]
    measured = tuple(dict.fromkeys(name for some in figures for name in some))
    rows = [
        (
            model.name,
            f"{model.mode} (default)" if one["default"] else model.mode,
            f"{one['size'] / 1e6:.0f} MB",
            *(_shown(name, some[name]) if name in some else "-" for name in measured),
        )
        for model, one, some in zip(models, facts, figures, strict=True)
    ]
    heading = [HEADINGS.get(name, name) for name in measured]
    print_table([("model", "mode", "size", *heading), *rows], numbers=2, names=2)
    made: dict[str, dict[str, None]] = {}
    for model, one in zip(models, facts, strict=True):
        config = one["config"]
        of = f"{config['backbone']}, input {config['input'][0]}x{config['input'][1]}"
        learned = (one["card"] or {}).get("trained on")
        made.setdefault(f"{of}, trained on {learned}" if learned else of, {})[model.name] = None
    click.echo()
    for text, names in made.items():
        click.echo(click.wrap_text(f"{', '.join(names)}: {text}", 78, subsequent_indent="  "))


def _shown(name: str, value: float) -> str:
    """A figure of a model card, with as many decimals as `attnviz evaluate` keeps of its kind."""
    return f"{value:.{1 if name.startswith('BLEU') else 3}f}"


def _facts(model: Bundled) -> dict[str, Any]:
    from attnviz.zoo import DEFAULT_MODE, DEFAULT_MODEL

    meta = model.meta()
    facts = {key: meta.get(key) for key in ("config", "card", "encoder")}
    shared = facts["encoder"]
    size = model.bytes + (model.path.with_name(shared["file"]).stat().st_size if shared else 0)
    return {
        "name": model.name,
        "mode": model.mode,
        "default": (model.name, model.mode) == (DEFAULT_MODEL, DEFAULT_MODE),
        "bytes": model.bytes,
        "size": size,
        "words": len(meta["vocabulary"]),
        **facts,
    }
