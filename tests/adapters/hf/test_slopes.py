"""Attention times its gradient is what the library's own eager attention has for one, in every family."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tinyhf.hanging import GRIDS, WORD, hanging, lit
from tinyhf.models import BUILDERS
from tinyhf.reference import helping

from attnviz.adapters.hf.quiet import quiet
from attnviz.adapters.hf.recorder import attention_modules
from attnviz.errors import ModelError
from attnviz.network import Asked
from attnviz.photo.image import load

LOOSE = {"qwen3_5": 1e-4}  # its linear layers sum in another order
GATED = {"mllama"}  # what the words get of the photo goes through gates, which are closed in a new model


def eager(network: Any, folder: Any) -> Any:
    with quiet():
        model = type(network.model).from_pretrained(folder, attn_implementation="eager").eval()
    open_gates(model)
    return model


def open_gates(model: Any) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("attn_gate", "mlp_gate")):
                parameter.fill_(0.7)


def reference(network: Any, model: Any, name: str, prepared: Any, forced: list[int]) -> np.ndarray:
    """(T, h, w): the library's maps laid on the cells, not yet made to sum to 1."""
    inputs, layout = prepared.inputs.inputs, prepared.inputs.layout
    with quiet():
        found = helping(name, model, inputs, forced).mean(axis=0)
    if name in ("git", "blip2"):  # in front
        found = found[:, : {"git": 17, "blip2": 6}[name]]
    elif network.family.source == "id":
        ids = model.config.to_dict()
        marker = ids.get("image_token_id") or ids.get("image_token_index")
        found = found[:, np.flatnonzero(inputs["input_ids"][0].numpy() == marker)]
    if name == "blip2":
        with torch.no_grad(), quiet():
            image = model.vision_model(inputs["pixel_values"])[0]
            out = model.qformer(query_embeds=model.query_tokens, encoder_hidden_states=image, output_attentions=True)
        parts = [part for part in out.cross_attentions if part is not None and part.shape[-1] == image.shape[1]]
        found = found @ torch.stack([part[0].mean(0) for part in parts]).mean(0).numpy()
    return np.asarray(layout.chosen("all")(found[:, layout.lead(found.shape[1]) :]))


@pytest.mark.parametrize("name", BUILDERS)
def test_the_librarys_own_gradients(
    name: str, opened: Callable[[str], Any], on_disk: Callable[[str], Any], noise: np.ndarray
) -> None:
    from attnviz.adapters.hf import load_model

    network = load_model(on_disk(name)) if name in GATED else opened(name)
    open_gates(network.model)
    prepared = network.prepare(load(noise))
    (plain,) = network.describe([prepared], Asked(text="a dog runs"))
    (trace,) = network.describe([prepared], Asked(text="a dog runs", map="gradient"))
    assert trace.tokens == plain.tokens
    assert trace.logprobs is not None
    assert plain.logprobs is not None
    np.testing.assert_allclose(trace.logprobs, plain.logprobs, atol=1e-5)
    cells = reference(network, eager(network, on_disk(name)), name, prepared, network.processor.ids("a dog runs"))
    sums = cells.sum(axis=(1, 2), keepdims=True)
    assert (sums > 0).any()
    expected = np.where(sums > 0, cells / np.maximum(sums, 1e-30), 1 / cells[0].size)
    np.testing.assert_allclose(trace.weights, expected, atol=LOOSE.get(name, 1e-5), rtol=0)


# Whose plain kernel, which layer and head, the change; Llama rounds to single precision inside, so it must be larger.
BUMPED = {"llava": ("llama", 1, 0, 1e-2), "vit_gpt2": ("gpt2", 1, 2, 1e-5)}


