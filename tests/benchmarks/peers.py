"""The same pictures by other libraries, each as its own documentation does it, with its usual PNG write.

Each peer is made from a photo and a list of (h, w) weights and is then called with a step and a path. One that is not
installed raises ImportError when it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.float32]
Peer = Callable[[int, Path], None]


def torchcam(photo: Pixels, weights: Weights) -> Peer:
    """torchcam's overlay_mask and Pillow's default PNG."""
    overlay_mask = import_module("torchcam.utils").overlay_mask

    image = Image.fromarray(photo)

    def draw(step: int, path: Path) -> None:
        mask = Image.fromarray(_unit(weights[step]))
        overlay_mask(image, mask, alpha=0.5).save(path)

    return draw


def grad_cam(photo: Pixels, weights: Weights) -> Peer:
    """grad-cam's show_cam_on_image on the map that it scales to the photo with OpenCV, and Pillow's default PNG."""
    cv2 = import_module("cv2")
    show_cam_on_image = import_module("pytorch_grad_cam.utils.image").show_cam_on_image

    floats = np.float32(photo) / 255

    def draw(step: int, path: Path) -> None:
        mask = cv2.resize(_unit(weights[step]), photo.shape[1::-1])
        Image.fromarray(show_cam_on_image(floats, mask, use_rgb=True)).save(path)

    return draw


def matplotlib(photo: Pixels, weights: Weights) -> Peer:
    """Two imshows and savefig, at the photo's size."""
    from matplotlib.figure import Figure

    height, width = photo.shape[:2]

    def draw(step: int, path: Path) -> None:
        figure = Figure(figsize=(width / 100, height / 100), dpi=100)
        axes: Any = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        axes.imshow(photo)
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        axes.imshow(weights[step], alpha=0.5, cmap="plasma", interpolation="bilinear", extent=extent)
        figure.savefig(path)

    return draw


def captum(photo: Pixels, weights: Weights) -> Peer:
    """captum's blended heat map and savefig, at the photo's size."""
    visualization = import_module("captum.attr").visualization

    height, width = photo.shape[:2]

    def draw(step: int, path: Path) -> None:
        mask = Image.fromarray(weights[step]).resize((width, height), Image.Resampling.BILINEAR)
        figure, _ = visualization.visualize_image_attr(
            np.asarray(mask)[..., None],
            photo,
            method="blended_heat_map",
            sign="positive",
            fig_size=(width / 100, height / 100),
            use_pyplot=False,
        )
        figure.savefig(path, dpi=100)

    return draw


def _unit(weights: Weights) -> Weights:
    """Stretched to [0, 1], as these libraries want their maps."""
    low, high = float(weights.min()), float(weights.max())
    return (weights - low) / max(high - low, 1e-12)


PEERS: dict[str, tuple[Callable[[Pixels, Weights], Peer], float]] = {
    "torchcam overlay_mask": (torchcam, 5),
    "grad-cam show_cam_on_image": (grad_cam, 5),
    "captum visualize_image_attr": (captum, 3),
    "matplotlib savefig": (matplotlib, 8),
}
"""Name: how it is made, and how many times as fast attnviz means to be."""
