"""Captions and localization against hand counts."""

from __future__ import annotations

import json
import math
import zipfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from planted import Planted, peaked

from attnviz.captioner import Captioner
from attnviz.data import Caption, Phrase, Record, Split
from attnviz.data.things import SYNONYMS, names_of
from attnviz.errors import DataError, ModelError
from attnviz.evaluate import Figure, evaluate
from attnviz.evaluate.captions import bleu, bleu_intervals
from attnviz.evaluate.localization import Tally, centre_weights, targets
from attnviz.evaluate.objects import intervals, names_one, score
from attnviz.photo.frame import Frame
from attnviz.stats import resampled
from attnviz.trace import Trace

if TYPE_CHECKING:
    from attnviz.network import Asked, Prepared


def bleu_by_hand(hypotheses: list[list[str]], references: list[list[list[str]]], order: int) -> float:
    """Papineni et al. 2002: clipped precisions over the corpus, the closest reference length (the shorter of two)."""
    logs, spoken, closest = 0.0, 0, 0
    for n in range(1, order + 1):
        right = total = 0
        for words, refs in zip(hypotheses, references, strict=True):
            grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
            most: Counter[tuple[str, ...]] = Counter()
            for ref in refs:
                most |= Counter(tuple(ref[i : i + n]) for i in range(len(ref) - n + 1))
            right += sum(min(count, most[gram]) for gram, count in grams.items())
            total += sum(grams.values())
        logs += math.log(right / total) / order
    for words, refs in zip(hypotheses, references, strict=True):
        spoken += len(words)
        closest += min((abs(len(ref) - len(words)), len(ref)) for ref in refs)[1]
    return 100 * min(1.0, math.exp(1 - closest / spoken)) * math.exp(logs)


def test_bleu_is_papinenis() -> None:
    hypotheses = [
        ["a", "dog", "runs", "on", "the", "green", "grass"],
        ["two", "men", "in", "a", "boat"],
        ["a", "big", "cat"],
    ]
    references = [
        [s.split() for s in ("a brown dog runs on the grass", "the dog is on green grass today in the park")],
        [s.split() for s in ("two men sit in a boat", "people in a boat", "two men in a small boat on a lake")],
        [s.split() for s in ("a big cat", "the cat")],
    ]
    for order in (1, 2, 3, 4):
        expected = bleu_by_hand(hypotheses, references, order)
        assert bleu(hypotheses, references)[f"BLEU-{order}"] == pytest.approx(expected, abs=1e-6)


def test_bleu_of_samples_makes_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnviz.evaluate.captions.resampled", partial(resampled, draws=60))
    hypotheses = [s.split() for s in ("a dog runs on the grass", "two men in a boat", "a big cat", "dog", "")]
    references = [
        [s.split() for s in refs]
        for refs in (
            ("a brown dog runs on the grass", "a dog on the grass"),
            ("two men sit in a boat",),
            ("a big cat sits there", "the cat"),
            ("a dog",),
            ("nothing at all",),
        )
    ]
    draw, samples = np.random.default_rng(7), []
    for _ in range(60):
        drawn = draw.integers(0, 5, 5).tolist()
        samples.append([bleu([hypotheses[i] for i in drawn], [references[i] for i in drawn])])
    for name, found in bleu_intervals(hypotheses, references, 7).items():
        assert found == pytest.approx(np.quantile([row[0][name] for row in samples], [0.025, 0.975]))


def record(*boxes: list[float]) -> Record:
    caption = Caption(("a", "dog", "runs", "home"), (Phrase(0, 2, "1"), Phrase(2, 3, "2")))
    return Record("x.png", (10, 20), (caption,), {"1": np.array(boxes)})


def test_correctness_takes_the_best_word_and_pointing_the_last() -> None:
    frame = Frame.stretch((10, 20), (32, 32), (2, 2))
    half_of_the_left = [0, 0, 1, 0.25]  # (y0, x0, y1, x1)
    one = record(half_of_the_left)
    (target,) = targets(one, one.captions[0], frame)  # the phrase of chain 2 has no boxes
    np.testing.assert_allclose(target.cover, [[0.5, 0], [0.5, 0]])
    # The left cells' centres lie at a quarter of the width: on the box's edge, which belongs to it.
    np.testing.assert_array_equal(target.centre, [[True, False], [True, False]])
    weights = np.array([[[0.6, 0.1], [0.2, 0.1]], [[0.1, 0.7], [0.1, 0.1]], [[1, 0], [0, 0]], [[1, 0], [0, 0]]])
    tally = Tally()
    tally.add(weights, [target])
    assert tally.result() == {"correctness": pytest.approx(0.4), "pointing": 0.0, "phrases": 1}
    tally.add_uniform([target])
    assert tally.result() == {"correctness": pytest.approx((0.4 + 0.25) / 2), "pointing": 0.25, "phrases": 2}


