"""From numbers to a plain word: what the evidence says of a map, by which rule, and what would change it.

The rules look at one word and one photo. They say whether the map shows what the word hangs on *in this network*; not
whether the word is right, and not whether a sharp map is a good one: sharpness is in none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from attnviz.evidence.curves import Curve
    from attnviz.evidence.maps import Shift

Kind = Literal["supported", "partly supported", "contradicted", "late", "early", "no photo needed", "undecided"]

KINDS: dict[Kind, str] = {
    "supported": "the cells under the heat are the ones the word hangs on",
    "partly supported": "the cells under the heat bring the word, or take it away, but not both",
    "contradicted": "the word hangs on other cells than those under the heat",
    "late": "the heat lies on what the word before hangs on",
    "early": "the heat lies on what the next word hangs on",
    "no photo needed": "the word comes of the words before it: no cell matters, so no map could be right",
    "undecided": "the map does no better and no worse than chance",
}

NEEDED = 1.25
"""A word needs the photo when its probability changes by this factor somewhere along its deletion or insertion."""

AHEAD = 0.1
LIKE = 0.2
"""A map is a neighbour's when its rank correlation with the neighbour's evidence is LIKE or more, and AHEAD more than
with its own word's."""

AGAINST = 0.5
"""More weight than this on cells that speak against the word is too much for support."""

TIE = 0.02
"""Of the range of the random orders' areas: what is so near to the best of them is as good."""

_TINY = 1e-12


@dataclass(frozen=True)
class Verdict:
    """What the evidence says of one word's map.

    Attributes:
        kind: a key of KINDS.
        reason: the numbers and the rule, in one sentence.
        otherwise: what would have to be different for another verdict.
    """

    kind: Kind
    reason: str
    otherwise: str


def judge(
    deletion: Curve,
    insertion: Curve,
    correlation: float | None,
    violation: float,
    shift: Shift,
    even: bool = False,
) -> Verdict:
    """The verdict on one word; see the module's docstring and `KINDS`.

    Args:
        deletion, insertion: the word's own curves, with those of the orders that know nothing of the map.
        correlation: of weight and drop over the cells that were left out, None where one of them is constant.
        violation: the share of the weight on cells whose removal raises the word.
        shift: whose evidence the map is like.
        even: whether the map puts no cell before another; its curves are then of the grid's own order.
    """
    values = np.log(np.maximum([*deletion.values, *insertion.values], _TINY))
    swing = float(np.exp(np.abs(values - values[0]).max()))
    if swing < NEEDED:
        return Verdict(
            "no photo needed",
            f"its probability is {deletion.values[0]:.2f} in the photo and {deletion.values[-1]:.2f} without it, and "
            f"never changes by a factor of {NEEDED:g} between",
            f"a factor of {NEEDED:g} (it reaches {swing:.2f})",
        )
    if even:
        return Verdict(
            "undecided",
            "the map is even, so it says of no cell that the word hangs on it",
            "a map that puts some cells before others",
        )
    tie = TIE * (max(deletion.random) - min(deletion.random))
    sooner, later = deletion.area <= min(deletion.random) + tie, insertion.area >= max(insertion.random) - tie
    mean = float(np.mean(deletion.random))
    numbers = (
        f"deletion {deletion.area:.3f} and insertion {insertion.area:.3f} (random orders {min(deletion.random):.3f} to "
        f"{max(deletion.random):.3f}), {violation:.0%} of the weight on cells that speak against it"
    )
    if sooner and later and violation <= AGAINST:
        return Verdict("supported", numbers, f"a random order as good in either, or more than {AGAINST:.0%} against it")
    if (sooner and insertion.area >= mean) or (later and deletion.area <= mean):
        better, other = ("deletion", "insertion") if sooner else ("insertion", "deletion")
        return Verdict(
            "partly supported",
            f"better than every random order in {better}, and not worse than their mean in {other}: {numbers}",
            f"better than every random order in {other} too, with at most {AGAINST:.0%} of the weight against it",
        )
    own = shift.own if shift.own is not None else 0.0
    before, after = (-1.0 if value is None else value for value in (shift.before, shift.after))
    if max(before, after) >= LIKE and max(before, after) - own >= AHEAD:
        whose = "the word before" if before >= after else "the next word"
        return Verdict(
            "late" if before >= after else "early",
            f"the map agrees with the evidence of {whose} ({max(before, after):.2f}) and less with its own ({own:.2f})",
            f"a difference of less than {AHEAD:g}",
        )
    if deletion.area > mean and insertion.area < mean and (correlation is None or correlation <= 0):
        return Verdict(
            "contradicted",
            f"{numbers}; rank correlation of weight and drop {0.0 if correlation is None else correlation:.2f}",
            "an area on the right side of the mean of the random orders, or a correlation above 0",
        )
    return Verdict("undecided", numbers, "areas better than every random order in both directions")
