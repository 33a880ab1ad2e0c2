"""A spot of noise at a known place of the photo lights the cell that the frame says is there, in every family.

The vision tower's attention is switched off, and what else mixes neighbours, so that an image token knows of its own
part of the photo alone. Then the token that changes with the spot tells where it lies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tinyhf.models import BUILDERS

from attnviz.adapters.hf import load_model
from attnviz.adapters.hf.quiet import quiet
from attnviz.network import VIEWS, Asked, View
from attnviz.photo.image import load

TOWER = {  # what gives the image tokens; of the others they are read where the first layer looks
    **dict.fromkeys(("vit_gpt2", "deit_roberta", "swin_bert", "trocr", "donut", "pix2struct"), "encoder"),
    **dict.fromkeys(("blip", "blip2"), "vision_model"),
    **dict.fromkeys(("florence2", "mllama"), "model.multi_modal_projector"),
    "git": "git.image_encoder",
}
MIXING = re.compile(
    r"(encoder|vision|visual|image).*\.(out_proj|o_proj|projection_layer|\w*attn\.proj|(attention|self_attn)\.projection"
    r"|attention\.output(\.dense)?|o)\.(weight|bias)$"
)
ELSEWHERE = re.compile(r"text|language|qformer|decoder\.|multi_modal")
SPOTS = 6
SHAPES = ((150, 230), (333, 140))


def alone(model: Any, name: str) -> int:
    """Switches off what mixes image tokens; how many of the weights that was."""
    changed = 0
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if MIXING.search(path) and not ELSEWHERE.search(path):
                changed += parameter.zero_().numel()
            elif name == "florence2" and "vision_tower" in path and parameter.dim() == 4:
                # Convolutions of 3 at every second place, or of 7 at every fourth, reach into the cell above and left;
                # those of every channel by itself into all neighbours.
                beside = parameter.shape[-1] // 2
                parameter[:, :, :beside], parameter[..., :beside] = 0, 0
                if parameter.shape[1] == 1:
                    parameter[:, :, beside + 1 :], parameter[..., beside + 1 :] = 0, 0
                changed += parameter.numel()
    return changed


def image_tokens(network: Any, name: str, prepared: Any) -> torch.Tensor:
    """(N, C): the image tokens that the model makes of a photo."""
    inputs, found = prepared.inputs.inputs, []
    if name in TOWER:
        hook = network.model.get_submodule(TOWER[name]).register_forward_hook(
            lambda module, args, output: found.append(output if isinstance(output, torch.Tensor) else output[0])
        )
    else:
        # Where the first layer looks; of Qwen3.5, whose first layers are linear, what they are given.
        first = network._parts.modules[0] if name != "qwen3_5" else network.model.model.language_model.layers[0]
        hook = first.register_forward_pre_hook(
            lambda module, args, kwargs: found.append(kwargs.get("hidden_states", *args[:1])), with_kwargs=True
        )
    with torch.no_grad(), quiet():
        network.model.generate(**inputs, max_new_tokens=1, do_sample=False)
    hook.remove()
    tokens = found[0].reshape(-1, found[0].shape[-1])
    if name in TOWER:
        return tokens
    config = network.model.config.to_dict()
    return tokens[inputs["input_ids"][0] == (config.get("image_token_id") or config.get("image_token_index"))]


@pytest.mark.parametrize("name", BUILDERS)
def test_a_spot_lights_the_cell_where_it_is(name: str, on_disk: Callable[[str], Any]) -> None:
    network = load_model(on_disk(name))
    assert alone(network.model, name) > 0
    for size in SHAPES:
        grey = np.zeros((*size, 3), np.uint8)
        grey[:] = np.linspace(80, 176, size[1])[:, None]  # a ramp: some processors bring photos to one contrast
        dark = network.prepare(load(grey))
        before, layout = image_tokens(network, name, dark), dark.inputs.layout
        views: tuple[View, ...] = VIEWS if len(layout.views) > 1 else ("all",)
        for view in views:
            spread = layout.chosen(view)
            assert spread.frame == network.prepare(load(grey), Asked(view=view)).frame
            boxes = spread.frame.boxes()
            inside = np.argwhere((boxes[..., :2] > -0.01).all(-1) & (boxes[..., 2:] < np.add(size, 0.01)).all(-1))
            assert len(inside) >= 0.3 * math.prod(spread.frame.grid)
            generator = np.random.default_rng(len(inside))
            for row, column in generator.permutation(inside)[:SPOTS]:
                y0, x0, y1, x1 = boxes[row, column]
                (top, bottom), (left, right) = (
                    (round(0.7 * low + 0.3 * high), round(0.3 * low + 0.7 * high)) for low, high in ((y0, y1), (x0, x1))
                )
                photo = grey.copy()
                spot = (max(bottom - top, 1), max(right - left, 1), 3)
                photo[top : top + spot[0], left : left + spot[1]] = generator.integers(0, 256, spot)
                lit = image_tokens(network, name, network.prepare(load(photo)))
                change = (lit - before).norm(dim=-1).numpy()[None]
                there = spread(change[:, layout.lead(change.shape[1]) :])[0]
                found = np.unravel_index(there.argmax(), there.shape)
                assert tuple(found) == (row, column), f"{view} of {size}: lit {found}, the spot is at {(row, column)}"


@pytest.mark.parametrize("name", BUILDERS)
def test_the_frame_is_measured_to_less_than_half_a_pixel(name: str, opened: Callable[[str], Any]) -> None:
    network = opened(name)
    for size in (*SHAPES, (61, 300)):
        prepared = network.prepare(load(np.zeros((*size, 3), np.uint8)))
        assert prepared.frame.photo == size
        if network.family.layout != "listed":  # Pix2Struct's photo is stretched to whole patches, and not measured
            shown = [place for place in network._places.of(size) if place is not None]
            assert shown
            assert max(place.residual for place in shown) < 0.5
