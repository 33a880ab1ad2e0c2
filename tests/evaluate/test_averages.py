"""Evidence over many photos: means by loops, planted answers, and runs that were ended and go on."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planted import Planted, lit, peaked

from attnviz.captioner import Captioner
from attnviz.data import Split
from attnviz.data.words import FUNCTION_WORDS, is_content, normalise
from attnviz.errors import DataError, OutputError
from attnviz.evaluate import average, measure
from attnviz.evaluate.averages import mean
from attnviz.evaluate.evidence import Measured, sample
from attnviz.evaluate.focus import Judge, Said, focus
from attnviz.evaluate.kept import Kept
from attnviz.evidence import Protocol, Settings

CELLS = [(0, 1), (2, 3), (3, 0), (1, 1)]
WORDS = ["sun", "the", "moon", "star"]
QUICK = Protocol(Settings(how="mean", steps=4, draws=3), blocks=16)


def split_of(folder: Path, *records: dict[str, Any], name: str = "dev") -> Split:
    """A split of lit photos, each with the caption that the planted network says, unless a record says otherwise."""
    lines = []
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for number, record in enumerate(records):
            file = f"{number}.png"
            Image.fromarray(lit(*CELLS, size=(80, 120 + 8 * number)).pixels).save(folder / file)
            archive.write(folder / file, file)
            lines.append({"image": file, "captions": [{"tokens": WORDS}], **record})
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return Split(folder / name)


def told(measured: Measured, split: Split) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(average(measured, split).to_dict()))
    return found


def test_planted_networks_come_out_as_they_must(tmp_path: Path) -> None:
    split = split_of(tmp_path, *[{}] * 5)
    fine = replace(QUICK, settings=Settings(how="mean", steps=16, draws=4), content=4)
    right, blind = Planted(WORDS, CELLS, peaked(*CELLS)), Planted(WORDS, [None] * 4, peaked(*CELLS))
    blind.name = "blind"
    good, bad = (told(one, split) for one in measure([right, blind], split, tmp_path / "out", photos=5, protocol=fine))
    assert (good["photos"], good["unread"], good["words"]) == (5, 0, {"content": 15, "function": 5})
    assert good["curves"] == {"content": 15, "function": 5}
    for kind in ("content", "function"):
        assert good["verdicts"][kind]["supported"] == {"value": 1, "low": 1, "high": 1}
        assert bad["verdicts"][kind]["no photo needed"] == {"value": 1, "low": 1, "high": 1}
        for name in ("deletion below random", "insertion above random", "deletion below centre"):
            assert good["means"][kind][name]["low"] > 0.1
            assert bad["means"][kind][name] == {"value": 0, "low": 0, "high": 0}
        assert good["means"][kind]["against"]["value"] < 0.01
        assert "agrees" not in bad["means"][kind]  # nothing falls, so nothing can agree
    assert good["sinks"]["value"] == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "planted.jsonl").read_text().splitlines()[1:]]
    content = [word for line in lines for word in line["given"]["words"] if word["token"] != "the"]
    for name, key in (
        ("agrees", "own"),
        ("agrees with the word before", "before"),
        ("agrees with the next word", "after"),
    ):
        values = [word["shift"][key] for word in content if word["shift"][key] is not None]
        assert good["means"]["content"][name]["value"] == pytest.approx(sum(values) / len(values))
    assert good["means"]["content"]["agrees"]["low"] > 0.2


def test_means_are_those_of_loops_over_what_was_kept(tmp_path: Path) -> None:
    split = split_of(tmp_path, *[{"captions": [{"tokens": ["A", "dog", "runs", "on", "grass"]}]}] * 4)
    networks = [Captioner.tiny("concat"), Captioner.tiny("dot")]
    found = measure(networks, split, tmp_path / "out", photos=4, protocol=QUICK)
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["tiny-concat.jsonl", "tiny-dot.jsonl"]
    lines = [json.loads(line) for line in files[0].read_text().splitlines()[1:]]
    result = told(found[0], split)
    words = [word for line in lines for word in line["given"]["words"] if word["token"] not in ("a", "on")]
    assert result["words"]["content"] == len(words) == 12
    drawn = [word for word in words if word["deletion"]]
    assert result["curves"] == {"content": 8, "function": 4} == {"content": len(drawn), "function": 4}
    means = result["means"]["content"]

    def close(name: str, values: list[float]) -> None:
        assert means[name]["value"] == pytest.approx(sum(values) / len(values))
        assert means[name]["low"] <= means[name]["value"] <= means[name]["high"]

    close("probability", [word["probability"] for word in words])
    close("against", [word["violation"] for word in words])
    close("log factor of uniform attention", [word["log_unfocused"] for word in words])
    close("deletion", [word["deletion"]["area"] for word in drawn])
    close("random", [sum(word["deletion"]["random"]) / 6 for word in drawn])
    close("insertion above random", [w["insertion"]["area"] - sum(w["insertion"]["random"]) / 6 for w in drawn])
    close("deletion below centre", [w["deletion"]["centre"] - w["deletion"]["area"] for w in drawn])
    # The second map on every fourth photo: the first.
    second = [word for word in drawn if word["deletion"]["second"] is not None]
    assert len(second) == 2
    close("deletion, gradient below attention", [w["deletion"]["area"] - w["deletion"]["second"] for w in second])
    for kind, figure in result["verdicts"]["content"].items():
        assert figure["value"] == pytest.approx(sum(word["verdict"] == kind for word in drawn) / 8)
    layers = result["layers"]["content"]
    assert list(layers) == ["attention", "query LSTM", "fuse", "encoder"]
    random = [word["randomised"]["fuse"] for word in words if word["randomised"]["fuse"] is not None]
    assert layers["fuse"]["value"] == pytest.approx(sum(random) / len(random))
    assert result["passes"] == np.mean([line["given"]["passes"] for line in lines])
    # The same words for every network, others for every photo's name.
    chosen = [
        [[w["index"] for w in one["given"]["words"] if w["deletion"]] for one in m.photos.values()] for m in found
    ]
    assert chosen[0] == chosen[1]
    assert len({tuple(row) for row in chosen[0]}) > 1


def test_an_interval_draws_photos_and_not_words() -> None:
    # Of two photos a sample has both (half of the time), or one of them twice (a quarter each).
    figure = mean([[1.0] * 100, [0.0]])
    assert figure is not None
    assert (figure.value, figure.low, figure.high) == pytest.approx((100 / 101, 0, 1))
    same = mean([[0.5], [0.5, 0.5], []])
    assert same is not None
    assert (same.value, same.low, same.high) == (0.5, 0.5, 0.5)
    assert mean([[], []]) is None
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 1))
    wide = mean(values.tolist())
    assert wide is not None
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(300), rel=0.1)


def test_focus_of_right_words_has_its_known_correlation() -> None:
    best = [[Said("objects", True, 1 + i / 50, -1.0), Said("objects", False, 4 - i / 50, -1.0)] for i in range(20)]
    told = focus(best)["objects"]
    assert told["words"] == 40
    assert told["right"].value == 0.5
    assert told["focus"].value == pytest.approx(np.sqrt(3) / 2, abs=1e-3)
    assert 0.8 < told["focus"].low <= told["focus"].high <= 0.88
    assert "probability" not in told  # all alike
    rng = np.random.default_rng(1)
    chance = [
        [Said("others", bool(rng.random() < 0.6), rng.random(), rng.random()) for _ in range(3)] for _ in range(200)
    ]
    figure = focus(chance)["others"]["focus"]
    assert figure.low < 0 < figure.high
    assert figure.high - figure.low == pytest.approx(2 * 1.96 / np.sqrt(600), rel=0.2)
    assert focus([[], []]) == {}


def test_which_words_are_right(tmp_path: Path) -> None:
    people = {"tokens": ["Two", "dogs", "chase", "a", "bicycle", "."], "phrases": [[0, 2, "1", []], [3, 5, "2", []]]}
    boxed = {"captions": [people], "boxes": {"1": [[0, 0, 0.5, 1]], "2": [[0, 0, 0.5, 1]]}}
    split = split_of(
        tmp_path, *[boxed] * 10, {"objects": ["cat", "person"]}, {"captions": [{"tokens": ["dog", "cat"]}]}
    )
    judge = Judge(split)

    def said(record: int, *words: str) -> list[tuple[str, bool]]:
        tokens = [{"token": word, "entropy": 1.0, "logprob": -1.0} for word in words]
        return [(one.kind, one.right) for one in judge.said(split[record], tokens)]

    assert said(0, "a", "dog") == [("objects", True)]  # in the singular, and function words are not counted
    assert said(0, "bicycle", "cat") == [("objects", True), ("objects", False)]
    assert said(0, "chase", "run", "two") == [("others", True), ("others", False), ("others", True)]
    assert said(0, "bike") == [("others", False)]  # no class of the split, and no thing that its objects name
    assert said(10, "cats", "dog") == [("objects", True), ("objects", False)]
    assert said(10, "kitten") == [("others", False)]


def test_a_synonym_of_a_thing_that_people_named_is_right(tmp_path: Path) -> None:
    people = {"tokens": ["a", "bicycle"], "phrases": [[0, 2, "1", []]]}
    bike = {"tokens": ["a", "bike"], "phrases": [[0, 2, "1", []]]}
    box = {"1": [[0, 0, 0.5, 1]]}
    split = split_of(tmp_path, *[{"captions": [people], "boxes": box}] * 10, *[{"captions": [bike], "boxes": box}] * 10)
    (one,) = Judge(split).said(split[0], [{"token": "bikes", "entropy": 1.0, "logprob": None}])
    assert (one.kind, one.right) == ("objects", True)


def test_a_run_that_was_ended_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    split = split_of(tmp_path, *[{}] * 6)
    networks = [Planted(WORDS, CELLS, peaked(*CELLS)), Planted(WORDS, CELLS, peaked(*CELLS[::-1]))]
    networks[1].name = "other"
    whole = measure(networks, split, tmp_path / "whole", photos=6, protocol=QUICK)

    def interrupt(new: int, done: int, left: int) -> None:
        if new == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(networks, split, tmp_path / "out", photos=6, protocol=QUICK, progress=interrupt)
    # What an end without notice leaves: half a line, and of one network a photo less.
    first, second = tmp_path / "out" / "planted.jsonl", tmp_path / "out" / "other.jsonl"
    first.write_bytes(first.read_bytes() + b'{"image": "2.png", "giv')
    second.write_bytes(b"".join(second.read_bytes().splitlines(keepends=True)[:-1]))
    seen: list[tuple[int, int, int]] = []
    again = measure(
        networks, split, tmp_path / "out", photos=6, protocol=QUICK, progress=lambda *told: seen.append(told)
    )
    assert seen[0] == (0, 2, 4)
    assert seen[-1] == (4, 6, 0)
    for one, other in zip(whole, again, strict=True):
        assert one == other
        assert list(one.photos) == list(other.photos)
        assert average(one, split) == average(other, split)
    for name in ("planted.jsonl", "other.jsonl"):
        assert sorted((tmp_path / "whole" / name).read_text().splitlines()) == sorted(
            (tmp_path / "out" / name).read_text().splitlines()
        )
    # A shorter sample is the first part of a longer one, and needs nothing more.
    seen.clear()
    part = measure(
        networks, split, tmp_path / "out", photos=2, protocol=QUICK, progress=lambda *told: seen.append(told)
    )
    assert seen == [(0, 2, 0)]
    assert list(part[0].photos) == list(whole[0].photos)[:2]
    assert sample(split, 2) == sample(split, 6)[:2]
    assert sample(split, 6, seed=1) != sample(split, 6)


@pytest.mark.parametrize("change", ["protocol", "beam", "network", "data"])
def test_what_was_measured_in_another_way_is_not_mixed(tmp_path: Path, change: str) -> None:
    split, network = split_of(tmp_path, {}, {}), Planted(WORDS, CELLS, peaked(*CELLS))
    measure([network], split, tmp_path / "out", photos=1, protocol=QUICK)
    how: dict[str, Any] = {"protocol": QUICK}
    if change == "protocol":
        how["protocol"] = replace(QUICK, content=1)
    elif change == "beam":
        how["beam"] = 2
    elif change == "network":
        network = Planted(WORDS, CELLS, peaked(*CELLS[::-1]))
    else:
        split = split_of(tmp_path, {}, {}, {"objects": ["cat"]})
    with pytest.raises(DataError, match=r"planted.jsonl: was measured with another .*; give another folder"):
        measure([network], split, tmp_path / "out", photos=2, **how)


@pytest.mark.parametrize(
    "text", ["not json\n", "[1]\n", '{"attnviz": 1}\n[2]\n', '{"attnviz": 1}\n{"a": 2}\n', "\udcff\n"]
)
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    before = file.read_bytes()
    with pytest.raises(DataError, match=r"a.jsonl: not a file of measured photos"):
        Kept(tmp_path, "a", {"attnviz": 1})
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Kept(tmp_path / "file", "a", {})
    assert Kept(tmp_path, "../../a b/ü", {}).path.parent == tmp_path


def test_captions_that_are_read_as_other_words_are_counted_and_a_split_without_any_is_told(tmp_path: Path) -> None:
    split = split_of(tmp_path, {}, {"captions": [{"tokens": ["one", "sun"]}]}, {"captions": []})
    (found,) = measure([Planted(WORDS, CELLS, peaked(*CELLS))], split, tmp_path / "out", photos=9, protocol=QUICK)
    assert (average(found, split).photos, average(found, split).unread) == (2, 1)
    none = split_of(tmp_path, {"captions": []}, name="none")
    with pytest.raises(DataError, match="has no captions to read"):
        measure([Planted(WORDS, CELLS, peaked(*CELLS))], none, tmp_path / "out", protocol=QUICK)


def test_function_words_are_words_as_they_are_counted() -> None:
    assert all(normalise(word) == word for word in FUNCTION_WORDS)
    assert [is_content(word) for word in ("the", "in", "dog", "two", "runs", "is")] == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]
