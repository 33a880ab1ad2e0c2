"""What is said of attention that is easy to misread, and that it is not said of other attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attnviz import Frame, Trace

WORDS = ("a", "dog", "in", "grass", "near", "horses", "with", "people")
CONTENT = (1, 3, 5, 7)


def maps(seed: int = 0, steps: int = 8) -> np.ndarray:
    """Each word looks at places of its own."""
    made: np.ndarray = np.random.default_rng(seed).dirichlet(np.full(196, 0.1), steps).reshape(steps, 14, 14)
    return made


def notes_of(weights: Any, words: tuple[str, ...] = WORDS, **fields: Any) -> str:
    return " ".join(Trace(np.asarray(weights, np.float32), words, **fields).summary()["notes"])


@pytest.mark.parametrize("seed", range(5))
def test_attention_without_such_habits_is_not_blamed(seed: int) -> None:
    assert notes_of(maps(seed), on_image=np.full(8, 0.5, np.float32)) == ""


def test_sinks_are_counted() -> None:
    sunk = 0.4 * maps()
    sunk[:, 0, 0] += 0.4
    sunk[:, 13, 5] += 0.2
    assert "The same 2 cells are among the strongest at 8 of 8 words and hold 61%" in notes_of(sunk)
    relative = Trace(sunk.astype(np.float32), WORDS).relative()
    assert "sink" not in " ".join(relative.summary()["notes"])
    sunk[0, 0, 0], sunk[0, 1, 1] = 0, sunk[0, 0, 0] + sunk[0, 1, 1]
    assert "at 7 of 8 words" in notes_of(sunk)
    assert "sink" not in notes_of(sunk[:3], WORDS[:3])  # three words share a place by chance
    weak = 0.95 * maps()
    weak[:, 0, 0] += 0.05  # seen at every word, and yet not what the pictures show
    assert "sink" not in notes_of(weak)


def test_little_attention_on_the_picture_is_told() -> None:
    assert "3.0% of the attention lies on the picture" in notes_of(maps(), on_image=np.full(8, 0.03, np.float32))
    assert "on the picture" not in notes_of(maps(), on_image=np.full(8, 0.2, np.float32))
    assert "on the picture" not in notes_of(maps())


def test_attention_that_comes_a_step_late_is_told() -> None:
    wide, sharp = np.full((14, 14), 1 / 196), maps(steps=1)[0]
    words = (*WORDS, "there")
    late = np.array([sharp if index - 1 in CONTENT else 0.6 * wide + 0.4 * np.roll(sharp, index) for index in range(9)])
    in_time = np.array([sharp if index in CONTENT else 0.6 * wide + 0.4 * np.roll(sharp, index) for index in range(9)])
    assert "may come a step late" in notes_of(late, words)
    assert "late" not in notes_of(in_time, words)
    assert "late" not in notes_of(late[:5], words[:5])  # of too few words


def test_bars_of_relative_maps_say_so() -> None:
    from attnviz.render.colorbar import titles
    from attnviz.render.heatmap import common_scales

    trace = Trace(maps().astype(np.float32), WORDS)
    frame = Frame.stretch((40, 60), (32, 32), trace.grid)
    for one, relative in ((trace, False), (trace.relative(), True)):
        ((scale, *_),) = common_scales("log", [one], [frame], range(8))
        assert all(("relative" in title) == relative for title in titles(scale))
        assert titles(scale)[0].endswith("attention, times uniform · the same scale in every picture")
