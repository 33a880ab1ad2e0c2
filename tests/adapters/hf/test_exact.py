"""What is recorded is what the library's own eager attention says, in every family: greedy, beams, given words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tinyhf.models import BUILDERS, NEW, shorten
from tinyhf.reference import rows

from attnviz.adapters.hf.quiet import quiet
from attnviz.errors import ModelError
from attnviz.network import Asked
from attnviz.photo.image import load

LOOSE = {"qwen3_5": 1e-5}  # its linear layers sum in another order


def eager(opened: Callable[[str], Any], on_disk: Callable[[str], Any], name: str) -> Any:
    """The same model, opened by the library, with its eager kernel in all parts."""
    kind = type(opened(name).model)
    with quiet():
        model = kind.from_pretrained(on_disk(name), attn_implementation="eager").eval()
    shorten(model)
    return model


def reference(network: Any, model: Any, name: str, photo: Any, beams: int, forced: Any) -> tuple[Any, Any, Any]:
    """(tokens, (T, h, w) attention on the cells, (T,) share on the cells), by the library's weights and by hand."""
    prepared = network.prepare(photo)
    inputs, layout = prepared.inputs.inputs, prepared.inputs.layout
    with quiet():
        tokens, found = rows(name, model, inputs, beams, forced)
    attention = found.mean(axis=0)
    if name in ("git", "blip2"):  # in front
        attention = attention[:, : {"git": 17, "blip2": 6}[name]]
    elif network.family.source == "id":
        ids = model.config.to_dict()
        marker = ids.get("image_token_id") or ids.get("image_token_index")
        attention = attention[:, np.flatnonzero(inputs["input_ids"][0].numpy() == marker)]
    if name == "blip2":
        with torch.no_grad(), quiet():
            image = model.vision_model(inputs["pixel_values"])[0]
            out = model.qformer(query_embeds=model.query_tokens, encoder_hidden_states=image, output_attentions=True)
        parts = [part for part in out.cross_attentions if part is not None and part.shape[-1] == image.shape[1]]
        attention = attention @ torch.stack([part[0].mean(0) for part in parts]).mean(0).numpy()
    cells = layout.chosen("all")(attention[:, layout.lead(attention.shape[1]) :])
    return tokens, cells, cells.sum(axis=(1, 2))


def compare(network: Any, trace: Any, expected: tuple[Any, Any, Any], name: str) -> None:
    tokens, cells, share = expected
    kept = [step for step, token in enumerate(tokens) if token not in network._parts.silent]
    assert len(trace) == len(kept) > 0
    assert "".join(trace.tokens) == network.processor.decode([tokens[step] for step in kept])
    tolerance = LOOSE.get(name, 1e-6)
    np.testing.assert_allclose(trace.weights * trace.on_image[:, None, None], cells[kept], atol=tolerance, rtol=0)
    np.testing.assert_allclose(trace.on_image, share[kept], atol=10 * tolerance, rtol=0)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_librarys_own_weights(
    name: str, opened: Callable[[str], Any], on_disk: Callable[[str], Any], noise: np.ndarray
) -> None:
    network, photo = opened(name), load(noise)
    model = eager(opened, on_disk, name)
    prepared = network.prepare(photo)
    with quiet():
        plain = network.model.generate(**prepared.inputs.inputs, do_sample=False, num_beams=1)[0].tolist()
    (greedy,) = network.describe([prepared], Asked(beam=1))
    expected = reference(network, model, name, photo, 1, None)
    compare(network, greedy, expected, name)
    assert plain[-len(expected[0]) :] == expected[0], "recording changes what is written"
    if name == "internvl" and not NEW:
        with pytest.raises(ModelError, match="mixes up the tiles of a photo; use --beam 1"):
            network.describe([prepared], Asked(beam=3))
    else:
        (searched,) = network.describe([prepared], Asked(beam=3))
        compare(network, searched, reference(network, model, name, photo, 3, None), name)
    words = Asked(text="a dog runs")
    (given,) = network.describe([prepared], words)
    compare(network, given, reference(network, model, name, photo, 1, network.processor.ids("a dog runs")), name)
