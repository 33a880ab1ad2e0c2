"""What `attnviz evaluate` prints: each figure with its 95 % interval, beside chance, and by category of phrase."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from attnviz.cli.tables import print_table
from attnviz.errors import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attnviz.evaluate import Figure, Report

MEASURES = ("correctness", "pointing", "pointing alone", "iou", "box accuracy")
POINTS = MEASURES[:3]  # of each category, as many as fit 80 columns
BASELINES = ("uniform", "centre", "random")


def print_captions(report: Report) -> None:
    """BLEU, a table."""
    if report.bleu:
        told = [between(*report.intervals[name], places=1) for name in report.bleu]
        rows = [("captions", *report.bleu), ("model", *(f"{value:.2f}" for value in report.bleu.values()))]
        print_table([*rows, ("95 %", *told)], numbers=1)


def print_measures(report: Report) -> None:
    """Where the network looks, beside its baselines; then by category of phrase; then in its own captions; then whether
    its probabilities mean what they say."""
    measures = [name for name in MEASURES if name in report.measures]
    if measures:
        who = [name for name in BASELINES if any(name in report.measures[one]["all"] for one in measures)]
        rows = [("attention", "model", "95 %", *who, "corrected", "phrases")]
        for name in measures:
            found = report.measures[name]["all"]
            chance = [f"{found[one].value:.4f}" if one in found else "" for one in who]
            own, over = found["model"], found.get("corrected")
            shown = (f"{own.value:.4f}", _interval(own), *chance, f"{over.value:.3f}" if over else "")
            rows.append((name, *shown, str(report.phrases[name]["all"])))
        click.echo()
        print_table(rows, numbers=1)
        _print_categories(report, [name for name in measures if name in POINTS])
    if report.grounded:
        scores = report.grounded["model"]
        f1 = [f"{name} {scores[name].value:.3f} ({_interval(scores[name])})" for name in ("F1_all", "F1_loc")]
        click.echo(
            f"\nobject words of its own captions, {counted(report.classes, 'class', 'classes')}: {', '.join(f1)}"
        )
    _print_bias(report.bias)
    if told := report.calibration:
        before = f"{told['uncalibrated error']:.3f} before its temperature of {told['temperature']:g}"
        click.echo(f"\ncalibration error {told['error']:.3f} ({before}; {told['words']:.0f} words)")


def _print_bias(found: Mapping[str, Mapping[str, float]]) -> None:
    """How people and colours are called in its own captions."""
    lines = []
    for who, other in (("women", "men"), ("men", "women")):
        if who in found:
            photos, theirs, others = (found[who][key] for key in ("photos", "their", "other"))
            told = f"{theirs:.0%} are said to show {who}, {others:.0%} {other}"
            lines.append(f"of {counted(int(photos), 'photo')} of {who} {told}")
    if "colours" in found:
        words = counted(int(found["colours"]["words"]), "colour word")
        lines.append(f"of {words} {found['colours']['right']:.0%} are right")
    if lines:
        click.echo("\n" + "\n".join(lines))


def _print_categories(report: Report, measures: list[str]) -> None:
    kinds = list(report.measures[measures[0]])[1:]
    if not kinds:
        return
    rows = [("phrases of", "number", *measures)]
    for kind in kinds:
        figures = [report.measures[name].get(kind, {}).get("model") for name in measures]
        told = [f"{one.value:.3f} {_interval(one)}" if one else "" for one in figures]
        rows.append((kind, str(report.phrases[measures[0]][kind]), *told))
    click.echo()
    print_table(rows, numbers=1)


def _interval(figure: Figure) -> str:
    return between(figure.low, figure.high)


def between(low: float, high: float, places: int = 3) -> str:
    """An interval, as short as can be: "0.717-0.729"."""
    return f"{low:.{places}f}-{high:.{places}f}"
