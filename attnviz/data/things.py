"""What people call COCO's 80 kinds of things, and people: for the sentences that training has written, and for the
measures of whether a caption names what, and whom, it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PERSON = "person"

MEN = frozenset(["man", "men", "boy", "boys", "guy", "guys", "male", "males", "gentleman", "gentlemen"])
WOMEN = frozenset(["woman", "women", "girl", "girls", "lady", "ladies", "female", "females"])
PEOPLE = (MEN | WOMEN) - {"male", "males", "female", "females"} | {
    *("child", "children", "kid", "kids", "people", "baby", "toddler", "player"),
    *("skier", "surfer", "skateboarder", "snowboarder"),
}
"""Words for persons, beside the name itself; a male or a female may be a dog."""

AMBIGUOUS = frozenset([("orange",), ("glasses",), ("remote",)])
"""Forms that are more often no thing: a colour, what one wears, and far away."""

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "airplane": ("plane", "jet"),
    "baseball bat": ("bat",),
    "baseball glove": ("glove", "mitt"),
    "bicycle": ("bike",),
    "bus": ("double-decker",),
    "cell phone": ("phone", "cellphone"),
    "couch": ("sofa",),
    "cow": ("bull", "cattle"),
    "cup": ("mug",),
    "dining table": ("table",),
    "dog": ("puppy",),
    "donut": ("doughnut",),
    "fire hydrant": ("hydrant",),
    "hair drier": ("hairdryer", "hair dryer", "blow dryer"),
    "handbag": ("purse", "bag"),
    "keyboard": ("computer",),
    "knife": ("knives",),
    "laptop": ("computer",),
    "microwave": ("microwave oven",),
    "motorcycle": ("motorbike", "bike"),
    "oven": ("stove",),
    "parking meter": ("meter",),
    "potted plant": ("plant", "flower"),
    "refrigerator": ("fridge",),
    "sheep": ("lamb",),
    "skis": ("ski", "skier", "skiing"),
    "snowboard": ("snowboarder", "snowboarding"),
    "skateboard": ("skateboarder", "skateboarding"),
    "sports ball": ("ball", "soccer", "football", "baseball", "basketball"),
    "suitcase": ("luggage",),
    "surfboard": ("surfer", "surfing"),
    "teddy bear": ("teddy", "stuffed animal"),
    "tennis racket": ("racket", "racquet", "tennis"),
    "toilet": ("restroom",),
    "tv": ("television",),
    "wine glass": ("glass",),
}


def names_of(thing: str) -> set[tuple[str, ...]]:
    """Every form that names an object, as words: its name and synonyms, singular and plural."""
    forms = set()
    for name in (thing, *SYNONYMS.get(thing, ())):
        words = tuple(name.split())
        forms |= {words, (*words[:-1], _plural(words[-1]))}
    return forms


def names(words: Sequence[str], thing: str) -> bool:
    """Whether words that follow each other in a sentence are a form that names a thing."""
    text = f" {' '.join(words)} "
    return any(f" {' '.join(form)} " in text for form in names_of(thing))


def _plural(word: str) -> str:
    if word.endswith(("s", "ch", "sh", "x")):
        return f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2] not in "aeiou" else f"{word}s"
