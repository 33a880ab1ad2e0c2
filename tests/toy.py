"""Runs that train on the toy split of the fixture `data` in a second."""

from __future__ import annotations

from pathlib import Path

from attnviz.captioner import ModelConfig
from attnviz.train import DataConfig, FitConfig, TrainConfig


def config(data: DataConfig, folder: Path, mode: str = "concat", **changes: object) -> FitConfig:
    size = 16 if mode in ("dot", "channel-dot") else 12  # 4x4 cells
    model = ModelConfig(mode, input=(64, 64), channels=size, embedding=12, state=size, language=12, attention=8)
    train = TrainConfig(**{"epochs": 2, "photos": 2, "rate": 0.01, "dropout": 0.1, "average": 0.5, **changes})  # type: ignore[arg-type]
    return FitConfig(str(folder / f"{mode}.safetensors"), data, "toy", pretrained="", model=model, train=train)


def quiet(line: str) -> None:
    assert "\n" not in line
