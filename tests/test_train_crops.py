"""Random windows while the backbone learns: where they lie, what they show, how a broken-off run goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image
from toy import config, quiet

from attnviz.errors import ConfigError
from attnviz.model import load_checkpoint
from attnviz.train import DataConfig, fit
from attnviz.train.crops import ASPECT, crop, windows
from attnviz.train.inputs import PixelStore


@given(least=st.floats(0.05, 1), seed=st.integers(0, 1000))
def test_windows_lie_in_the_photo_and_are_large_enough(least: float, seed: int) -> None:
    left, top, right, bottom = windows(50, least, np.random.default_rng(seed)).T
    assert min(left.min(), top.min()) >= 0
    assert max(right.max(), bottom.max()) <= 1
    area, aspect = (right - left) * (bottom - top), (right - left) / (bottom - top)
    assert area.min() >= least - 1e-9
    assert area.max() <= 1 + 1e-9
    assert np.abs(np.log(aspect)).max() <= np.log(ASPECT) + 1e-9


def test_windows_are_spread_evenly() -> None:
    """Area, place and aspect as the docstring says, within four standard errors."""
    parts = windows(20_000, 0.5, np.random.default_rng(0))
    size = parts[:, 2:] - parts[:, :2]
    middle = (parts[:, 2:] + parts[:, :2]) / 2
    assert abs(size.prod(1).mean() - 0.75) < 4 * 0.5 / np.sqrt(12 * 20_000)
    assert np.abs(middle.mean(0) - 0.5).max() < 4 * middle.std() / np.sqrt(20_000)
    assert abs(np.log(size[:, 0] / size[:, 1]).mean()) < 4 * 0.2 / np.sqrt(20_000)


@given(seed=st.integers(0, 1000), height=st.integers(2, 40), width=st.integers(2, 40))
def test_a_window_is_what_pillow_cuts_out(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    photos = rng.random((2, height, width)).astype(np.float32)
    parts = windows(2, 0.3, rng)
    found = crop(torch.from_numpy(photos)[:, None], parts)[:, 0].numpy()
    for photo, part, one in zip(photos, parts, found, strict=True):
        left, top, right, bottom = (part * [width, height, width, height]).tolist()
        wanted = Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR, (left, top, right, bottom))
        assert np.abs(np.asarray(wanted) - one).max() < 1e-4


def test_a_store_shows_another_window_each_time() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), np.uint8)
    rows = np.array([0, 2])
    (whole,) = PixelStore(pixels).batch(rows)
    assert np.array_equal(whole.permute(0, 2, 3, 1).numpy(), (pixels[rows] / np.float32(255)))
    store = PixelStore(pixels, least=0.5, rng=np.random.default_rng(1))
    first, second, mirrored = store.batch(rows)[0], store.batch(rows)[0], store.mirrored().batch(rows)[0]
    assert not torch.equal(first, second)
    # The mirror images draw from the same source: the third draw, of the flipped photo.
    rng = np.random.default_rng(1)
    third = [windows(2, 0.5, rng) for _ in range(3)][2]
    assert torch.allclose(mirrored, crop(whole.flip(3), third), atol=1e-6)


@pytest.mark.parametrize("stages", [0, 3])
def test_a_run_with_crops_learns_goes_on_and_keeps_nothing(stages: int, data: DataConfig, tmp_path: Path) -> None:
    told: dict[str, Any] = {"encoder_rate": 1e-3, "encoder_stages": stages, "crop": 0.5, "boxes": 0.0}
    whole = config(data, tmp_path / "whole", **told)
    path = fit(whole, quiet)
    assert not list(Path(data.cache).glob("*.npy"))
    broken = replace(whole, out=str(tmp_path / "broken" / "concat.safetensors"))

    def stop(line: str) -> None:
        if line.startswith("epoch 2, batch"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(broken, stop)
    assert fit(broken, quiet).read_bytes() == path.read_bytes()
    plain = fit(config(data, tmp_path / "plain", **(told | {"crop": 1.0})), quiet)
    tuned, other = (load_checkpoint(one).state_dict() for one in (path, plain))
    last, first = "backbone.head.weight", "backbone.stem.weight"
    assert not torch.equal(tuned[last], other[last])
    assert torch.equal(tuned[first], other[first]) == bool(stages)  # with stages, nothing before them learns


def test_crops_need_a_learning_backbone_and_no_boxes(data: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'crop' needs an 'encoder_rate'"):
        config(data, tmp_path, crop=0.5)
    with pytest.raises(ConfigError, match="'crop' needs boxes = 0"):
        config(data, tmp_path, crop=0.5, encoder_rate=1e-4, boxes=1.0)
    with pytest.raises(ConfigError, match=r"'crop' must be from 0.05 to 1, not nan"):
        config(data, tmp_path, crop=float("nan"))
