"""Checkpoints, and the encoder file beside them."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from fuzz import mutate
from fuzz.target import Target

BACKBONES = (
    *("efficientnet-lite4", "resnet18", "resnet-bottleneck-99-99-99-99-g64-w64", "vgg19", "googlenet"),
    *("torchvision:regnet_y_128gf", "vit_b_16", "vit_h_14", "swin_b"),
)
MODES = ("dot", "general", "concat", "channel-dot", "channel-general", "flat-concat", "relu")
SIZES = (1, 2, 4096, 16384, 16385, 0, -1)
NAMES = ("input", "channels", "embedding", "state", "language", "attention", "reduced")


def seeds(folder: Path) -> Sequence[bytes]:
    import torch

    from attnviz.captioner import Captioner, save_checkpoint
    from attnviz.captioner.checkpoint import save_encoder
    from attnviz.captioner.config import ModelConfig
    from attnviz.captioner.kinds import ask
    from attnviz.captioner.vocabulary import SPECIAL, Vocabulary

    shared, path = folder / "encoder.safetensors", folder / "seed.safetensors"
    models = [Captioner.tiny(mode) for mode in ("concat", "flat-concat", "channel-general")]
    ask(models[0], (("dog",), ("cat",)), torch.nn.Conv2d(models[0].backbone.channels[-1], 2, 1))
    save_encoder(models[0], shared)
    small = ModelConfig("general", "resnet-basic-1-1-1-1", "layer1", (32, 32), channels=4, embedding=4, state=4)
    cut = Captioner(small, Vocabulary((*SPECIAL, "a", "dog")))
    found = []
    for model, encoder in ((models[0], shared), (models[1], None), (models[2], None), (cut, None)):
        save_checkpoint(model, path, encoder=encoder)
        found.append(path.read_bytes())
    return [*found[:1] * 3, *found]  # most often the smallest


def read(path: Path) -> None:
    import numpy as np

    from attnviz.captioner import load_checkpoint
    from attnviz.captioner.header import read_meta
    from attnviz.explain import explain

    json.dumps(read_meta(path))
    model = load_checkpoint(path)
    if model.input == (32, 32):
        explain(model, np.zeros((32, 32, 3), np.uint8), text="a dog")


def damaged(random: Random, data: bytes) -> bytes:
    """The header as a tree, the JSON text in it as a tree, or bytes anywhere."""
    if random.random() < 0.2:
        return mutate.raw(random, data[:2000]) + data[2000:]
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    if random.random() < 0.75:
        meta = json.loads(header["__metadata__"]["attnviz"])
        header["__metadata__"]["attnviz"] = mutate.dumps(_meta(random, meta))
    else:
        header = mutate.tree(random, header)
    if random.random() < 0.2 and isinstance(header, dict):  # a header alone
        header, body = {"__metadata__": header.get("__metadata__")}, b""
    text = mutate.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + body


def _meta(random: Random, meta: dict[str, Any]) -> Any:
    config = meta["config"]
    match random.randrange(4):
        case 0:
            for name in random.sample(NAMES, random.randint(1, 3)):
                size = random.choice(SIZES)
                config[name] = [random.choice((32, 224, 2048)), size] if name == "input" else size
        case 1:
            config["backbone"] = random.choice((*BACKBONES, *["resnet-basic-1-1-1-1"] * 8))
            config["layer"] = random.choice((None, None, "layer1", "features.1", "x" * 300))
        case 2 if random.random() < 0.3:
            words, count = random.choice((meta["vocabulary"], ["x", "<unk>", 3])), random.choice((0, 1, 2, 9999))
            config["kinds"] = [random.choices(words, k=random.randrange(3)) for _ in range(count)]
        case 2:
            config["mode"] = random.choice(MODES)
            config["input"] = [random.choice((32, 64, 512, 2048))] * 2
        case _:
            return mutate.tree(random, meta)
    return meta


TARGET = Target(".safetensors", seeds, read, damaged)
