"""Tiny models whose words hang on whatever cell of a black photo is not black, while their attention is even.

Attention cannot show that cell: each gets the same weight. What it carries from a black cell is nothing, and of the
other cell something, so the word's probability owes to that one's weight alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attnviz.adapters.hf import adapt
from attnviz.network import Asked
from attnviz.photo.image import load
from tinyhf.models import build

GRIDS = {"llava": (4, 4), "vit_gpt2": (4, 6)}
CELL = 8  # pixels
WORD = "dog"
STRONG = 20.0  # so that a cell's part in an even attention is felt


def lit(name: str, row: int, column: int) -> np.ndarray:
    """(H, W, 3) uint8 of the model's input's size: black, but for noise in one cell."""
    high, wide = GRIDS[name]
    photo = np.zeros((high * CELL, wide * CELL, 3), np.uint8)
    spot = np.random.default_rng(5).integers(0, 256, (CELL, CELL, 3), dtype=np.uint8)
    photo[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = spot
    return photo


@torch.no_grad()
def hanging(name: str) -> tuple[Any, Any]:
    """(model, processor)."""
    model, processor = build(name)
    for path, parameter in model.named_parameters():
        # No image token knows of another, or of its place.
        if re.search(r"(vision|encoder).*(out_proj|o_proj|attention\.output\.dense|position_embedding)", path):
            parameter.zero_()
    model.base_model.get_submodule("encoder" if name == "vit_gpt2" else "vision_tower").apply(_placeless)
    black = _tokens(name, model, processor)[-1]
    direction = black / black.norm()
    apart = torch.eye(len(black)) - torch.outer(direction, direction)
    if name == "llava":
        layers = model.model.language_model.layers
        layers[0].self_attn.v_proj.weight.copy_(STRONG * layers[0].self_attn.v_proj.weight @ apart)
        for layer in layers:
            layer.self_attn.q_proj.weight.zero_()
        for layer in layers[1:]:
            layer.self_attn.o_proj.weight.zero_()
    else:
        blocks = model.decoder.transformer.h
        both = blocks[0].crossattention.c_attn  # keys, then values
        both.weight[:, len(black) :] = STRONG * apart @ both.weight[:, len(black) :]
        for block in blocks:
            block.crossattention.q_attn.weight.zero_()
        for block in blocks[1:]:
            block.crossattention.c_proj.weight.zero_()
    # Without its cell the word is hardly there; with it, it is.
    states = torch.stack([_state(model, processor, photo) for photo in (lit(name, 1, 2), 0 * lit(name, 1, 2))])
    head = model.decoder.lm_head if name == "vit_gpt2" else model.lm_head
    number = (processor[1] if isinstance(processor, tuple) else processor.tokenizer).convert_tokens_to_ids(WORD)
    others = (states @ head.weight.T).logsumexp(-1)
    head.weight[number] = torch.linalg.pinv(states) @ (others + torch.tensor([2.0, -3.0]))
    return model, processor


def save(name: str, folder: Path) -> Path:
    """Writes model and processor."""
    model, processor = hanging(name)
    model.save_pretrained(folder)
    for part in processor if isinstance(processor, tuple) else (processor,):
        part.save_pretrained(folder)
    return folder


def _state(model: Any, processor: Any, photo: np.ndarray) -> torch.Tensor:
    """(C,): what the first word is written from."""
    network, found = adapt(model, processor), []
    head = model.decoder.lm_head if hasattr(model, "decoder") else model.lm_head
    hook = head.register_forward_pre_hook(lambda module, args: found.append(args[0][0, -1]))
    network.describe([network.prepare(load(photo))], Asked(text=WORD))
    hook.remove()
    state: torch.Tensor = found[0]
    return state


def _placeless(module: torch.nn.Module) -> None:
    place = getattr(module, "position_embeddings", None)
    if isinstance(place, torch.nn.Parameter):
        place.zero_()


def _tokens(name: str, model: Any, processor: Any) -> torch.Tensor:
    """(N, C): what the first layer that looks makes its values of, in a black photo."""
    high, wide = GRIDS[name]
    images = processor[0] if isinstance(processor, tuple) else processor.image_processor
    pixels = images(np.zeros((high * CELL, wide * CELL, 3), np.uint8), return_tensors="pt")["pixel_values"]
    if name == "vit_gpt2":
        return model.encoder(pixels).last_hidden_state[0]  # type: ignore[no-any-return]
    found = model.model.get_image_features(pixels)
    features = found.pooler_output if hasattr(found, "pooler_output") else found
    return model.model.language_model.layers[0].input_layernorm(features[0])  # type: ignore[no-any-return]
