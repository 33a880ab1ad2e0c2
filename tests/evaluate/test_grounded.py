"""F1_all and F1_loc, against lists of judgements kept by class."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

import numpy as np
import pytest

from attnviz.data import Caption, Phrase, Record
from attnviz.evaluate.grounded import Classes, Grounded, singular
from attnviz.evaluate.regions import SHARES
from attnviz.photo.frame import Frame
from attnviz.stats import resampled

FRAME = Frame.stretch((40, 40), (40, 40), (4, 4))
NAMES = ("dog", "man", "ball", "tree")
LAST = len(SHARES) - 1  # only cells near the peak are left


def on(*cells: tuple[int, int]) -> np.ndarray:
    """(4, 4): equal weight on some cells."""
    weights = np.zeros((4, 4))
    for cell in cells:
        weights[cell] = 1 / len(cells)
    return weights


def boxed(cell: tuple[int, int]) -> np.ndarray:
    """The box of a cell, as fractions."""
    return np.array([[cell[0] / 4, cell[1] / 4, (cell[0] + 1) / 4, (cell[1] + 1) / 4]])


def record(captions: list[list[str]], things: dict[str, tuple[int, int]], plain: tuple[str, ...] = ()) -> Record:
    """Captions whose words are phrases of one word, where they are things; `plain` words never have boxes."""
    return Record(
        "x.png",
        (40, 40),
        tuple(
            Caption(
                tuple(words),
                tuple(Phrase(i, i + 1, w) for i, w in enumerate(words) if w in things and w not in plain),
            )
            for words in captions
        ),
        {word: boxed(cell) for word, cell in things.items()},
    )


Photos = list[tuple[Record, list[str], list[tuple[int, int]]]]


def judged(photos: Photos, mode: str) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Precision and recall, lists of 0 and 1 by class, of generated words and the cell that each word's map lies on."""
    precision, recall = defaultdict(list), defaultdict(list)
    for one, said, cells in photos:
        for caption in one.captions:
            things = [caption.words[phrase.start] for phrase in caption.phrases]
            others = set(caption.words) - set(things)
            for word, cell in zip(said, cells, strict=True):
                if word not in NAMES:
                    continue
                if word in things:
                    precision[word].append(int((one.boxes[word] == boxed(cell)).all()))
                elif word not in others and mode == "all":
                    precision[word].append(0)
            for word in things:
                if word in said:
                    recall[word].append(int((one.boxes[word] == boxed(cells[said.index(word)])).all()))
                elif mode == "all":
                    recall[word].append(0)
    return precision, recall


def by_hand(photos: Photos, mode: str, every: Photos) -> float:
    """F1 of a sample of photos: means over the classes of all of them that the sample could have judged."""
    names = {
        caption.words[phrase.start] for one, _, _ in every for caption in one.captions for phrase in caption.phrases
    }
    means = []
    for found, whole in zip(judged(photos, mode), judged(every, mode), strict=True):
        counted = [name for name in names if name in found or name not in whole]
        means.append(sum(np.mean(found[name]) for name in counted if name in found) / len(counted))
    p, r = means
    return float(2 * p * r / (p + r)) if p + r else 0.0


def test_f1_is_what_lists_by_class_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnviz.evaluate.grounded.resampled", partial(resampled, draws=150))
    rng, photos = np.random.default_rng(0), []
    words = (*NAMES, "the", "runs")
    found = Grounded(Classes(tuple(sorted(NAMES)), frozenset(words)))
    for number in range(12):
        things = {name: tuple(rng.integers(0, 4, 2).tolist()) for name in rng.permutation(NAMES)[:3].tolist()}
        captions = [rng.permutation(words)[:4].tolist() for _ in range(3)]
        one = record(captions, things)
        said = rng.choice(words, 5).tolist()
        cells = [
            things[word] if word in things and rng.random() < 0.6 else tuple(rng.integers(0, 4, 2).tolist())
            for word in said
        ]
        photos.append((one, said, cells))
        found.add(one, said, np.stack([on(cell) for cell in cells]), FRAME, number)
    scores = found.result(LAST, 12)
    assert 0 < scores["F1_all"].value < scores["F1_loc"].value < 1
    for mode in ("all", "loc"):
        assert scores[f"F1_{mode}"].value == pytest.approx(by_hand(photos, mode, photos))
        figure = scores[f"F1_{mode}"]
        assert figure.low <= figure.value <= figure.high
    # The interval, by drawing photos one by one.
    draw, samples = np.random.default_rng(0), []
    for _ in range(150):
        drawn = [photos[i] for i in draw.integers(0, 12, 12)]
        samples.append([by_hand(drawn, mode, photos) for mode in ("all", "loc")])
    for number, mode in enumerate(("all", "loc")):
        figure = scores[f"F1_{mode}"]
        assert (figure.low, figure.high) == pytest.approx(np.quantile(np.array(samples)[:, number], [0.025, 0.975]))


