"""Random windows of the training photos, so that a learning backbone never sees the same pixels twice."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

ASPECT = 4 / 3
"""Longest window over shortest, relative to the photo's own shape: wide enough to vary, things keep their look."""


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
    """The window `parts[i]` of every image, enlarged to the image's size (bilinear).

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
    return F.grid_sample(images, places, mode="bilinear", padding_mode="border", align_corners=False)
