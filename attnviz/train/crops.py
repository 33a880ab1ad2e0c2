"""Random windows of the training photos, so that no photo is seen twice in the same way."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

ASPECT = 4 / 3
"""Longest window over shortest, relative to the photo's own shape: wide enough to vary, things keep their look."""

LEAST_SEEN = 0.5
"""A word's boxes count when a window shows at least this share of them: of less, nobody may see what the word means."""


def windows(count: int, least: float, rng: np.random.Generator) -> np.ndarray:
    """Random parts of photos: (count, 4) left, top, right, bottom, as fractions of the photo.

    The area is uniform from `least` to 1 of the photo's, the aspect log-uniform within `ASPECT` as far as the photo
    has room for it, and every place as likely as any other (the "random resized crop" of Szegedy et al. 2015,
    https://arxiv.org/abs/1409.4842, with a larger least area, since a caption speaks of the whole photo).
    """
    area = rng.uniform(least, 1, count)
    # A side longer than the photo's would not fit: at full area only the photo's own shape does.
    bound = np.minimum(np.log(ASPECT), -np.log(area))
    stretch = np.exp(bound * rng.uniform(-1, 1, count) / 2)
    size = np.stack([np.sqrt(area) * stretch, np.sqrt(area) / stretch], 1).clip(max=1)
    corner = rng.uniform(0, 1 - size)
    return np.concatenate([corner, corner + size], 1)


def crop(images: Tensor, parts: np.ndarray) -> Tensor:
    """The window `parts[i]` of every image or feature map, enlarged to its size (bilinear).

    Args:
        images: (B, C, H, W).
        parts: (B, 4), see `windows`.
    """
    left, top, right, bottom = torch.from_numpy(parts).to(images).unbind(1)
    zero = torch.zeros_like(left)
    # In coordinates from -1 to 1 over the image's outer edges, output x lands at (right - left) x + (left + right - 1).
    across = torch.stack([right - left, zero, left + right - 1], 1)
    down = torch.stack([zero, bottom - top, top + bottom - 1], 1)
    places = F.affine_grid(torch.stack([across, down], 1), list(images.shape), align_corners=False)
    found = F.grid_sample(images, places, mode="bilinear", padding_mode="border", align_corners=False)
    last = images.is_contiguous(memory_format=torch.channels_last)
    return found.contiguous(memory_format=torch.channels_last) if last else found  # fast for what comes next


def crop_boxes(inside: Tensor, boxed: Tensor, grid: tuple[int, int], parts: np.ndarray) -> tuple[Tensor, Tensor]:
    """How the words' boxes lie in the windows `parts`, and which words still count.

    Args:
        inside: (P, Q, N), share of each cell inside the boxes of a word's thing, in the whole photo.
        boxed: (P, Q), how much that word counts.
        grid: (h, w), with N = h * w.
        parts: (P, 4), see `windows`.

    Returns:
        Both as in the windows. The shares are interpolated between cell centres, as the windows of feature maps are, so
        a box's edge may be off by half a cell.
    """
    shown = crop(inside.view(*inside.shape[:2], *grid), parts).flatten(2)
    width, height = (parts[:, 2:] - parts[:, :2]).T
    area = torch.from_numpy(width * height).to(shown).unsqueeze(1)
    seen = shown.sum(-1) * area >= LEAST_SEEN * inside.sum(-1)
    return shown, boxed * (seen & (shown.sum(-1) > 0))
