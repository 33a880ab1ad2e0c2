"""What the library itself says the attention is: its eager kernel's weights, as its own `generate` gives them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import numpy as np


def rows(
    name: str, model: Any, inputs: dict[str, Any], beams: int = 1, forced: Sequence[int] | None = None
) -> tuple[list[int], np.ndarray]:
    """(tokens, (L, T, N)): what is written, and at each step the heads' mean over the keys, by layer.

    N counts an encoder's tokens, or all positions of the sequence; of a cache that has dropped the beginning, and of
    what is not yet written, there are zeros.

    Args:
        model: with its eager kernel.
        inputs: of `generate`.
        beams: of the search; weights are gathered along the best beam.
        forced: tokens that it must write, by the library's own means.
    """
    if name == "blip":
        return _blip(model, inputs, beams, forced)
    found = _generate(name, model, inputs, beams, forced)
    crossed = name == "mllama" or found.get("cross_attentions") is not None
    every = found.get("cross_attentions") or found.get("attentions")
    if name == "mllama":  # its list holds all layers' attention, be it to the text or to the photo
        layers = model.config.text_config.cross_attention_layers
        every = [[step[layer] for layer in layers] for step in every]
    steps = len(every)
    beam = found.beam_indices[0].tolist() if beams > 1 else [0] * steps
    steps = min(steps, len([index for index in beam if index >= 0]))
    new = found.sequences[0, -len(every) :].tolist()[:steps] if beams == 1 else _of_beam(found, steps)
    first = every[0][0].shape[-1]
    gathered = []
    for layer in range(len(every[0])):
        kept = []
        for step in range(steps):
            row = every[step][layer][max(beam[step], 0), :, -1].float().mean(0)
            length = first if crossed else first + steps - 1
            full = torch.zeros(length)
            now = first if crossed else first + step
            if len(row) <= now:
                full[now - len(row) : now] = row
            else:
                full[:now] = row[:now]
            kept.append(full)
        gathered.append(torch.stack(kept))
    return new, torch.stack(gathered).numpy()


def _of_beam(found: Any, steps: int) -> list[int]:
    tokens: list[int] = found.sequences[0].tolist()
    while tokens and tokens[-1] == 0 and len(tokens) > steps:  # padding of a shorter sentence
        tokens.pop()
    return tokens[-steps:]


def _generate(name: str, model: Any, inputs: dict[str, Any], beams: int, forced: Sequence[int] | None) -> Any:
    more: dict[str, Any] = {}
    if forced is not None:
        lengths: list[int] = []

        def allowed(batch: int, ids: torch.Tensor) -> list[int]:
            lengths.append(len(ids))
            return [forced[len(ids) - lengths[0]]]

        more = {"prefix_allowed_tokens_fn": allowed, "max_new_tokens": len(forced)}
    with torch.no_grad():
        return model.generate(
            **inputs,
            **more,
            num_beams=beams,
            do_sample=False,
            output_attentions=True,
            output_scores=True,
            return_dict_in_generate=True,
        )


def _blip(model: Any, inputs: dict[str, Any], beams: int, forced: Sequence[int] | None) -> tuple[list[int], np.ndarray]:
    """BLIP's `generate` gives no cross-attention: one pass over what it wrote does."""
    start = inputs["input_ids"][:, :-1].clone() if "input_ids" in inputs else torch.tensor([[1]])
    start[:, 0] = 1
    if forced is None:
        with torch.no_grad():
            written = model.generate(**inputs, num_beams=beams, do_sample=False)[0, start.shape[1] :].tolist()
        while written and written[-1] == 0:
            written.pop()
    else:
        written = list(forced)
    with torch.no_grad():
        image = model.vision_model(inputs["pixel_values"])[0]
        whole = torch.cat([start, torch.tensor([written[:-1]], dtype=torch.long)], dim=1)
        out = model.text_decoder(input_ids=whole, encoder_hidden_states=image, output_attentions=True)
    return written, torch.stack([part[0, :, -len(written) :].mean(0) for part in out.cross_attentions]).numpy()


def helping(name: str, model: Any, inputs: dict[str, Any], forced: Sequence[int]) -> np.ndarray:
    """(L, T, N): relu(A * d log p / d A) by torch.autograd, on the weights that the eager kernel gives; as `rows`.

    The whole of the library's own `generate` is one graph, less the last column of what it wrote.

    Args:
        model: with its eager kernel.
        inputs: of `generate`.
        forced: tokens that it must write.
    """
    if name == "blip":
        return _blip_helping(model, inputs, forced)
    lengths: list[int] = []

    def allowed(batch: int, ids: torch.Tensor) -> list[int]:
        lengths.append(len(ids))
        return [forced[len(ids) - lengths[0]]]

    graphed = functools.partial(inspect.unwrap(type(model).generate), model)  # without its no_grad
    if name == "blip2":
        model.language_model.generate = functools.partial(
            inspect.unwrap(type(model.language_model).generate), model.language_model
        )
    found = graphed(
        **inputs,
        prefix_allowed_tokens_fn=allowed,
        max_new_tokens=len(forced),
        do_sample=False,
        output_attentions=True,
        output_logits=True,
        return_dict_in_generate=True,
    )
    crossed = name == "mllama" or found.get("cross_attentions") is not None
    every = found.get("cross_attentions") or found.get("attentions")
    if name == "mllama":
        layers = model.config.text_config.cross_attention_layers
        every = [[step[layer] for layer in layers] for step in every]
    first = every[0][0].shape[-1]
    length = first if crossed else first + len(forced) - 1
    out = torch.zeros(len(every[0]), len(forced), length)
    for step, token in enumerate(forced):
        logprob = found.logits[step][0].log_softmax(-1)[token]
        slopes = torch.autograd.grad(logprob, every[step], retain_graph=True)
        for layer, (weights, slope) in enumerate(zip(every[step], slopes, strict=True)):
            row = torch.relu(weights * slope)[0, :, -1].mean(0).detach()
            now = first if crossed else first + step
            out[layer, step, max(now - len(row), 0) : now] = row[:now]
    return out.numpy()


def _blip_helping(model: Any, inputs: dict[str, Any], forced: Sequence[int]) -> np.ndarray:
    image = model.vision_model(inputs["pixel_values"])[0]
    whole = torch.tensor([[1, *forced[:-1]]])
    out = model.text_decoder(input_ids=whole, encoder_hidden_states=image, output_attentions=True)
    kept = []
    for step, token in enumerate(forced):
        slopes = torch.autograd.grad(
            out.logits[0, step].log_softmax(-1)[token], out.cross_attentions, retain_graph=True
        )
        rows = [torch.relu(a * g)[0, :, step].mean(0) for a, g in zip(out.cross_attentions, slopes, strict=True)]
        kept.append(torch.stack(rows).detach())
    return torch.stack(kept, dim=1).numpy()
