"""Several splits as one, and sentences made from objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from toy import make_split

from attnviz.captioner import ModelConfig, load_checkpoint
from attnviz.errors import DataError
from attnviz.train import DataConfig, FitConfig, TrainConfig, fit
from attnviz.train.corpus import Joined, count, draw, sentences, teachable, times


def said(*objects: str) -> set[str]:
    return {" ".join(caption.words) for caption in sentences(objects)}


def test_sentences_name_the_objects() -> None:
    assert said("cat") == {"a cat"}
    assert "an apple next to a wine glass" in said("apple", "wine glass")
    assert said("person", "skis", "bus") == {"a person with skis", "a person with a bus"}
    assert said("person") == {"a person"}


def test_photos_with_neither_captions_nor_objects_are_left_out(tmp_path: Path) -> None:
    split = teachable(make_split(tmp_path, "some", {"captions": [{"tokens": ["Cat"]}]}, {}, {"objects": ["dog"]}))
    assert [record.image for record in split] == ["some0.png", "some2.png"]
    assert [record.captions[0].words for record in split] == [("cat",), ("a", "dog")]
    assert [int(photo.pixels[0, 0, 0]) for photo in split.photos()] == [0, 80]
    with pytest.raises(DataError, match="no photo has captions or objects"):
        teachable(make_split(tmp_path, "none", {}))


class Rows:
    """Inputs whose maps are the photo's number, and a hundred more."""

    def __init__(self, base: int) -> None:
        self.base = base

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        numbers = torch.from_numpy(rows + self.base)
        return numbers, numbers + 100


def test_joined_inputs_are_numbered_through() -> None:
    joined = Joined([Rows(0), Rows(3), Rows(5)], [3, 2, 4])
    rows = np.array([0, 2, 2, 5, 8])
    first, second = joined.batch(rows)
    assert first.tolist() == rows.tolist()
    assert second.tolist() == (rows + 100).tolist()


def test_an_epoch_draws_each_split_at_its_rate() -> None:
    rng = np.random.default_rng(0)
    wanted = [np.full(10, 1.0), np.full(4, 2.5), np.full(20, 0.3), np.zeros(2)]
    rows = draw(wanted, rng)
    taken = np.bincount(rows, minlength=36)
    assert (taken[:10] == 1).all()
    assert sorted(taken[10:14]) == [2, 2, 3, 3]
    assert sorted(taken[14:34]) == [0] * 14 + [1] * 6
    assert not taken[34:].any()
    assert len(rows) == count(wanted)
    assert not np.array_equal(rows, draw(wanted, rng))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 4), min_size=1, max_size=12), st.integers(0, 99))
def test_a_photo_is_taken_as_often_as_wanted(wanted: list[float], seed: int) -> None:
    part, rng = np.array(wanted), np.random.default_rng(seed)
    total = count([part])
    exact = part * (total / part.sum()) if part.sum() else part
    runs = np.stack([np.bincount(draw([part], rng), minlength=len(part)) for _ in range(200)])
    assert (runs.sum(1) == total).all()
    assert (np.abs(runs - exact) < 1 + 1e-6).all()  # the whole number below or above
    assert np.abs(runs.mean(0) - exact).max() < 0.2  # a mean of 200 coins deviates by 0.035 at most


def test_photos_of_rare_objects_come_more_often(tmp_path: Path) -> None:
    kinds = [["cat"]] * 4 + [["cat", "zebra"], []]
    split = make_split(tmp_path, "some", *({"captions": [{"tokens": ["A"]}], "objects": kind} for kind in kinds))
    assert times(split, 2, 0).tolist() == [2.0] * 6
    found = times(split, 2, 1)
    assert found[:4].tolist() == pytest.approx([found[0]] * 4)
    assert found[4] == pytest.approx(5 * found[0])  # a zebra in one photo, cats in five
    assert found[5] == pytest.approx(found[:5].mean())
    assert found.mean() == pytest.approx(2)
    assert times(split, 2, 0.5)[4] == pytest.approx(5**0.5 * times(split, 2, 0.5)[0])


@pytest.mark.parametrize("encoder_rate", [0.0, 1e-4])
def test_extra_splits_bring_their_words(tmp_path: Path, encoder_rate: float) -> None:
    caption = {"tokens": ["A", "dog", "."], "phrases": [[0, 2, "1"]]}
    make_split(tmp_path, "main", {"captions": [caption], "boxes": {"1": [[0, 0, 0.5, 0.5]]}}, {"captions": [caption]})
    make_split(tmp_path, "more", {"objects": ["zebra"]}, {"objects": ["zebra", "person"]})
    data = DataConfig(
        str(tmp_path / "main"),
        str(tmp_path / "main"),
        extra=[str(tmp_path / "more")],
        rates=[1, 2],
        cache=str(tmp_path / "cache"),
        minimum=1,
        captions=2,
    )
    model = ModelConfig(
        backbone="efficientnet-lite0", input=(32, 32), channels=6, embedding=8, state=6, language=8, attention=5
    )
    options = TrainConfig(epochs=1, photos=3, encoder_rate=encoder_rate)
    path = fit(
        FitConfig(str(tmp_path / "m.safetensors"), data, pretrained="", model=model, train=options), lambda _: None
    )
    assert {"dog", "zebra", "person"} <= set(load_checkpoint(path).vocabulary.words)
