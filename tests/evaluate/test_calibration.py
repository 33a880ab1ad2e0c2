"""Expected calibration error against a loop over the bins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from toy import make_split

from attnviz.captioner import Captioner
from attnviz.evaluate import evaluate
from attnviz.evaluate.calibration import expected_error
from attnviz.network import Asked


def by_hand(pairs: list[tuple[float, bool]], bins: int = 10) -> float:
    """Guo et al. 2017, equations 3 to 5, bin by bin."""
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        here = [(p, r) for p, r in pairs if low < p <= high or (p == 0 and number == 0)]
        if here:
            accuracy = sum(right for _, right in here) / len(here)
            confidence = sum(p for p, _ in here) / len(here)
            total += len(here) / len(pairs) * abs(accuracy - confidence)
    return total


# Not within rounding of a bin's edge, where either bin would be right; but for 0 and 1 themselves.
SHARES = st.sampled_from([0.0, 1.0]) | st.integers(0, 999).map(lambda number: (number + 0.5) / 1000)


@given(st.lists(st.tuples(SHARES, st.booleans()), min_size=1, max_size=60))
def test_error_is_that_of_the_bins(pairs: list[tuple[float, bool]]) -> None:
    probability, right = (np.array(part) for part in zip(*pairs, strict=True))
    assert expected_error(probability, right) == pytest.approx(by_hand(pairs), abs=1e-9)


def test_a_sure_fool_errs_by_all_and_an_honest_coin_by_nothing() -> None:
    assert expected_error(np.ones(4), np.zeros(4, bool)) == 1
    assert expected_error(np.full(4, 0.5), np.array([True, False, True, False])) == 0


def test_evaluate_reads_every_caption(tmp_path: Path) -> None:
    captions = [{"tokens": ["a", "dog"]}, {"tokens": ["The", "cat", "."]}]
    split = make_split(tmp_path, "dev", {"captions": captions}, {"objects": ["cat"]}, {"captions": captions[:1]})
    model = Captioner.tiny(seed=5)
    model.temperature = 0.2
    report = evaluate(model, split, beam=1)
    pairs: dict[bool, list[tuple[float, bool]]] = {False: [], True: []}
    for record, photo in zip(split, split.photos(), strict=True):
        for caption in record.captions:
            (one,) = model.guesses([model.prepare(photo)], Asked(" ".join(caption.words)))
            for right, calibrated, raw in zip(*one, strict=True):
                pairs[True].append((float(calibrated), bool(right)))
                pairs[False].append((float(raw), bool(right)))
    assert report.calibration == {
        "error": pytest.approx(by_hand(pairs[True])),
        "uncalibrated error": pytest.approx(by_hand(pairs[False])),
        "temperature": 0.2,
        "words": 6,
    }
    assert report.figures()["calibration"] == round(report.calibration["error"], 3)
    assert report.calibration["error"] != report.calibration["uncalibrated error"]