@pytest.mark.parametrize("name", BUMPED)
def test_finite_differences_of_single_weights(
    name: str, on_disk: Callable[[str], Any], noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A weight a little larger, a little smaller, in double precision: how the word's log-probability changes."""
    from attnviz.adapters.hf import load_model

    file, layer, head, size = BUMPED[name]
    network = load_model(on_disk(name))
    network.model.double()
    prepared, text = network.prepare(load(noise)), "a dog runs"
    ids, inputs = network.processor.ids(text), prepared.inputs.inputs
    asked = Asked(text=text, layers=str(layer), heads=str(head), map="gradient")
    (trace,) = network.describe([prepared], asked)

    with quiet():
        model = type(network.model).from_pretrained(on_disk(name), attn_implementation="eager").double().eval()
    kernel = importlib.import_module(f"transformers.models.{file}.modeling_{file}")
    plain = kernel.eager_attention_forward
    wanted = attention_modules(model.get_decoder(), network.family.crossed)[layer]
    bump: list[tuple[int, int, float]] = []
    seen: list[torch.Tensor] = []

    def bumped(module: Any, query: Any, key: Any, value: Any, *args: Any, **named: Any) -> Any:
        output, weights = plain(module, query, key, value, *args, **named)
        if module is wanted:
            seen.append(weights[0, head])
            for row, column, by in bump:
                weights = weights.clone()
                weights[0, head, row, column] += by
            output = (weights @ value.repeat_interleave(weights.shape[1] // value.shape[1], dim=1)).transpose(1, 2)
        return output, weights

    monkeypatch.setattr(kernel, "eager_attention_forward", bumped)

    @torch.no_grad()
    def logprob(step: int) -> float:
        pixels = inputs["pixel_values"].double()
        if name == "llava":
            whole = torch.cat([inputs["input_ids"], torch.tensor([ids[:-1]])], dim=1)
            logits = model(input_ids=whole, pixel_values=pixels).logits[0, len(inputs["input_ids"][0]) - 1 + step]
        else:
            logits = model(pixel_values=pixels, decoder_input_ids=torch.tensor([[1, *ids[:-1]]])).logits[0, step]
        return float(logits.log_softmax(-1)[ids[step]])

    places = range(1, 25) if name == "vit_gpt2" else (inputs["input_ids"][0] == model.config.image_token_id).nonzero()
    for step in range(len(ids)):
        row = step if name == "vit_gpt2" else len(inputs["input_ids"][0]) - 1 + step
        helps = []
        for place in map(int, places):
            slopes = []
            for by in (size, -size):
                bump[:] = [(row, place, by)]
                slopes.append(logprob(step) / (2 * by))
            helps.append(max(sum(slopes), 0.0) * float(seen[-1][row, place]))
        assert np.count_nonzero(helps) not in (0, len(helps)), "some cells speak for the word, and some against"
        expected = (np.array(helps) / sum(helps)).reshape(trace.weights[step].shape)
        np.testing.assert_allclose(trace.weights[step], expected, atol=max(2e-5, 0.1 * size))


@pytest.mark.parametrize("name", GRIDS)
def test_the_cell_that_a_word_hangs_on_is_found_where_attention_is_even(name: str) -> None:
    from attnviz.adapters.hf import adapt

    network = adapt(*hanging(name), name)
    assert network.depth == 3
    (none,) = network.describe([network.prepare(load(0 * lit(name, 0, 0)))], Asked(text=WORD))
    for cell in ((1, 2), (0, 0), (3, 3)):
        prepared = network.prepare(load(lit(name, *cell)))
        (plain,) = network.describe([prepared], Asked(text=WORD))
        (trace,) = network.describe([prepared], Asked(text=WORD, map="gradient"))
        assert plain.logprobs is not None
        assert none.logprobs is not None
        assert plain.logprobs[0] > none.logprobs[0] + 2, "the word does not hang on the cell"
        np.testing.assert_allclose(plain.weights, 1 / plain.weights[0].size, rtol=1e-5)
        assert trace.weights[0][cell] > 0.999


@pytest.mark.parametrize("name", ["gemma3", "trocr", "git", "mllama"])
def test_a_model_is_as_it_was_and_keeps_no_graph(name: str, opened: Callable[[str], Any], noise: np.ndarray) -> None:
    network = opened(name)
    model, (one, *rest) = network.model, list(network.model.parameters())
    one.requires_grad_(True)
    for parameter in rest:
        parameter.requires_grad_(False)
    prepared = network.prepare(load(noise))
    before = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    kept: list[Any] = []
    hook = network._parts.writer.register_forward_hook(
        lambda module, args, output: kept.append((output.past_key_values, torch.is_grad_enabled()))
    )
    with torch.inference_mode():  # a caller's, in which nothing has a gradient
        (first,) = network.describe([prepared], Asked(beam=1, map="gradient"))
    hook.remove()
    (second,) = network.describe([prepared], Asked(beam=1, map="gradient"))
    np.testing.assert_array_equal(first.weights, second.weights)
    assert first.settings["map"] == "gradient"
    tensors = [value for value in gc.get_objects() if _graphed(value)]
    assert not tensors, "a graph is kept"
    assert all(cache is not None for cache, _ in kept)
    assert [one.requires_grad, *(parameter.requires_grad for parameter in rest)] == [True] + [False] * len(rest)
    assert all(parameter.grad is None for parameter in model.parameters())
    after = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    assert after == before
    assert torch.is_grad_enabled()
    one.requires_grad_(False)


def _graphed(value: object) -> bool:
    return issubclass(type(value), torch.Tensor) and value.grad_fn is not None  # type: ignore[attr-defined]


def test_graphs_go_with_their_steps(opened: Callable[[str], Any], noise: np.ndarray) -> None:
    """A cache must not hold the graphs of the steps before: what is alive does not grow with the sentence."""
    network = opened("llava")
    prepared, alive = network.prepare(load(noise)), []

    def count(module: Any, args: Any) -> None:
        alive.append(sum(_graphed(value) for value in gc.get_objects()))

    hook = network._parts.writer.register_forward_pre_hook(count)
    network.describe([prepared], Asked(text="a dog runs over the grass", map="gradient"))
    hook.remove()
    assert len(alive) == 6
    assert alive[-1] <= 3  # the logits of the step before, whose graph is spent


class Still(torch.nn.Module):
    """A linear layer as inference alone needs it."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(x)


def test_where_no_gradient_flows_there_is_one_line(on_disk: Callable[[str], Any], noise: np.ndarray) -> None:
    from attnviz.adapters.hf import load_model

    def told(network: Any) -> str:
        prepared = network.prepare(load(noise))
        with pytest.raises(ModelError, match="leave out --map") as caught:
            network.describe([prepared], Asked(text="a dog", map="gradient"))
        assert len(network.describe([prepared], Asked(text="a dog"))[0]) == 2
        assert torch.is_grad_enabled()
        return str(caught.value)

    network = load_model(on_disk("llava"))
    for layer in network.model.model.language_model.layers:
        layer.mlp.down_proj = Still(layer.mlp.down_proj)
    assert "it ends at Still" in told(network)
    network = load_model(on_disk("llava"))
    network.model.hf_quantizer = type("Quantizer", (), {"is_trainable": False})()
    assert "quantised" in told(network)
    network = load_model(on_disk("llava"))
    with torch.inference_mode():
        weight = network.model.lm_head.weight.detach().clone()
    network.model.lm_head.weight = torch.nn.Parameter(weight, requires_grad=False)
    assert "lm_head.weight was made in inference mode" in told(network)


def test_what_is_not_weights_times_values_is_refused(opened: Callable[[str], Any], noise: np.ndarray) -> None:
    network = opened("llava")
    attention = network._parts.modules[1]
    kernel = importlib.import_module("transformers.models.llama.modeling_llama").eager_attention_forward

    def other(module: Any, query: Any, key: Any, value: Any, *args: Any, **named: Any) -> Any:
        return kernel(module, 2 * query if module is attention else query, key, value, *args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transformers.models.llama.modeling_llama.eager_attention_forward", other)
        with pytest.raises(ModelError, match="not its weights times its values"):
            network.describe([network.prepare(load(noise))], Asked(text="a dog", map="gradient"))
