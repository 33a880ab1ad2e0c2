"""Tiny models of transformers, on_disk once a session and opened as users open theirs. Nothing is downloaded.

A plugin of the tests' conftest.py; transformers is imported when the first of its models is asked for.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries to reach the network fails, for the time of the test: others have servers on this machine."""

    def refuse(*args: Any) -> None:
        raise OSError("a test tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Where tiny models lie, and those that were opened, by their builders' names."""
    return tmp_path_factory.mktemp("models"), {}


@pytest.fixture
def on_disk(shelf: tuple[Path, dict[str, Any]], no_network: None) -> Callable[[str], Path]:
    """The folder of a tiny model, by its builder's name."""
    from tinyhf.models import known, save

    top = shelf[0]

    def folder(name: str) -> Path:
        if not known(name):
            pytest.skip(f"this transformers does not know {name}")
        if not (top / name).exists():
            save(name, top / name)
        return top / name

    return folder


@pytest.fixture
def opened(shelf: tuple[Path, dict[str, Any]], on_disk: Callable[[str], Path]) -> Callable[[str], Any]:
    """The network of a tiny model, opened from its folder; one for all tests, which leave it as it is."""
    import attnviz
    from tinyhf.models import shorten

    kept = shelf[1]

    def network(name: str) -> Any:
        if name not in kept:
            kept[name] = attnviz.load_model(f"hf:{on_disk(name)}", device="cpu")
            shorten(kept[name].model)
        return kept[name]

    return network


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """(150, 230, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (150, 230, 3), dtype=np.uint8)
