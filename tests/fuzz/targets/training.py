"""The TOML files of `attnviz train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fuzz import mutate
from fuzz.target import Target

CONFIGS = Path(__file__).parents[3] / "configs"


def seeds(folder: Path) -> Sequence[bytes]:
    return [path.read_bytes() for path in sorted(CONFIGS.glob("*.toml"))]


def read(path: Path) -> None:
    from attnviz.train import read_config

    read_config(path)


TARGET = Target(".toml", seeds, read, mutate.text)
