"""Several splits as one, and sentences made from objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toy import make_split

from attnviz.captioner import ModelConfig, load_checkpoint
from attnviz.errors import DataError
from attnviz.train import DataConfig, FitConfig, TrainConfig, fit
from attnviz.train.corpus import Joined, count, draw, sentences, teachable


def said(*objects: str) -> set[str]:
    return {" ".join(caption.words) for caption in sentences(objects)}


def test_sentences_name_the_objects() -> None:
    assert said("cat") == {"a cat", "a close up of a cat"}
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
    sizes, rates = [10, 4, 20], [1, 2.5, 0.3]
    rows = draw(sizes, rates, rng)
    times = np.bincount(rows, minlength=34)
    assert (times[:10] == 1).all()
    assert sorted(times[10:14]) == [2, 2, 3, 3]
    assert sorted(times[14:]) == [0] * 14 + [1] * 6
    assert len(rows) == count(sizes, rates)
    assert not np.array_equal(rows, draw(sizes, rates, rng))


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
