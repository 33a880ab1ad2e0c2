"""Are people and colours named as they are, or as they are most often? Generated captions against what people wrote.

A network that has seen more men than women says "man" where it is unsure (Hendricks et al. 2018, "Women also
snowboard", arXiv:1803.09797). A photo counts as one of women where two captions or more speak of women or girls and
none of men or boys, and the other way round. A colour word is right when any of the photo's captions has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attnviz.data.things import MEN, WOMEN

COLOURS = frozenset(["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray"])
ALIKE = {"grey": "gray"}

Words = Sequence[str]


def bias(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> dict[str, dict[str, float]]:
    """Counts and shares, in [0, 1], of what is said of women, of men and of colours.

    Args:
        captions: one per photo, as words.
        references: per photo its given captions, as words.

    Returns:
        `women` and `men`: the number of their `photos`, and of these the share that is called by `their` words alone,
        by the `other`'s alone, or by neither or both (`open`). `colours`: how many `words` of colour the captions have,
        and which share is `right`. Each only where there is one to count.
    """
    found = {}
    for who, own, other in (("women", WOMEN, MEN), ("men", MEN, WOMEN)):
        kinds = [
            _called(said, own, other)
            for said, given in zip(captions, references, strict=True)
            if _show(given, own, other)
        ]
        if kinds:
            found[who] = {"photos": len(kinds)} | {
                kind: kinds.count(kind) / len(kinds) for kind in ("their", "other", "open")
            }
    right = [
        colour in _colours(word for words in given for word in words)
        for said, given in zip(captions, references, strict=True)
        for colour in sorted(_colours(said))
    ]
    return found | ({"colours": {"words": len(right), "right": sum(right) / len(right)}} if right else {})


def _show(given: Sequence[Words], own: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two captions or more speak of `own`, and none of `other`."""
    return sum(not own.isdisjoint(words) for words in given) >= 2 and all(other.isdisjoint(words) for words in given)


def _called(said: Words, own: frozenset[str], other: frozenset[str]) -> str:
    """By whose words a caption calls the people: `their` own, the `other`'s, or neither or both."""
    theirs, others = not own.isdisjoint(said), not other.isdisjoint(said)
    return "open" if theirs == others else "their" if theirs else "other"


def _colours(words: Iterable[str]) -> set[str]:
    return {ALIKE.get(word, word) for word in words} & COLOURS
