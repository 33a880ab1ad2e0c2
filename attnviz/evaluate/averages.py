"""Means of evidence over photos, each with its 95 % interval; content words and function words apart.

Photos are drawn with replacement (`stats.resampled`), each with all its words: those of one photo are no independent
observations. A mean is over words, so a sample's is the sum over its photos' words by their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.evaluate.figures import Figure
from attnviz.evaluate.focus import Judge, focus
from attnviz.evidence.verdict import KINDS as VERDICTS
from attnviz.stats import interval, resampled

if TYPE_CHECKING:
    from attnviz.data import Split
    from attnviz.evaluate.evidence import Measured

Word = Mapping[str, Any]
Value = Callable[[Word], float | None]

CLASSES = {"content": True, "function": False}

# What is said of every word that the network knows.
EVERY: dict[str, Value] = {
    "probability": lambda word: word["probability"],
    "without the photo": lambda word: word["without"],
    "effective cells": lambda word: word["effective_cells"],
    "agrees": lambda word: word["correlation"],
    "agrees with the word before": lambda word: word["shift"]["before"],
    "agrees with the next word": lambda word: word["shift"]["after"],
    "against": lambda word: word["violation"],
    "log factor of uniform attention": lambda word: word["log_unfocused"],
}

# And of those that were given curves of their own.
OF_CURVES: dict[str, Value] = {
    "deletion": lambda word: word["deletion"]["area"],
    "deletion from the centre": lambda word: word["deletion"]["centre"],
    "insertion": lambda word: word["insertion"]["area"],
    "insertion from the centre": lambda word: word["insertion"]["centre"],
    "random": lambda word: _mean(word["deletion"]["random"]),
    "fading": lambda word: word["deletion"]["uniform"],
    "deletion below random": lambda word: _mean(word["deletion"]["random"]) - word["deletion"]["area"],
    "deletion below centre": lambda word: word["deletion"]["centre"] - word["deletion"]["area"],
    "insertion above random": lambda word: word["insertion"]["area"] - _mean(word["insertion"]["random"]),
    "insertion above centre": lambda word: word["insertion"]["area"] - word["insertion"]["centre"],
}

# And of those whose second map was tried too.
OF_SECOND: dict[str, Value] = {
    "deletion by gradient": lambda word: word["deletion"]["second"],
    "deletion by attention": lambda word: word["deletion"]["area"],
    "deletion, gradient below attention": lambda word: word["deletion"]["area"] - word["deletion"]["second"],
    "insertion by gradient": lambda word: word["insertion"]["second"],
    "insertion by attention": lambda word: word["insertion"]["area"],
    "insertion, gradient above attention": lambda word: word["insertion"]["second"] - word["insertion"]["area"],
}


@dataclass(frozen=True)
class Average:
    """What the evidence of one network comes to.

    Attributes:
        model, mode: its name and score function.
        photos: how many were measured; `unread`: of these, captions that the network reads as other words.
        words, curves: of either class, how many words, and how many with curves of their own.
        means: class of words (`content`, `function`) -> measure -> figure.
        verdicts: class of words -> verdict -> its share among the words with curves.
        layers: class of words -> layer -> rank correlation with the map once that layer and those above are random.
        sinks: the share of the captions with a cell that is strong at nearly every word.
        focus: see `focus.focus`.
        passes: photos read for each photo, a mean.
    """

    model: str
    mode: str | None
    photos: int
    unread: int
    words: dict[str, int]
    curves: dict[str, int]
    means: dict[str, dict[str, Figure]]
    verdicts: dict[str, dict[str, Figure]]
    layers: dict[str, dict[str, Figure]]
    sinks: Figure | None
    focus: dict[str, dict[str, Any]]
    passes: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def average(measured: Measured, split: Split, seed: int = 0) -> Average:
    """Makes means of what was measured of one network.

    Args:
        measured: from `evidence.measure`.
        split: the same.
        seed: of the samples that the intervals are made of.
    """
    judge = Judge(split)
    records = {record.image: record for record in split}
    read = [one["given"] for one in measured.photos.values() if one["given"] is not None]
    sentences = {
        name: [[word for word in one["words"] if word["content"] is content] for one in read]
        for name, content in CLASSES.items()
    }
    traced = {name: [[word for word in row if word["deletion"]] for row in rows] for name, rows in sentences.items()}
    second = {
        name: [[word for word in row if word["deletion"]["second"] is not None] for row in rows]
        for name, rows in traced.items()
    }
    layers = list(dict.fromkeys(layer for one in read for word in one["words"] for layer in word["randomised"]))
    own = [judge.said(records[image], one["own"]) for image, one in measured.photos.items()]
    return Average(
        model=measured.model,
        mode=measured.mode,
        photos=len(measured.photos),
        unread=len(measured.photos) - len(read),
        words={name: sum(map(len, rows)) for name, rows in sentences.items()},
        curves={name: sum(map(len, rows)) for name, rows in traced.items()},
        means={
            name: _figures(EVERY, sentences[name], seed)
            | _figures(OF_CURVES, traced[name], seed)
            | _figures(OF_SECOND, second[name], seed)
            for name in CLASSES
        },
        verdicts={name: _figures({kind: _is(kind) for kind in VERDICTS}, rows, seed) for name, rows in traced.items()},
        layers={
            name: _figures({layer: _of_layer(layer) for layer in layers}, rows, seed)
            for name, rows in sentences.items()
        },
        sinks=mean([[float(one["sinks"] > 0)] for one in read], seed),
        focus=focus(own, seed),
        passes=_mean([one["passes"] for one in read]) if read else 0.0,
    )


def mean(photos: Sequence[Sequence[float]], seed: int = 0) -> Figure | None:
    """The mean of all values, which come by photo, with its interval over photos; None where there is none."""
    sums = np.array([(sum(row), len(row)) for row in photos], float).reshape(-1, 2)
    if not sums[:, 1].any():
        return None
    drawn = resampled(sums, seed)
    drawn = drawn[drawn[:, 1] > 0]
    return Figure(float(sums[:, 0].sum() / sums[:, 1].sum()), *interval(drawn[:, 0] / drawn[:, 1]))


def _figures(values: Mapping[str, Value], photos: Sequence[Sequence[Word]], seed: int) -> dict[str, Figure]:
    """The mean of each value over the words for which there is one."""
    found = {}
    for name, value in values.items():
        rows = [[known for word in row if (known := value(word)) is not None] for row in photos]
        if (figure := mean(rows, seed)) is not None:
            found[name] = figure
    return found


def _is(kind: str) -> Value:
    return lambda word: float(word["verdict"] == kind)


def _of_layer(layer: str) -> Value:
    return lambda word: word["randomised"].get(layer)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
