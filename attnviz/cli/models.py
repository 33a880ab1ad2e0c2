"""`attnviz models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from attnviz.cli.tables import print_table

if TYPE_CHECKING:
    from attnviz.zoo import Bundled


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print all that the checkpoints say of themselves as JSON.")
def command(as_json: bool) -> None:
    """List the bundled models.

    The figures are those of the model card, measured with 'attnviz evaluate'.
    """
    from attnviz.zoo import bundled

    models = bundled()
    if as_json:
        import json

        click.echo(json.dumps([_facts(model) for model in models], indent=2))
    elif models:
        heading: tuple[str, ...] = ("model", "mode", "size", "input", "backbone", "trained on", "figures")
        print_table([heading, *map(_row, models)])
    else:
        click.echo("no bundled models; train one with 'attnviz train', or name a checkpoint with --model")


def _facts(model: Bundled) -> dict[str, Any]:
    meta = model.meta()
    facts = {key: meta.get(key) for key in ("config", "card", "encoder")}
    return {"name": model.name, "mode": model.mode, "bytes": model.bytes, "words": len(meta["vocabulary"]), **facts}


def _row(model: Bundled) -> tuple[str, ...]:
    facts = _facts(model)
    config, card = facts["config"], facts["card"] or {}
    figures = card.get("figures") or {}
    shared = facts["encoder"]
    size = model.bytes + (model.path.with_name(shared["file"]).stat().st_size if shared else 0)
    return (
        model.name,
        model.mode,
        f"{size / 1e6:.0f} MB",
        "{}x{}".format(*config["input"]),
        config["backbone"],
        card.get("trained on") or "-",
        ", ".join(f"{name} {value:g}" for name, value in figures.items()) or "-",
    )
