"""`attnviz train --tensorboard`: figures and pictures after each epoch, and the same model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy import config, quiet

from attnviz.cli import train as command
from attnviz.train import DataConfig, fit

Run = Callable[..., Any]


def test_pictures_of_each_epoch(data: DataConfig, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plain = config(data, tmp_path / "plain")
    fit(plain, quiet)
    shown = replace(plain, out=str(tmp_path / "shown" / "concat.safetensors"))
    monkeypatch.setattr("attnviz.train.read_config", lambda path: shown)
    status, out, err = cli("train", "toy.toml", "--tensorboard", "log", "-q")
    assert (status, out, err) == (0, f"{shown.out}\n", "")
    assert Path(shown.out).read_bytes() == Path(plain.out).read_bytes()  # looking changes nothing
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    tags = events.Tags()
    assert {"words", "seconds"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("words")] == [1, 2]
    assert len(tags["images"]) == command.PICTURED
    assert [event.step for event in events.Images(tags["images"][0])] == [1, 2]


def test_without_tensorboard_one_line_says_how_to_get_it(
    data: DataConfig, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnviz.train.read_config", lambda path: config(data, tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    status, out, err = cli("train", "toy.toml", "--tensorboard", "log")
    assert (status, out) == (1, "")
    assert err == "attnviz: error: --tensorboard needs TensorBoard; pip install 'attnviz[tensorboard]'\n"
