"""Runs that train on the toy split of the fixture `data` in a second, and splits of a few small photos."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from attnviz.captioner import Captioner, ModelConfig
from attnviz.captioner.kinds import ask
from attnviz.data import Split
from attnviz.train import DataConfig, FitConfig, TrainConfig

if TYPE_CHECKING:
    from attnviz.train.batches import Batch
    from attnviz.train.critical import Critic


def config(data: DataConfig, folder: Path, mode: str = "concat", **changes: object) -> FitConfig:
    size = 16 if mode in ("dot", "channel-dot") else 12  # 4x4 cells
    model = ModelConfig(
        mode, "efficientnet-lite0", input=(64, 64), channels=size, embedding=12, state=size, language=12, attention=8
    )
    train = TrainConfig(**{"epochs": 2, "photos": 2, "rate": 0.01, "dropout": 0.1, "average": 0.5, **changes})  # type: ignore[arg-type]
    return FitConfig(str(folder / f"{mode}.safetensors"), data, "toy", pretrained="", model=model, train=train)


def criticised(critic: Critic, model: Captioner, values: torch.Tensor, batch: Batch, steps: int) -> list[float]:
    """The rewards while the speaking part of a model learns from one batch, over its E `values`."""
    model.requires_grad_(False)
    for part in model.decoder.speaking():
        part.requires_grad_(True)
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 0.03)
    rewards = []
    for _ in range(steps):
        loss, reward = critic.loss(model, values, batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rewards.append(reward)
    return rewards


WORDS = ("a", "dog", "puppy", "cat", "bike", "grass")
KINDS = (("dog", "puppy"), ("cat",), ("bike",), ("bike",))
"""A bike may be either of the last two."""


def asking(mode: str = "concat", seed: int = 0, strength: float = 1.0) -> Captioner:
    """A tiny network with random weights that asks for `KINDS`."""
    model = Captioner.tiny(mode, seed, WORDS)
    layer = torch.nn.Conv2d(model.backbone.channels[-1], len(KINDS), 1)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * strength)
    ask(model, KINDS, layer.requires_grad_(False))
    return model


def quiet(line: str) -> None:
    assert "\n" not in line


def make_split(folder: Path, name: str, *records: dict[str, object]) -> Split:
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for number, record in enumerate(records):
            path = folder / f"{name}{number}.png"
            Image.fromarray(np.full((32, 32, 3), 40 * number, np.uint8)).save(path)
            archive.write(path, path.name)
            record["image"] = path.name
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    return Split(folder / name)
