"""Checkpoints rebuild their own model, and damaged ones are told in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from attnviz.captioner import Captioner, ModelConfig, load_checkpoint, save_checkpoint, save_encoder, update_card
from attnviz.captioner.attention import SCORES
from attnviz.captioner.header import read_meta
from attnviz.captioner.vocabulary import SPECIAL, Vocabulary
from attnviz.errors import ModelError
from attnviz.zoo import bundled, load_captioner, load_model

STEM = "backbone.stem.weight"
PIXELS = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", SCORES)
def test_round_trip(mode: str, tmp_path: Path) -> None:
    model = Captioner.tiny(mode)
    save_checkpoint(model, tmp_path / "m.safetensors", card={"note": "for a test"})
    other = load_checkpoint(tmp_path / "m.safetensors")
    assert other.config == model.config
    assert other.vocabulary == model.vocabulary
    assert not other.training
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value.half().float())
    assert read_meta(tmp_path / "m.safetensors")["card"] == {"note": "for a test"}
    # Once rounded to half precision, a checkpoint keeps its bytes.
    save_checkpoint(other, tmp_path / "again.safetensors", card={"note": "for a test"})
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()
    assert (
        other.describe_pixels(PIXELS)[0].tokens
        == load_captioner(tmp_path / "again.safetensors", mode).describe_pixels(PIXELS)[0].tokens
    )


def test_torchvision_backbone_round_trip(tmp_path: Path) -> None:
    config = ModelConfig(
        backbone="resnet18", layer="layer2", input=(64, 64), frame="crop", channels=8, embedding=8, state=8, language=8
    )
    model = Captioner(config, Vocabulary((*SPECIAL, "a"))).eval()
    assert model.grid == (8, 8)
    save_checkpoint(model, tmp_path / "m.safetensors")
    other = load_checkpoint(tmp_path / "m.safetensors")
    x = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(other.encode(x), model.encode(x), atol=0.05, rtol=0.05)


def test_checkpoints_share_an_encoder_file(tmp_path: Path) -> None:
    first, second = Captioner.tiny("dot", seed=1), Captioner.tiny("general", seed=2)
    second.backbone.load_state_dict(first.backbone.state_dict())
    encoder = tmp_path / "encoder.safetensors"
    save_encoder(first, encoder)
    for model in (first, second):
        save_checkpoint(model, tmp_path / f"x-{model.mode}.safetensors", encoder=encoder)
    assert encoder.stat().st_size > 20 * (tmp_path / "x-dot.safetensors").stat().st_size
    loaded = load_checkpoint(tmp_path / "x-general.safetensors")
    assert torch.equal(loaded.state_dict()[STEM], first.state_dict()[STEM].half().float())
    with pytest.raises(ModelError, match="another backbone"):
        save_checkpoint(Captioner.tiny("dot", seed=3), tmp_path / "y.safetensors", encoder=encoder)

    save_encoder(Captioner.tiny("dot", seed=9), encoder)
    with pytest.raises(ModelError, match="not the encoder it was trained with"):
        load_checkpoint(tmp_path / "x-dot.safetensors")
    encoder.unlink()
    with pytest.raises(ModelError, match=r"encoder.safetensors is not beside it"):
        load_checkpoint(tmp_path / "x-dot.safetensors")


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "cut off":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "text":
        path.write_text("hello")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "of another program":
        save_file({"a": torch.zeros(2)}, path)
    else:
        header: dict[str, Any] = {"version": 1, "name": "m", "config": {}, "vocabulary": list(SPECIAL)}
        changes: dict[str, dict[str, Any]] = {
            "from the future": {"version": 99},
            "unknown key": {"config": {"depth": 3}},
            "no tensors": {},
        }
        header |= changes[how]
        save_file({"a": torch.zeros(2)}, path, {"attnviz": json.dumps(header)})


@pytest.mark.parametrize(
    "how", ["cut off", "text", "empty", "of another program", "from the future", "unknown key", "no tensors"]
)
def test_damaged_files_are_one_line(how: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    save_checkpoint(Captioner.tiny(), path)
    damage(path, how)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert "broken.safetensors" in str(caught.value) or how == "unknown key"


def test_names_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(Captioner.tiny(), tmp_path / "flickr8k-concat.safetensors")
    monkeypatch.setattr("attnviz.zoo.bundled", lambda: bundled(tmp_path))
    assert load_model().name == "tiny"
    with pytest.raises(ModelError, match="no weights for the mode dot; it has concat"):
        load_model(mode="dot")
    with pytest.raises(ModelError, match=r"no bundled model is called 'flicker8k'.*did you mean 'flickr8k'"):
        load_model("flicker8k")
    with pytest.raises(ModelError, match=r"no mode is called 'concatt'.*did you mean 'concat'"):
        load_model(mode="concatt")
    with pytest.raises(ModelError, match="no device is called 'tpu'"):
        load_model(device="tpu")
    with pytest.raises(ModelError, match="no such checkpoint"):
        load_model(tmp_path / "none.safetensors")
    save_checkpoint(Captioner.tiny("dot"), tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="holds the mode dot, not general"):
        load_model(tmp_path / "m.safetensors", "general")


def test_bundled_models_are_found_by_their_names(tmp_path: Path) -> None:
    for mode in ("channel-dot", "concat", "dot"):
        save_checkpoint(Captioner.tiny(mode), tmp_path / f"my-net-{mode}.safetensors")
    save_encoder(Captioner.tiny(), tmp_path / "my-net.encoder.safetensors")
    assert [(one.name, one.mode) for one in bundled(tmp_path)] == [
        ("my-net", "dot"),
        ("my-net", "concat"),
        ("my-net", "channel-dot"),
    ]


def test_a_card_can_be_added_to(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(Captioner.tiny(), path, card={"trained on": "nothing"})
    before = load_checkpoint(path).state_dict()
    update_card(path, {"figures": {"BLEU-4": 1.5}})
    assert read_meta(path)["card"] == {"trained on": "nothing", "figures": {"BLEU-4": 1.5}}
    after = load_checkpoint(path).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1e999},
        {"config": []},
        {"config": {"mode": "x"}},
        {"config": {"backbone": 5}},
        {"config": {"input": [16384, 16384]}},
        {"config": {"input": 3}},
        {"config": {"backbone": "vit_b_16"}},
        {"config": {"backbone": "fasterrcnn_resnet50_fpn"}},
        {"config": {"backbone": "squeezenet1_0", "input": [8, 8]}},
        {"config": {"backbone": "resnet-basic-1-1-1-1-g0-w0"}},
        {"config": {"decoder": "show-attend-tell", "mode": "concat"}},
        {"vocabulary": ["a"]},
        {"vocabulary": 5},
    ],
    ids=str,
)
def test_hostile_headers_are_one_line_that_names_the_file(changes: dict[str, Any], tmp_path: Path) -> None:
    header = {"version": 1, "name": "m", "config": {}, "vocabulary": list(SPECIAL)} | changes
    path = tmp_path / "hostile.safetensors"
    save_file({"a": torch.zeros(2)}, path, {"attnviz": json.dumps(header)})
    with pytest.raises(ModelError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert "hostile.safetensors" in str(caught.value)