@pytest.mark.parametrize(
    ("said", "cell", "f1_all", "f1_loc"),
    [
        ("dog", (1, 1), 1.0, 1.0),
        ("dog", (3, 3), 0.0, 0.0),
        ("tree", (1, 1), 0.0, 0.0),  # made up, and the dog is missed; nothing right to find
        ("runs", (1, 1), 0.0, 0.0),  # names nothing
    ],
)
def test_planted_captions(said: str, cell: tuple[int, int], f1_all: float, f1_loc: float) -> None:
    found = Grounded(Classes(("dog", "tree"), frozenset(("dog", "tree", "runs"))))
    found.add(record([["dog", "runs"]], {"dog": (1, 1)}), [said], on(cell)[None], FRAME)
    scores = found.result(LAST, 1)
    assert (scores["F1_all"].value, scores["F1_loc"].value) == (f1_all, f1_loc)


def test_a_thing_that_is_said_but_has_no_box_is_not_counted() -> None:
    classes = Classes(("dog", "tree"), frozenset(("dog", "tree")))
    found = Grounded(classes)
    found.add(record([["dog", "tree"]], {"dog": (1, 1)}), ["dog", "tree"], np.stack([on((1, 1))] * 2), FRAME)
    assert found.result(LAST, 1)["precision_all"].value == 1
    # Where no caption has it, it is made up: the tree adds a class to neither side, but its zero counts for nothing.
    made_up = Grounded(classes)
    made_up.add(record([["dog"]], {"dog": (1, 1)}), ["dog", "dog"], np.stack([on((1, 1)), on((0, 0))]), FRAME)
    assert made_up.result(LAST, 1)["precision_all"].value == 0.5
    assert made_up.result(LAST, 1)["recall_all"].value == 1


def test_photos_without_boxes_say_nothing() -> None:
    found = Grounded(Classes(("dog",), frozenset(("dog",))))
    found.add(record([["dog"]], {}), ["dog"], on((0, 0))[None], FRAME)
    assert found.result(LAST, 1) == {}


def test_classes_are_last_words_in_the_singular_with_boxes_in_enough_photos() -> None:
    photos = [record([["a", "dog"], ["dogs", "one"]], {"dog": (0, 0), "dogs": (0, 1), "one": (0, 2)})]
    photos.append(record([["dogs", "boxes"], ["two"]], {"dogs": (0, 1), "boxes": (1, 1)}))
    assert Classes.of(photos, least=2).names == ("dog",)
    classes = Classes.of(photos, least=1)
    assert classes.names == ("boxes", "dog")  # "box" is no word of these data
    assert classes.of_word("dogs") == classes.of_word("dog") == "dog"
    assert classes.of_word("one") is None


PLURALS = {"dogs": "dog", "puppies": "puppy", "boxes": "box", "women": "woman", "people": "people"}
UNCHANGED = ("glasses", "grass", "buses", "is")  # another thing, no plural, not in these data, too short


@pytest.mark.parametrize(("word", "expected"), [*PLURALS.items(), *((word, word) for word in UNCHANGED)])
def test_singular(word: str, expected: str) -> None:
    assert singular(word, {"dog", "puppy", "box", "woman", "glass", "gras", "i"}) == expected
