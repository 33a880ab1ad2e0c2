"""Women, men and colours in captions, counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import make_split

from attnviz.captioner import Captioner
from attnviz.evaluate import evaluate
from attnviz.evaluate.bias import bias

SHE = ["a woman in red", "a girl runs", "somebody runs"]
HE = ["two men", "a man in a grey coat", "people"]
BOTH = ["a woman", "a woman and a man", "a woman"]
ONE = ["a woman", "a person", "somebody"]


def split(*texts: str) -> list[list[str]]:
    return [text.split() for text in texts]


def test_people_are_counted_where_others_agree_on_them() -> None:
    captions = split("a man in red", "a lady", "a person", "a man with a woman", "a man", "a boy", "a man", "a man")
    references = [split(*one) for one in (SHE, SHE, SHE, SHE, HE, HE, BOTH, ONE)]
    found = bias(captions, references)
    assert found["women"] == {"photos": 4, "their": 0.25, "other": 0.25, "open": 0.5}
    assert found["men"] == {"photos": 2, "their": 1, "other": 0, "open": 0}


def test_a_colour_is_right_where_anybody_saw_it() -> None:
    captions = split("a red dog and a red ball", "a blue man", "a gray man in a black hat", "a dog")
    found = bias(captions, [split(*SHE), split(*HE), split(*HE), split(*SHE)])
    assert found["colours"] == {"words": 4, "right": 0.5}  # red and grey of red, blue, grey, black


def test_nothing_to_count_is_left_out() -> None:
    assert bias(split("a dog"), [split("a dog")]) == {}


def test_evaluate_reports_it(tmp_path: Path) -> None:
    captions = [{"tokens": ["A", "woman"]}, {"tokens": ["Women", "."]}]
    made = make_split(tmp_path, "dev", {"captions": captions})
    model = Captioner.tiny(words=("man", "red"), seed=5)
    report = evaluate(model, made, beam=1)
    (said,) = report.captions.values()
    assert {"man", "red"} & set(said.split())
    assert report.bias["women"]["other"] == float("man" in said)
    assert report.bias == bias([tuple(said.split())], [[("a", "woman"), ("women",)]])
    assert report.bias["women"]["photos"] == pytest.approx(1)
