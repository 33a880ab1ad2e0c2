"""`attnviz evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from attnviz.cli import averages
from attnviz.cli.averages import ALL
from attnviz.cli.choices import DEVICES, MODES
from attnviz.cli.lookups import Models
from attnviz.cli.measures import print_captions, print_measures
from attnviz.cli.network import keep_memory
from attnviz.cli.output import note
from attnviz.cli.progress import Gauge
from attnviz.cli.types import File, Name, Names
from attnviz.errors import counted
from attnviz.limits import BEAM, EVIDENCE_PHOTOS as PHOTOS, MOST_BEAMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from attnviz.data import Split
    from attnviz.evaluate import Report


@click.command()
@click.argument("models", metavar="MODEL", type=Models())
@click.argument("data", metavar="DATA", type=File())
@click.option(
    "-m",
    "--mode",
    "modes",
    type=Names("mode", (*MODES, ALL)),
    metavar="MODE",
    help="Which of a bundled model's score functions; several, or all, with --evidence.",
)
@click.option(
    "--beam",
    type=click.IntRange(1, MOST_BEAMS),
    metavar="N",
    help=f"Sentences searched side by side.  [default: {BEAM}, or the network's own]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Of the random baseline, or of the photos, words and orders that are drawn.",
)
@click.option(
    "--device", type=Name("device", DEVICES), default="auto", show_default=True, help="Where the network runs."
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="First fit the temperature of the model's probabilities to DATA, and write it into the checkpoint.",
)
@click.option(
    "--seen",
    multiple=True,
    metavar="SPLIT",
    type=File(),
    help="With --calibrate: a split it was trained on, so that it can tell photos that are unlike it; several times.",
)
@click.option("--evidence", is_flag=True, help="Test the maps instead, as check does, and print means over photos.")
@click.option(
    "--photos",
    type=click.IntRange(2),
    metavar="N",
    help=f"With --evidence: how many are drawn from the split.  [default: {PHOTOS}]",
)
@click.option(
    "-o",
    "--out",
    metavar="DIR",
    type=File(folder=True),
    help="With --evidence: where each photo's numbers are kept, so that a run that was ended goes on.  "
    "[default: SPLIT-evidence]",
)
@click.option("--card", is_flag=True, help="Write the figures into the checkpoint, where 'attnviz models' shows them.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures, and every caption, as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    models: tuple[str, ...],
    data: str,
    modes: tuple[str, ...] | None,
    beam: int | None,
    seed: int,
    device: str,
    calibrate: bool,
    seen: tuple[str, ...],
    evidence: bool,
    photos: int | None,
    out: str | None,
    card: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure a model on a data split.

    MODEL is a bundled model or a checkpoint file, DATA a split: SPLIT.jsonl with SPLIT.zip beside it. Captions are
    written and compared with the given ones (BLEU); then the given captions are read, and where the network looks is
    compared with the boxes of their phrases (attention correctness, pointing game, IoU), beside three baselines and
    with 95 % intervals; then each phrase is read alone, as phrase-grounding models are measured.

    With --evidence, MODEL may be several with commas between, which are quicker together where they share an encoder.

    'attnviz guide evaluation' and 'attnviz guide evidence' say what each figure is.
    """
    _fit(ctx, models, modes, evidence, card or calibrate, photos, out)
    if seen and not calibrate:
        raise click.UsageError("--seen needs --calibrate: what it finds is written into the checkpoint", ctx)
    if evidence:
        networks = averages.networks(models, modes, device)
        averages.run(networks, data, out, photos=photos, beam=beam, seed=seed, as_json=as_json, quiet=quiet)
        return
    asked = _Asked(models[0], modes[0] if modes else None, beam, seed, device, as_json, quiet)
    _measure(asked, data, card, calibrate, seen)


def _fit(
    ctx: click.Context,
    models: Sequence[str],
    modes: Sequence[str] | None,
    evidence: bool,
    written: bool,
    photos: int | None,
    out: str | None,
) -> None:
    """Fails for options that do not go together."""
    if evidence and written:
        raise click.UsageError("--evidence writes nothing into a checkpoint; leave out --card and --calibrate", ctx)
    if not evidence and (len(models) > 1 or len(modes or ()) > 1 or ALL in (modes or ())):
        raise click.UsageError("several models or modes are measured together with --evidence alone; name one", ctx)
    if not evidence and (photos is not None or out is not None):
        raise click.UsageError(f"{'--photos' if photos is not None else '--out'} goes with --evidence", ctx)


class _Asked(NamedTuple):
    """One network, and how it is measured."""

    model: str
    mode: str | None
    beam: int | None
    seed: int
    device: str
    as_json: bool
    quiet: bool


def _measure(asked: _Asked, data: str, card: bool, calibrate: bool, seen: Sequence[str]) -> None:
    """Captions and localization of one network."""
    from attnviz.data import Split
    from attnviz.evaluate import evaluate
    from attnviz.zoo import find_checkpoint, load_model

    model, mode, beam, seed, device, as_json, quiet = asked
    # Says at once where there is no checkpoint to write into.
    path = find_checkpoint(model, mode) if card or calibrate else None
    split = Split(data)
    if path is not None and calibrate:
        _calibrate(path, split, [Split(one) for one in seen], quiet)
    keep_memory()
    network = load_model(model, mode, device)
    with Gauge(quiet=quiet) as gauge:

        def progress(done: int, total: int) -> None:
            gauge.show(done, total - done)

        progress(0, len(split))
        report = evaluate(network, split, beam=beam, seed=seed, progress=progress)
    if not quiet:
        note(f"measured {counted(report.photos, 'photo')} in {gauge.elapsed}")
        if report.unread:
            were = "was" if report.unread == 1 else "were"
            told = f"{report.model} splits words in another way"
            note(f"{counted(report.unread, 'caption')} {were} left out: {told}")
    if path is not None and card:
        from attnviz.captioner import update_card

        update_card(path, {"figures": report.figures()})
    if as_json:
        import json

        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        _show(report)


def _calibrate(path: Path, split: Split, seen: Sequence[Split], quiet: bool) -> None:
    """Writes the temperature that fits `split` into the checkpoint at `path`, and its training photos' look."""
    from attnviz.captioner import load_checkpoint, update_card
    from attnviz.train.calibration import calibrate

    network = load_checkpoint(path)
    before = network.temperature
    calibrate(network, split, seen)
    update_card(path, {}, network)
    if not quiet:
        note(f"{path.name}: temperature {network.temperature:g}, before {before:g}")


def _show(report: Report) -> None:
    told = (report.model, report.mode, f"on {counted(report.photos, 'photo')} of {report.data}")
    click.echo(f"{', '.join(filter(None, told))}{f', {report.beam} beams' if report.beam else ''}\n")
    print_captions(report)
    print_measures(report)
    if report.objects:
        named, constant, photos = (float(report.objects[key]) for key in ("named", "constant", "photos"))
        said = report.objects["constant caption"]
        low, high = report.intervals["named"]
        click.echo(
            f"\n{named:.0%} ({low:.0%}-{high:.0%}) of {photos:.0f} captions name an object of their photo "
            f"({constant:.0%}: always {said!r})"
        )