@pytest.mark.parametrize("box", [[0, 0, 1, 1], [-0.1, 0, 1.2, 1], [0.5, 0.5, 0.5, 0.7]])
def test_boxes_of_all_or_nothing_are_left_out(box: list[float]) -> None:
    one = record(box)
    assert targets(one, one.captions[0], Frame.stretch((10, 20), (32, 32), (2, 2))) == []


def test_boxes_lie_where_a_crop_shows_them() -> None:
    """A 10x20 photo, cropped to its middle 10x10: the box over the left half covers the crop's left half."""
    one = record([0, 0, 1, 0.5])
    (target,) = targets(one, one.captions[0], Frame.crop((10, 20), (32, 32), (2, 2)))
    np.testing.assert_allclose(target.cover, [[1, 0], [1, 0]])


def test_centre_is_a_gaussian_of_a_quarter() -> None:
    weights = centre_weights((4, 8))
    assert weights.sum() == pytest.approx(1)
    expected = math.exp(-((0.125**2 - 0.375**2) / (2 * 0.25**2)))
    assert weights[1, 3] / weights[0, 3] == pytest.approx(expected)
    np.testing.assert_allclose(weights, weights[::-1, ::-1])


def test_random_baseline_draws_the_attention_alone() -> None:
    model = Captioner.tiny("general")
    fresh = model.random_attention()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, fresh.state_dict()[key])}
    assert changed == {"decoder.attention.We.weight", "decoder.attention.Wd.weight"}
    again = model.random_attention()
    assert torch.equal(
        fresh.state_dict()["decoder.attention.We.weight"], again.state_dict()["decoder.attention.We.weight"]
    )


@pytest.fixture
def split(tmp_path: Path) -> Split:
    rng = np.random.default_rng(0)
    lines = []
    with zipfile.ZipFile(tmp_path / "dev.zip", "w") as archive:
        for name in ("a.png", "b.png", "c.png"):
            Image.fromarray(rng.integers(0, 256, (24, 36, 3), dtype=np.uint8)).save(tmp_path / name)
            archive.write(tmp_path / name, name)
            captions = [
                {"tokens": ["A", "dog", "on", "grass", "."], "phrases": [[0, 2, "1", []], [3, 4, "2", []]]},
                {"tokens": ["Zebra"], "phrases": [[0, 1, "1", []]]},
            ]
            boxes = {"1": [[0.1, 0.2, 0.6, 0.7], [0.5, 0.5, 0.9, 0.8]], "2": [[0, 0.5, 1, 1]]}
            lines.append(json.dumps({"image": name, "width": 36, "height": 24, "captions": captions, "boxes": boxes}))
    (tmp_path / "dev.jsonl").write_text("\n".join(lines))
    return Split(tmp_path / "dev")


def test_evaluate_counts_every_phrase(split: Split) -> None:
    model, seen = Captioner.tiny(seed=2), []
    report = evaluate(model, split, beam=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)
    assert report.localization["model"]["phrases"] == 9
    # The same by reading each caption alone, through the public way.
    mass = []
    for one, photo in zip(split, split.photos(), strict=True):
        frame = Frame.stretch(photo.size, model.input, model.grid)
        for caption in one.captions:
            (read,) = model.describe_pixels(frame.apply(photo.pixels)[None], [" ".join(caption.words)])
            mass += [
                max((read.weights[t] * target.cover).sum() for t in range(target.start, target.end))
                for target in targets(one, caption, frame)
            ]
    assert report.localization["model"]["correctness"] == pytest.approx(np.mean(mass), abs=1e-6)
    assert set(report.localization) == {"model", "uniform", "centre", "random"}
    assert set(report.bleu) == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"}
    assert set(report.captions) == {"a.png", "b.png", "c.png"}
    assert json.loads(json.dumps(report.to_dict()))["photos"] == 3


def test_a_split_without_captions_cannot_be_measured(split: Split) -> None:
    split.lines.write_text(json.dumps({"image": "a.png"}))
    with pytest.raises(DataError, match="has no captions"):
        evaluate(Captioner.tiny(), Split(split.lines))


def test_names_of_objects() -> None:
    assert names_of("dining table") == {("dining", "table"), ("dining", "tables"), ("table",), ("tables",)}
    assert ("benches",) in names_of("bench")
    assert ("puppies",) in names_of("dog")
    assert names_one(["a", "red", "double-decker"], ["bus"])
    assert names_one(["two", "stuffed", "animals"], ["person", "teddy bear"])
    assert not names_one(["a", "man"], ["person"])
    assert not names_one(["a", "dogged", "man"], ["dog", "person"])
    assert "person" not in SYNONYMS


def test_the_share_of_captions_that_name_an_object() -> None:
    captions = [["a", "cat"], ["a", "dog"], ["a", "man"], ["a", "dog"]]
    objects = [["cat"], ["dog", "cat"], ["person"], ["cat", "person"]]
    found = score(captions, objects)
    # The third photo has a person only. "a cat" would be right for all of the other three, what was said for two.
    assert found == {"named": 2 / 3, "constant": 1.0, "constant caption": "a cat", "photos": 3}
    assert score(captions[2:3], objects[2:3]) == {}
    found_too = intervals(captions * 20, objects * 20)
    for name in ("named", "constant"):
        low, high = found_too[name]
        assert low <= float(found[name]) <= high
    assert intervals(captions[2:3], objects[2:3]) == {}


