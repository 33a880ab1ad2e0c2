"""Random windows to learn from: where they lie, what they show, how a broken-off run goes on."""

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

from attnviz.captioner import load_checkpoint
from attnviz.data.regions import union_cover
from attnviz.errors import ConfigError
from attnviz.photo.frame import Frame
from attnviz.train import DataConfig, fit
from attnviz.train.crops import ASPECT, LEAST_SEEN, crop, crop_boxes, windows
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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_window_keeps_the_layout(layout: torch.memory_format) -> None:
    images = torch.rand(2, 3, 8, 8).contiguous(memory_format=layout)
    assert crop(images, windows(2, 0.5, np.random.default_rng(0))).is_contiguous(memory_format=layout)


def test_a_store_gives_photos_and_their_mirror_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), np.uint8)
    rows = np.array([0, 2])
    store = PixelStore(pixels)
    for one, wanted in ((store, pixels[rows]), (store.mirrored(), pixels[rows][:, :, ::-1])):
        (found,) = one.batch(rows)
        assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), wanted / np.float32(255))


GRID = (12, 16)


@given(seed=st.integers(0, 10_000))
def test_boxes_follow_a_window(seed: int) -> None:
    """Against the box itself, moved into the window and laid over the grid anew."""
    rng = np.random.default_rng(seed)
    parts = windows(1, 0.4, rng)
    corner = rng.uniform(0, 0.7, 2)
    # Top, left, bottom, right, as shares of the photo.
    box = np.concatenate([corner, corner + rng.uniform(0.25, 1 - corner)])
    origin, size = parts[0, 1::-1], (parts[0, 2:] - parts[0, :2])[::-1]
    moved = ((box.reshape(2, 2) - origin) / size).clip(0, 1).ravel()
    frame = Frame.stretch(GRID, GRID, GRID)
    before, after = (union_cover(frame.to_cells(one[None]), GRID).ravel() for one in (box, moved))
    inside, boxed = torch.from_numpy(before).float()[None, None], torch.tensor([[0.3]])
    shown, kept = crop_boxes(inside, boxed, GRID, parts)
    # A cell of the photo is up to 1.9 of the window's; so what lies two cells from every edge is exact.
    around = np.lib.stride_tricks.sliding_window_view(after.reshape(GRID), (5, 5))
    middle = shown[0, 0].numpy().reshape(GRID)[2:-2, 2:-2]
    np.testing.assert_allclose(middle[around.min((2, 3)) == 1], 1, atol=1e-5)
    np.testing.assert_allclose(middle[around.max((2, 3)) == 0], 0, atol=1e-5)
    share = after.sum() * size.prod() / before.sum()
    if abs(share - LEAST_SEEN) > 0.2:
        assert kept.item() == pytest.approx(0.3 if share > LEAST_SEEN else 0)


def test_the_whole_photo_leaves_boxes_as_they_are() -> None:
    inside, boxed = torch.rand(2, 3, 12 * 16), torch.tensor([[1.0, 0, 0.3], [0, 0, 1]])
    shown, kept = crop_boxes(inside, boxed, GRID, np.array([[0, 0, 1, 1]] * 2))
    assert torch.allclose(shown, inside, atol=1e-5)
    assert torch.equal(kept, boxed)


def test_a_word_whose_thing_is_cut_off_teaches_no_attention() -> None:
    inside = torch.zeros(1, 2, 12, 16)
    inside[0, 0, :, :4] = 1  # the left quarter
    inside[0, 1, :, 8:] = 1
    shown, kept = crop_boxes(inside.flatten(2), torch.ones(1, 2), GRID, np.array([[0.5, 0, 1, 1]]))
    assert kept.tolist() == [[0, 1]]
    assert shown[0, 1].min() > 0.49  # its edge is the window's: half of the cell beyond it is interpolated in


@pytest.mark.parametrize(("rate", "stages"), [(1e-3, 0), (1e-3, 3), (0.0, 0)])
@pytest.mark.parametrize("boxes", [0.0, 1.0])
def test_a_run_with_crops_learns_and_goes_on(
    rate: float, stages: int, boxes: float, data: DataConfig, tmp_path: Path
) -> None:
    told: dict[str, Any] = {"encoder_rate": rate, "encoder_stages": stages, "crop": 0.5, "boxes": boxes}
    whole = config(data, tmp_path / "whole", **told)
    path = fit(whole, quiet)
    assert bool(list(Path(data.cache).glob("*.npy"))) == (rate == 0)  # windows of pixels are not kept
    broken = replace(whole, out=str(tmp_path / "broken" / "concat.safetensors"))

    def stop(line: str) -> None:
        if line.startswith("epoch 2, batch"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(broken, stop)
    assert fit(broken, quiet).read_bytes() == path.read_bytes()
    plain = fit(config(data, tmp_path / "plain", **(told | {"crop": 1.0})), quiet)
    tuned, other = (load_checkpoint(one).state_dict() for one in (path, plain))
    assert not torch.equal(tuned["fuse.norm.weight"], other["fuse.norm.weight"])
    last, first = "backbone.head.weight", "backbone.stem.weight"
    assert torch.equal(tuned[last], other[last]) == (rate == 0)
    assert torch.equal(tuned[first], other[first]) == (rate == 0 or bool(stages))  # nothing before the stages learns


def test_a_window_is_at_most_the_photo(data: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'crop' must be from 0.05 to 1, not nan"):
        config(data, tmp_path, crop=float("nan"))
