"""Does a caption name something that is there? For photos that come with a list of objects (COCO's 80 names).

A caption counts when it holds a form (`data.things`: name, plural, synonyms) of at least one object of the photo
other than a person; photos with persons only are left out. Beside it stands the best constant caption: of all the
captions that the model wrote, the one that would count most often if every photo were given it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attnviz.data.things import PERSON, names
from attnviz.stats import bootstrap


def names_one(caption: Sequence[str], objects: Iterable[str]) -> bool:
    """Whether a caption (words) names one of the objects other than a person."""
    return any(names(caption, thing) for thing in objects if thing != PERSON)


def score(captions: Sequence[Sequence[str]], objects: Sequence[Sequence[str]]) -> dict[str, float | str]:
    """How many captions name an object of their photo.

    Args:
        captions: one per photo, as words.
        objects: per photo.

    Returns:
        `named` and `constant` in [0, 1], the `constant caption` behind the latter, and the number of `photos`; empty
        where no photo has an object other than a person.
    """
    pairs = _pairs(captions, objects)
    if not pairs:
        return {}
    share = {constant: sum(names_one(constant, things) for _, things in pairs) for constant in {w for w, _ in pairs}}
    best = max(sorted(share), key=share.__getitem__)
    return {
        "named": sum(names_one(words, things) for words, things in pairs) / len(pairs),
        "constant": share[best] / len(pairs),
        "constant caption": " ".join(best),
        "photos": len(pairs),
    }


def intervals(
    captions: Sequence[Sequence[str]], objects: Sequence[Sequence[str]], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The 95 % intervals of `named` and `constant`, see `score`: photos are drawn with replacement.

    The constant caption stays the one that is best for all of them.
    """
    pairs, found = _pairs(captions, objects), score(captions, objects)
    if not pairs:
        return {}
    constant = tuple(str(found["constant caption"]).split())
    return {
        "named": bootstrap([names_one(words, things) for words, things in pairs], seed),
        "constant": bootstrap([names_one(constant, things) for _, things in pairs], seed),
    }


def _pairs(
    captions: Sequence[Sequence[str]], objects: Sequence[Sequence[str]]
) -> list[tuple[tuple[str, ...], Sequence[str]]]:
    """Captions and objects of the photos that have an object other than a person."""
    return [(tuple(words), things) for words, things in zip(captions, objects, strict=True) if set(things) - {PERSON}]