class Told(Planted):
    """Says "a dog"; in a sentence it looks at the upper left cell, at a phrase alone at the lower right one."""

    def __init__(self) -> None:
        super().__init__(("a", "dog"), (None, None), peaked((0, 0), (0, 0)))
        self.read: list[tuple[str, ...]] = []

    def describe(self, prepared: Sequence[Prepared], asked: Asked) -> list[Trace]:
        if asked.text is None:
            return super().describe(prepared, asked)
        self.read.append(tuple(asked.text))
        traces = []
        for number, one in enumerate(prepared):
            words = (asked.text_of(number) or "").split()
            maps = peaked(*[(0, 0) if len(words) > 2 else (3, 3)] * len(words)).astype(np.float32)
            logprobs = np.zeros(len(words), np.float32)
            traces.append(Trace(maps, tuple(words), logprobs, frame=one.frame, image=one.image))
        return traces


def test_captions_are_read_in_full_and_phrases_alone(tmp_path: Path) -> None:
    captions = [{"tokens": ["A", "dog", "runs", "."], "phrases": [[0, 2, "1", ["animals"]], [2, 3, "2", []]]}] * 2
    boxes = {"1": [[0, 0, 0.3, 0.3]], "2": [[0, 0, 1, 1]]}  # the second is the whole frame: of the phrase alone only
    lines = []
    with zipfile.ZipFile(tmp_path / "dev.zip", "w") as archive:
        for number in range(12):
            name = f"{number}.png"
            Image.new("RGB", (24, 24)).save(tmp_path / name)
            archive.write(tmp_path / name, name)
            lines.append(json.dumps({"image": name, "width": 96, "height": 72, "captions": captions, "boxes": boxes}))
    (tmp_path / "dev.jsonl").write_text("\n".join(lines))
    model = Told()
    report = evaluate(model, Split(tmp_path / "dev"))
    assert set(model.read) == {("a dog runs", "a dog runs", "a dog", "runs")}
    assert report.phrases["pointing"] == {"all": 24, "animals": 24}
    assert report.phrases["pointing alone"] == {"all": 48, "animals": 24}
    given, alone = report.measures["pointing"], report.measures["pointing alone"]
    assert given["all"]["model"] == given["animals"]["model"] == Figure(1.0, 1.0, 1.0)
    assert alone["animals"]["model"].value == 0  # it looks elsewhere when nothing follows
    assert alone["all"]["model"].value == 0.5
    # Boxes to a tenth of a pixel: 0 < row < 21.6, 0 < column < 28.8; all but the first row and column of the frame.
    by_chance = (21 * 28 / (72 * 96) + 71 * 95 / (72 * 96)) / 2
    assert alone["all"]["uniform"].value == pytest.approx(by_chance)
    assert alone["all"]["centre"].value == 0.5
    assert alone["all"]["corrected"].value == pytest.approx((0.5 - by_chance) / (1 - by_chance))
    assert set(report.localization) == {"model", "uniform", "centre"}  # it has no attention to draw anew
    # The box of the strongest cell, a quarter wide, and the thing's, three tenths wide.
    assert report.measures["box accuracy"]["all"]["model"].value == 1
    assert report.measures["iou"]["all"]["model"].value == pytest.approx(0.25**2 / 0.3**2)
    scores = report.grounded["model"]
    assert report.classes == 2  # dog and runs
    assert scores["precision_all"].value == scores["recall_all"].value == 0.5  # it never says the other one
    assert scores["F1_loc"].value == pytest.approx(0.5)


def test_other_figures_are_as_the_localization_says(split: Split) -> None:
    report = evaluate(Captioner.tiny(seed=2), split, beam=2)
    for who, found in report.localization.items():
        for name in ("correctness", "pointing"):
            assert report.measures[name]["all"][who].value == pytest.approx(found[name])
        assert report.phrases["pointing"]["all"] == found["phrases"]
    for figures in report.measures.values():
        assert list(figures) == ["all"]  # the data name no categories
        for name in ("uniform", "centre"):
            one = figures["all"][name]
            assert one.low - 1e-9 <= one.value <= one.high + 1e-9
    for name, (low, high) in report.intervals.items():
        assert low <= report.bleu[name] <= high
    json.dumps(report.to_dict())


def test_a_network_that_reads_no_words_is_measured_by_its_captions(split: Split) -> None:
    class Mute(Planted):
        def check(self, asked: Asked) -> None:
            if asked.text is not None:
                raise ModelError("planted reads nothing")

    report = evaluate(Mute(("a", "dog"), (None, None), peaked((0, 0), (0, 0))), split)
    assert report.bleu
    assert (report.localization, report.measures, report.phrases, report.shares, report.grounded) == (
        {},
        {},
        {},
        {},
        {},
    )
