"""Which words carry content, which is the main one, and which are unsure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from attnviz.trace.wording import FUNCTION_WORDS, UNSURE, content_words, is_unsure, main_word, unsure

CAPTIONS = {
    "a brown dog runs in the grass": ("brown dog runs grass", "dog"),
    "two dogs play with each other": ("dogs play", "dogs"),
    "a man in a red shirt is riding a bike": ("man red shirt riding bike", "man"),
    "people are walking down the street": ("people walking street", "people"),
    "a cat sitting on top of a bed": ("cat sitting bed", "cat"),
    "a group of people standing in front of a building": ("people standing building", "people"),
    "a close up of a pizza on a plate": ("pizza plate", "pizza"),
    "A running dog .": ("running dog", "dog"),
    "the tall building": ("tall building", "building"),
    "a cup of coffee and a donut": ("cup coffee donut", "cup"),
    "a black and white dog": ("black white dog", "dog"),
    "a large group of young people": ("large young people", "people"),
    "a man in black": ("man black", "man"),
    "ein Hund läuft": ("ein hund läuft", "läuft"),
    "▁a ▁dog ##s": ("dog s", "dog"),
    "there is no one here": ("", None),
    "": ("", None),
}


@pytest.mark.parametrize("caption", CAPTIONS)
def test_content_and_main_word(caption: str) -> None:
    words = caption.split()
    content, main = CAPTIONS[caption]
    found = [words[index].strip("▁#").casefold() for index in content_words(words)]
    if "##s" not in caption:
        assert " ".join(found) == content
    index = main_word(words)
    assert (None if index is None else words[index].strip("▁#").casefold()) == main


@given(st.lists(st.text(max_size=12), max_size=12))
def test_any_words_at_all(words: list[str]) -> None:
    content, main = content_words(words), main_word(words)
    assert content == sorted(set(content))
    assert (main in content) if content else main is None
    assert not {words[index].casefold() for index in content} & FUNCTION_WORDS


def test_unsure_is_below_a_tenth() -> None:
    assert UNSURE == 0.1
    for probability, wanted in ((0.0999, True), (0.1001, False), (1.0, False), (1e-30, True)):
        assert is_unsure(math.log(probability)) is wanted
    assert not is_unsure(None)
    assert not is_unsure(math.nan)
    assert is_unsure(-math.inf)
    assert unsure(np.log(np.array([0.5, 0.01], np.float32)), 2) == (False, True)
    assert unsure(None, 3) == (False, False, False)
