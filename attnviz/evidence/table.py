"""Evidence as text: a row a word, and below it what the numbers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnviz.errors import counted
from attnviz.evidence.verdict import KINDS

if TYPE_CHECKING:
    from attnviz.evidence.run import Evidence, WordEvidence

HEADING = ("word", "verdict", "p", "without", "deletion", "random", "insertion", "agrees", "against")

LEGEND = (
    "p: the word's probability in the photo; without: with no cell of the photo left.",
    "deletion: mean p while the heaviest cells go first (low is good); insertion: while they come back (high is good);",
    "random: the same for orders drawn at random, from the least to the most.",
    "agrees: rank correlation of weight and drop, cells left out one by one; against: weight on cells whose removal",
    "makes the word more likely. What a verdict means and what it does not: attnviz guide evidence.",
)


def rows(evidence: Evidence) -> list[tuple[str, ...]]:
    """The table, its heading first."""
    return [HEADING, *map(_row, evidence.words)]


def meanings(evidence: Evidence) -> list[str]:
    """A line for each verdict that occurs."""
    return [f"{kind}: {KINDS[kind]}." for kind in KINDS if any(word.verdict.kind == kind for word in evidence.words)]


def remarks(evidence: Evidence) -> list[str]:
    """What the maps share, how they do beside others, and what the tests cost."""
    found: list[str] = []
    if evidence.sinks:
        cells = ", ".join(f"({row}, {column})" for row, column in evidence.sinks)
        found.append(f"sinks: cells {cells} are strong at nearly every word; --relative draws the maps without them.")
    alike = [
        f"{word.token!r} like {evidence.words[word.interference.word].token!r} ({word.interference.correlation:.2f})"
        for word in evidence.words
        if word.interference is not None and word.interference.correlation >= ALIKE
    ]
    if alike:
        found.append(f"maps like an earlier word's (correlation of {ALIKE:g} or more): {', '.join(alike)}.")
    if second := _second(evidence):
        found.append(second)
    if evidence.lacking is not None:
        found.append(f"not compared with a map by gradient: {evidence.lacking}.")
    random = _randomised(evidence)
    if random:
        found.append(
            "rank correlation with the maps once the parameters of a layer, and of those before it here, are shuffled "
            f"(near 0: the map comes of what was learned; mean of the words): {random}."
        )
    needless = [word.token for word in evidence.words if word.unfocused is not None and word.unfocused >= AS_LIKELY]
    if needless:
        found.append(f"as likely when the attention is uniform: {', '.join(needless)}.")
    found.append(f"{counted(evidence.passes, 'version')} of the photo, with cells taken away, were read for this.")
    return found


ALIKE = 0.9
AS_LIKELY = 0.9
"""A word keeps nine tenths of its probability: where the network looks is not what makes it."""


def _row(word: WordEvidence) -> tuple[str, ...]:
    random = word.deletion.random
    return (
        word.token,
        word.verdict.kind,
        f"{word.probability:.2f}",
        f"{word.without:.2f}",
        f"{word.deletion.area:.3f}",
        f"{min(random):.3f}-{max(random):.3f}",
        f"{word.insertion.area:.3f}",
        "-" if word.correlation is None else f"{word.correlation:.2f}",
        f"{word.violation:.0%}",
    )


def _second(evidence: Evidence) -> str | None:
    """How the network's second map does beside its attention, over the words."""
    words = [word for word in evidence.words if word.deletion.second is not None and word.insertion.second is not None]
    if not words:
        return None
    deletion = sum((word.deletion.second or 0) < word.deletion.area for word in words)
    insertion = sum((word.insertion.second or 0) > word.insertion.area for word in words)
    return (
        f"the map by gradient (--map gradient) does better than the attention at {deletion} of "
        f"{counted(len(words), 'word')} in deletion and at {insertion} in insertion."
    )


def _randomised(evidence: Evidence) -> str:
    """Such as "attention 0.02, query LSTM 0.01"."""
    layers = list(evidence.words[0].randomised) if evidence.words else []
    told = []
    for layer in layers:
        values = [word.randomised[layer] for word in evidence.words]
        known = [value for value in values if value is not None]
        if known:
            told.append(f"{layer} {sum(known) / len(known):.2f}")
    return ", ".join(told)
