"""Training: `fit(read_config("run.toml"))` makes a checkpoint."""

from __future__ import annotations

from attnviz.train.config import DataConfig, FitConfig, TrainConfig, read_config
from attnviz.train.loop import fit

__all__ = ["DataConfig", "FitConfig", "TrainConfig", "fit", "read_config"]
