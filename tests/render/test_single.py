"""Pictures as arrays, and in the logs of trainings: of the real TensorBoard, and of what Weights & Biases asks for."""

from __future__ import annotations

import io
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import attnviz
from attnviz import Frame, Trace
from attnviz.errors import ConfigError, ImageError, TraceError
from attnviz.photo.image import load


def made(size: tuple[int, int] = (40, 60), words: tuple[str, ...] = ("a", "dog", "runs")) -> Trace:
    weights = np.random.default_rng(0).dirichlet(np.full(16, 0.3), len(words)).reshape(-1, 4, 4)
    return Trace(weights.astype(np.float32), words, frame=Frame.stretch(size, (32, 32), (4, 4)))


def test_an_overlay_is_what_draw_paints(tmp_path: Path, photo: Path, pixels: np.ndarray) -> None:
    trace = made()
    for options in ({}, {"style": "contour"}, {"scale": "shared", "cells": True}, {"size": 30}, {"relative": True}):
        files = attnviz.draw(trace, photo, tmp_path / "out", formats="png", **options)
        for step in (1, -2):
            picture = attnviz.overlay(trace, photo, step, **options)
            np.testing.assert_array_equal(picture, np.asarray(Image.open(files[1])))
    assert picture.dtype == np.uint8
    for image in (pixels, str(photo), Image.fromarray(pixels), load(photo)):
        assert attnviz.overlay(trace, image, 0).shape == (40, 60, 3)


def test_a_large_photo_keeps_its_size() -> None:
    assert attnviz.overlay(made((1400, 1500)), np.zeros((1400, 1500, 3), np.uint8), 0).shape == (1400, 1500, 3)


def test_overlays_that_cannot_be(pixels: np.ndarray) -> None:
    with pytest.raises(TraceError, match="no step 3; the trace has 3"):
        attnviz.overlay(made(), pixels, 3)
    with pytest.raises(ConfigError, match="overlay has no option 'stile'; did you mean style"):
        attnviz.overlay(made(), pixels, 0, stile="heat")
    with pytest.raises(ConfigError, match="step 0 is not among the steps"):
        attnviz.overlay(made(), pixels, 0, steps="1-2")
    with pytest.raises(ImageError, match="was made from a photo of"):
        attnviz.overlay(made(), pixels.transpose(1, 0, 2), 0)


def test_the_log_of_tensorboard(tmp_path: Path, photo: Path, pixels: np.ndarray) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    empty = Trace(np.zeros((0, 4, 4), np.float32), (), frame=made().frame)
    with SummaryWriter(str(tmp_path / "log")) as writer:
        for epoch in (1, 2):
            attnviz.log(writer, "dev", epoch, [made(), made(words=("cats",)), empty], [photo, pixels, pixels])
        attnviz.log(writer, "one", 7, made(), pixels, style="contour")
    events = EventAccumulator(str(tmp_path / "log"), {"images": 0, "tensors": 0})
    events.Reload()
    assert events.Tags()["images"] == ["dev/00-photo.png", "dev/01-array", "one/00-array"]
    assert [event.step for event in events.Images("dev/00-photo.png")] == [1, 2]
    shown = np.asarray(Image.open(io.BytesIO(events.Images("dev/00-photo.png")[1].encoded_image_string)))
    attnviz.draw(made(), photo, tmp_path / "out", formats="overview", size=640)
    np.testing.assert_array_equal(shown, np.asarray(Image.open(tmp_path / "out" / "overview.png")))
    (text,) = events.Tensors("one/00-array/text_summary")
    assert text.tensor_proto.string_val == [b"a dog runs"]


class Picture:
    def __init__(self, pixels: np.ndarray, caption: str) -> None:
        self.pixels, self.caption = pixels, caption


class Run:
    """What `wandb.init()` gives, as far as it is used."""

    def __init__(self) -> None:
        self.logged: list[tuple[dict[str, Any], int]] = []

    def log(self, values: dict[str, Any], step: int) -> None:
        self.logged.append((values, step))


def test_the_log_of_weights_and_biases(monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray) -> None:
    run = Run()
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(ConfigError, match="Run is neither a SummaryWriter of TensorBoard"):
        attnviz.log(run, "dev", 1, made(), pixels)
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(Image=Picture))
    attnviz.log(run, "dev", 3, [made(), made()], [pixels, pixels])
    ((values, step),) = run.logged
    assert (list(values), step) == (["dev"], 3)
    assert [(one.caption, one.pixels.ndim) for one in values["dev"]] == [("a dog runs", 3)] * 2
    module = types.SimpleNamespace(Image=Picture, log=run.log)  # the module itself has both
    attnviz.log(module, "dev", 4, made(), pixels)
    assert run.logged[1][1] == 4


def test_logs_that_cannot_be(pixels: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="2 traces, but 1 photo"):
        attnviz.log(Run(), "dev", 1, [made(), made()], [pixels])
    with pytest.raises(ConfigError, match="neither a SummaryWriter"):
        attnviz.log(None, "dev", 1, made(), pixels)
