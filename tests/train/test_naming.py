"""Points for naming: beside a count by hand over words, and what self-critical training makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from toy import config, criticised, quiet

from attnviz.captioner import Captioner
from attnviz.captioner.vocabulary import END, SPECIAL, UNKNOWN, Vocabulary
from attnviz.data import Caption, Record
from attnviz.data.things import PEOPLE, PERSON, SYNONYMS, names_of
from attnviz.errors import ConfigError
from attnviz.photo.frame import Frame
from attnviz.train import DataConfig, fit
from attnviz.train.batches import Lesson, collate, lesson
from attnviz.train.critical import Critic
from attnviz.train.naming import Naming

KINDS = ("person", "dog", "hot dog", "horse", "cow", "bicycle", "motorcycle", "orange", "dining table")
WORDS = (
    *("a", "on", "hot", "dog", "dogs", "horse", "horses", "cow", "cattle", "bike", "orange", "table", "dining"),
    *("man", "people", "person"),
)
VOCABULARY = Vocabulary((*SPECIAL, *WORDS))


def points(text: str, *things: str) -> float:
    naming = Naming(VOCABULARY, [KINDS, things])
    return naming.points([*VOCABULARY.encode(text.split()), END], frozenset(things))


@pytest.mark.parametrize(
    ("text", "things", "expected"),
    [
        ("a horse on a table", ["horse", "dining table"], 1),
        ("a horse on a table", ["horse"], 0),
        ("cattle", ["horse"], -1),
        ("a cow on a cow", ["horse"], -1),  # one kind, one fault
        ("a cow on a dog", ["horse"], -2),
        ("a hot dog", ["hot dog"], 1),
        ("a hot dog", ["dog"], -1),
        ("dogs", ["dog", "person"], 1),
        ("a man", ["person"], 0),  # people earn nothing
        ("people on a horse", ["horse"], 0),
        ("a person", ["horse"], -1),
        ("a bike", ["motorcycle"], 1),  # may be either
        ("a bike", ["bicycle"], 1),
        ("a bike", ["dog"], -1),
        ("orange", ["orange"], 1),
        ("orange", ["dog"], 0),  # a colour
        ("a on a", ["dog"], 0),
        ("a cow", [], 0),  # nobody has listed what is there
    ],
)
def test_points(text: str, things: list[str], expected: float) -> None:
    assert points(text, *things) == expected


@given(
    st.lists(st.sampled_from(["a", "on", "dogs", "horse", "cow", "man"]), max_size=9), st.sets(st.sampled_from(KINDS))
)
def test_points_are_a_count_over_words(words: list[str], things: set[str]) -> None:
    """Of forms of one word that mean one kind: the kind is looked up word by word."""
    meant = {"dogs": "dog", "horse": "horse", "cow": "cow", "man": "person"}
    said = {meant[word] for word in words if word in meant}
    expected = (bool(said & things - {PERSON}) - len(said - things)) if things else 0
    assert points(" ".join(words), *things) == expected


def test_each_photo_has_its_list() -> None:
    naming = Naming(VOCABULARY, [("dog",), ("cow",), ()])
    captions = [[VOCABULARY.encode(["dog"]), VOCABULARY.encode(["cow"])]] * 3
    assert naming(captions, [1, 0, 2]).tolist() == [[-1, 1], [1, -1], [0, 0]]


def test_words_for_people_are_no_things() -> None:
    forms = {form for kind in (*SYNONYMS, *KINDS) for form in names_of(kind) if kind != PERSON}
    both = {"skier", "surfer", "skateboarder", "snowboarder"}  # they name skis or boards, and somebody on them
    assert {word for word in PEOPLE if (word,) in forms} == both


def taught(texts: Sequence[str], objects: Sequence[Sequence[str]], model: Captioner) -> list[Lesson]:
    frame = Frame.stretch((32, 32), (32, 32), (2, 2))
    return [
        lesson(
            Record(f"{n}.jpg", (32, 32), (Caption(tuple(text.split()), listed=True),), {}, tuple(things)),
            model.vocabulary,
            frame,
            1,
        )
        for n, (text, things) in enumerate(zip(texts, objects, strict=True))
    ]


def test_photos_without_captions_teach_by_their_lists() -> None:
    """Listed names are no captions: saying them word for word is worth no more than naming the thing."""
    model = Captioner.tiny("general")
    assert {"dog", "cat"} <= set(model.vocabulary.words)
    objects = [("dog",), ("cat",)] * 2
    lessons = taught(["a dog", "a cat"] * 2, objects, model)
    assert all(one.words[0, 0] == UNKNOWN for one in lessons)
    critic = Critic({False: lessons}, 16, Naming(model.vocabulary, objects), 1.0)
    batch = collate(lessons, np.arange(4), False)
    torch.manual_seed(0)
    values = torch.zeros(4, 4, 6)
    values[0::2, :, 0] = values[1::2, :, 1] = 3.0  # what is there can be seen
    rewards = criticised(critic, model, values, batch, 100)
    assert np.mean(rewards[:3]) < 0.2
    assert np.mean(rewards[-10:]) > 0.6
    assert max(rewards) <= 1  # the captions' share would go beyond


def test_lists_that_are_asked_for_must_be_there(data: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="setting 'naming': no photo to learn from has a list of objects"):
        fit(config(data, tmp_path, epochs=1, critical=1, naming=0.5), quiet)
