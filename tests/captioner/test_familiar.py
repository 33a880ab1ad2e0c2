"""Which photos are unlike those of the training: the distance by the inverse of the whole covariance, and the note."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnviz
from attnviz.captioner import Captioner, load_checkpoint, save_checkpoint
from attnviz.captioner.encoded import look
from attnviz.captioner.familiar import FALSE_ALARMS, FEWEST, RANK, Familiar
from attnviz.errors import ModelError
from attnviz.photo.image import load

NOTE = "This photo is unlike what the model was trained on: doubt the words."


def cloud(count: int, channels: int, seed: int = 0) -> np.ndarray:
    """Points of a Gaussian whose channels depend on each other."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(channels, channels)) * np.linspace(0.2, 2, channels)
    return np.asarray(rng.normal(size=(count, channels)) @ mixing + 5)


def fitted(seen: np.ndarray, dev: np.ndarray) -> Familiar:
    found = Familiar.fit(seen, dev)
    assert found is not None
    return found


@pytest.mark.parametrize("channels", [7, RANK + 9])
def test_the_distance_is_mahalanobis_under_the_whole_covariance(channels: int) -> None:
    found = fitted(cloud(900, channels), cloud(300, channels, 1))
    k = min(channels, RANK)
    assert found.axes.shape == (k, channels)
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(k), atol=5e-3)  # float16
    shape = found.axes.T @ np.diag(found.variances) @ found.axes
    shape += found.rest * (np.eye(channels) - found.axes.T @ found.axes)
    for point, distance in zip(cloud(5, channels, 2), found.distance(cloud(5, channels, 2)), strict=True):
        away = (point - found.mean) / found.scale
        assert distance == pytest.approx(away @ np.linalg.inv(shape) @ away, rel=0.02)


def test_few_of_the_known_and_all_of_the_strange_are_beyond_the_threshold() -> None:
    found = fitted(cloud(3000, 12), cloud(2000, 12, 1))
    assert (found.strangeness(cloud(2000, 12, 1)) > 1).mean() == pytest.approx(FALSE_ALARMS, abs=1e-3)
    assert found.distance(cloud(3000, 12)).mean() == pytest.approx(12, rel=0.05)  # of a Gaussian, its dimension
    # The same spread in every channel alone, but not together.
    mixed = np.stack([np.random.default_rng(c).permutation(column) for c, column in enumerate(cloud(500, 12).T)], 1)
    assert (found.strangeness(mixed) > 1).mean() > 0.9


def test_a_channel_that_never_changes_is_taken_and_few_photos_are_not() -> None:
    seen = cloud(FEWEST, 6)
    seen[:, 2] = 1.5
    assert np.isfinite(fitted(seen, seen[:9]).distance(cloud(4, 6, 1))).all()
    assert Familiar.fit(seen[1:], seen[:9]) is None


def test_what_is_stored_is_the_same() -> None:
    found = fitted(cloud(600, 9), cloud(20, 9, 1))
    text = json.dumps(found.to_dict())
    assert len(json.dumps(fitted(cloud(600, 120), cloud(9, 120)).to_dict())) < 24_000  # of an EfficientNet-Lite2
    again = Familiar.from_dict(json.loads(text), 9)
    np.testing.assert_array_equal(again.strangeness(cloud(5, 9, 2)), found.strangeness(cloud(5, 9, 2)))


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: 3,
        lambda fields: {},
        lambda fields: fields | {"channels": 8},
        lambda fields: fields | {"rank": 0},
        lambda fields: fields | {"rank": 2.0},
        lambda fields: fields | {"threshold": 0},
        lambda fields: fields | {"threshold": "nan"},
        lambda fields: fields | {"numbers": fields["numbers"][:-8]},
        lambda fields: fields | {"numbers": fields["numbers"] + "AAAA"},
        lambda fields: fields | {"numbers": "?" + fields["numbers"][1:]},
        lambda fields: fields | {"numbers": 7},
        lambda fields: fields | {"numbers": "AH4A" * (len(fields["numbers"]) // 4)},  # not all of these are numbers
    ],
)
def test_anything_else_is_one_line(change: Callable[[Any], Any]) -> None:
    fields = fitted(cloud(600, 9), cloud(20, 9, 1)).to_dict()
    with pytest.raises(ModelError, match="what it says of its training photos cannot be read") as caught:
        Familiar.from_dict(change(fields), 9)
    assert "\n" not in str(caught.value)


def test_a_strange_photo_gets_a_note_and_the_same_words(tmp_path: Path, blots: list[Path]) -> None:
    save_checkpoint(Captioner.tiny(seed=1), tmp_path / "plain.safetensors")
    plain = load_checkpoint(tmp_path / "plain.safetensors")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    inputs = np.stack([plain.prepare(load(photo)).inputs for photo in (blots[0], noise)])
    near, far = look(plain, inputs)[1].double().numpy()
    # Far along the line from one photo to the other; a random network tells them apart by less than float16 rounds.
    away = (far - near) / np.linalg.norm(far - near)
    mean = near - 100 * (far - near)
    plain.familiar = Familiar(mean, np.ones(len(near)), away[None], np.ones(1), 1e4, 1.0)
    plain.familiar = Familiar.from_dict(plain.familiar.to_dict(), len(near))
    plain.familiar = replace(plain.familiar, threshold=float(plain.familiar.distance(np.stack([near, far])).mean()))
    save_checkpoint(plain, tmp_path / "m.safetensors")
    model, before = load_checkpoint(tmp_path / "m.safetensors"), load_checkpoint(tmp_path / "plain.safetensors")
    assert before.familiar is None
    assert before.fingerprint() != model.fingerprint()
    for photo, strange in ((noise, True), (blots[0], False)):
        (now,), (then,) = attnviz.explain(model, photo), attnviz.explain(before, photo)
        assert (NOTE in now.summary()["notes"]) == strange
        assert ("unlike" in now.settings) == strange
        assert NOTE not in then.summary()["notes"]
        assert now.tokens == then.tokens
        np.testing.assert_array_equal(now.weights, then.weights)
    (read,) = attnviz.explain(model, noise, text="a dog")
    assert read.summary()["notes"][0] == NOTE
    read.save(tmp_path / "t.npz")
    assert NOTE in attnviz.Trace.load(tmp_path / "t.npz").summary()["notes"]
