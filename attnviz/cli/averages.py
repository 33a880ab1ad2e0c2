"""What `attnviz evaluate --evidence` does and says: tables of means over photos, each figure with its 95 % interval."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnviz._version import __version__
from attnviz.cli.network import keep_memory
from attnviz.cli.output import note
from attnviz.cli.progress import Gauge
from attnviz.cli.tables import print_table
from attnviz.errors import counted
from attnviz.limits import EVIDENCE_PHOTOS

if TYPE_CHECKING:
    from attnviz.evaluate import Average, Figure
    from attnviz.network import Network

ALL = "all"
NAME = "evidence.json"

TABLES: Mapping[str, Mapping[str, str]] = {
    "the map's order against others (above 0 is better than they are)": {
        "deletion, random": "deletion below random",
        "deletion, centre": "deletion below centre",
        "insertion, random": "insertion above random",
        "insertion, centre": "insertion above centre",
    },
    "mean probability along the curves": {
        "deletion": "deletion",
        "insertion": "insertion",
        "random": "random",
        "fading": "fading",
        "without photo": "without the photo",
    },
    "blocks left out: rank correlation of weight and drop, and weight on blocks that speak against the word": {
        "agrees": "agrees",
        "with word before": "agrees with the word before",
        "with next word": "agrees with the next word",
        "against": "against",
    },
    "uniform attention, and the second map by gradient (above 0 is better than attention)": {
        "log factor, uniform": "log factor of uniform attention",
        "deletion, gradient": "deletion, gradient below attention",
        "insertion, gradient": "insertion, gradient above attention",
        "effective cells": "effective cells",
    },
}


def networks(models: Sequence[str], modes: Sequence[str] | None, device: str) -> list[Network]:
    """The networks that are meant: of each model every mode named, all it has weights for, or its own.

    Raises:
        ModelError: as `zoo.load_model` does.
    """
    from attnviz.zoo import bundled, load_model

    keep_memory()
    found = []
    for model in models:
        own = [one.mode for one in bundled() if one.name == model]
        chosen: Iterable[str | None] = modes or (None,)
        if modes is not None and ALL in modes:
            chosen = own or (None,)
        found += [load_model(model, mode, device) for mode in chosen]
    return found


def run(
    models: Sequence[Network],
    data: str,
    folder: str | None,
    *,
    photos: int | None,
    beam: int | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measures, keeps the means in the folder, and prints them."""
    from attnviz.data import Split
    from attnviz.evaluate import average, measure
    from attnviz.evidence import Protocol
    from attnviz.files import write_atomically

    split = Split(data)
    out = Path(folder or f"{split.name}-evidence")
    protocol = Protocol.seeded(seed)
    with Gauge(quiet=quiet) as gauge:

        def progress(new: int, done: int, left: int) -> None:
            gauge.show(new, left, f"{done} done")

        measured = measure(
            models, split, out, photos=photos or EVIDENCE_PHOTOS, protocol=protocol, beam=beam, progress=progress
        )
        gauge.tell("the means")
        means = [average(one, split) for one in measured]
    found = {
        "attnviz": __version__,
        "data": split.name,
        "beam": beam,
        "protocol": protocol.to_dict(),
        "models": [one.to_dict() for one in means],
    }
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(out / NAME, text.encode("utf-8", "backslashreplace"))
    if not quiet:
        note(f"measured {counted(means[0].photos, 'photo')} of {split.name} in {gauge.elapsed}; all figures in {out}/")
    if as_json:
        click.echo(text)
    else:
        show(means, split.name)


def show(means: Sequence[Average], data: str) -> None:
    """Prints the tables: content words, function words, then what focus is worth."""
    from attnviz.evaluate.averages import CLASSES

    click.echo(f"{counted(means[0].photos, 'photo')} of {data}; figures with their 95 % intervals")
    for one in means:
        if one.unread:
            click.echo(f"{_label(one)}: {counted(one.unread, 'caption')} left out, read as other words")
    for name in CLASSES:
        words = sorted({(one.words[name], one.curves[name]) for one in means})
        click.echo(f"\n{name} words: {words[0][0]}, {words[0][1]} of them with curves of their own")
        for title, columns in TABLES.items():
            _table(title, means, columns, [one.means[name] for one in means])
        verdicts = [one.verdicts[name] for one in means]
        _table("verdicts, in percent", means, {kind: kind for kind in _all(verdicts)}, verdicts, percent=True)
        layers = [one.layers[name] for one in means]
        title = "rank correlation with the map once layers are random, from the attention down"
        _table(title, means, {layer: layer for layer in _all(layers)}, layers)
    for kind in sorted({kind for one in means for kind in one.focus}, reverse=True):
        found = [one.focus.get(kind, {}) for one in means]
        figures = [{name: value for name, value in one.items() if name != "words"} for one in found]
        of = "object words" if kind == "objects" else "other content words"
        columns = {"right": "right", "focus": "focus", "probability": "probability"}
        _table(f"own captions, {of}: the share that is right, and its rank correlations", means, columns, figures)
    sinks = [{"captions with a sink": one.sinks} if one.sinks else {} for one in means]
    _table("sinks, in percent", means, {"captions with a sink": "captions with a sink"}, sinks, percent=True)


def _all(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names that occur in any row; those of the longest first."""
    return list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))


def _table(
    title: str,
    means: Sequence[Average],
    columns: Mapping[str, str],
    figures: Sequence[Mapping[str, Figure]],
    percent: bool = False,
) -> None:
    shown = {column: key for column, key in columns.items() if any(key in row for row in figures)}
    if not shown:
        return
    rows = [("", *shown)]
    for one, row in zip(means, figures, strict=True):
        rows.append((_label(one), *(cell(row.get(key), percent) for key in shown.values())))
    click.echo(f"\n{title}")
    print_table(rows, numbers=1)


def cell(figure: Figure | None, percent: bool = False) -> str:
    """Such as "0.018 (0.005 to 0.034)"; "-" where there is none."""
    if figure is None:
        return "-"
    if percent:
        return f"{figure.value:.0%} ({figure.low:.0%} to {figure.high:.0%})"
    places = 3 if abs(figure.value) < 10 else 0
    return f"{figure.value:.{places}f} ({figure.low:.{places}f} to {figure.high:.{places}f})"


def _label(one: Average) -> str:
    return " ".join(filter(None, (one.model, one.mode)))
