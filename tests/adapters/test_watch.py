"""Recording attention in plain PyTorch: the weights are those computed by hand, and nothing else changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import attnviz
from attnviz.adapters.functions import SHORTCUTS
from attnviz.errors import AttnvizError, ConfigError, TraceError

CELLS = 12  # 3x4
WORDS = ["a", "dog", "runs", "fast"]


class Additive(nn.Module):
    """v . tanh(We E + Wd d), as Bahdanau and the Show, Attend and Tell tutorial have it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.cells, self.state, self.score = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, 1)

    def forward(self, E: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.score(torch.tanh(self.cells(E) + self.state(d)[:, None])).squeeze(2)
        weights = torch.softmax(scores, dim=1)
        return (E * weights[..., None]).sum(dim=1), weights


class Recurrent(nn.Module):
    """An LSTM with additive attention, written out as people write it."""

    def __init__(self, size: int = 16, words: int = 11) -> None:
        super().__init__()
        self.attention = Additive(size)
        self.embed, self.cell, self.out = nn.Embedding(words, size), nn.LSTMCell(2 * size, size), nn.Linear(size, words)

    def forward(self, E: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        h = c = E.mean(dim=1)
        word, logits, kept = torch.zeros(len(E), dtype=torch.long), [], []
        for _ in range(steps):
            context, weights = self.attention(E, h)
            h, c = self.cell(torch.cat([self.embed(word), context], dim=1), (h, c))
            logits.append(self.out(h))
            kept.append(weights)
            word = logits[-1].argmax(dim=1)
        return torch.stack(logits, dim=1), torch.stack(kept, dim=1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def seen_weights(trace: attnviz.Trace) -> Any:
    return trace.weights.reshape(len(trace), -1)


def test_a_handwritten_lstm_with_additive_attention() -> None:
    net, E = Recurrent().eval(), torch.randn(1, CELLS, 16)
    with torch.no_grad():
        expected, by_hand = net(E, 4)
        with attnviz.watch(net, cells=CELLS) as seen:
            logits, _ = net(E, 4)
    assert torch.equal(logits, expected)
    assert [(call.name, call.kind, call.weights.shape) for call in seen.calls] == [
        ("attention", "softmax", (1, CELLS))
    ] * 4
    trace = seen.trace(WORDS, image=None, grid=(3, 4))
    np.testing.assert_allclose(seen_weights(trace), by_hand[0], atol=1e-6)
    assert (trace.tokens, trace.grid) == (tuple(WORDS), (3, 4))
    np.testing.assert_allclose(trace.on_image, 1, atol=1e-6)  # type: ignore[arg-type]


def test_one_image_of_a_batch_and_the_step_of_the_end() -> None:
    net, E = Recurrent().eval(), torch.randn(3, CELLS, 16)
    with attnviz.watch(net, cells=CELLS) as seen:
        _, by_hand = net(E, 5)
    trace = seen.trace(WORDS, image=None, grid=(3, 4), images=3, batch=2)  # the end has a step as well
    np.testing.assert_allclose(seen_weights(trace), by_hand[2, :4].detach(), atol=1e-6)
    with pytest.raises(TraceError, match="a batch of 3 at each step; give images=3"):
        seen.trace(WORDS, image=None, grid=(3, 4))
    with pytest.raises(TraceError, match="no image 3 of 3"):
        seen.trace(WORDS, image=None, grid=(3, 4), images=3, batch=3)


def decoder(**options: Any) -> nn.TransformerDecoder:
    layer = nn.TransformerDecoderLayer(16, 4, 32, batch_first=True, **options)
    return nn.TransformerDecoder(layer, 3)


def by_projections(attention: nn.MultiheadAttention, query: Tensor, memory: Tensor) -> Tensor:
    """(H, T, N) of `nn.MultiheadAttention`, by its formula."""
    size, heads = attention.embed_dim, attention.num_heads
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    q = (query @ weight[:size].T + bias[:size]).reshape(len(query), heads, -1).transpose(0, 1)
    k = (memory @ weight[size : 2 * size].T + bias[size : 2 * size]).reshape(len(memory), heads, -1).transpose(0, 1)
    return torch.softmax(q @ k.transpose(1, 2) / (size // heads) ** 0.5, dim=-1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_a_transformer_decoder(training: bool, grad: bool) -> None:
    """Layer by layer; with dropout in training, whose random numbers stay as they are."""
    net = decoder(dropout=0.1).train(training)
    memory, target = torch.randn(1, CELLS, 16), torch.randn(1, 5, 16)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    inputs: list[Tensor] = []
    hooks = [
        layer.multihead_attn.register_forward_pre_hook(lambda _, given: inputs.append(given[0])) for layer in net.layers
    ]
    with torch.set_grad_enabled(grad):
        torch.manual_seed(1)
        expected = net(target, memory, tgt_mask=mask)
        for hook in hooks:
            hook.remove()
        torch.manual_seed(1)
        with attnviz.watch(net, cells=CELLS) as seen:
            out = net(target, memory, tgt_mask=mask)
        assert torch.equal(out, expected)
        assert torch.equal(torch.rand(3), _after(1, lambda: net(target, memory, tgt_mask=mask)))
        assert out.requires_grad == (grad)
    assert [call.name for call in seen.calls] == [f"layers.{index}.multihead_attn" for index in range(3)]
    hand = torch.stack(
        [by_projections(layer.multihead_attn, x[0], memory[0]) for layer, x in zip(net.layers, inputs, strict=True)]
    ).detach()
    for index, call in enumerate(seen.calls):
        assert call.weights.shape == (1, 4, 5, CELLS)
        np.testing.assert_allclose(call.weights[0], hand[index], atol=1e-6)
    trace = seen.trace(WORDS, image=None, grid=(3, 4))  # the fifth row is that of the end
    np.testing.assert_allclose(seen_weights(trace), hand[:, :, :4].mean(dim=(0, 1)), atol=1e-6)
    one = seen.trace(WORDS, image=None, grid=(3, 4), heads=2, layers="last")
    np.testing.assert_allclose(seen_weights(one), hand[2, 2, :4], atol=1e-6)
    assert (one.heads, one.layers) == ("2", "last")


def _after(seed: int, run: Callable[[], object]) -> Tensor:
    torch.manual_seed(seed)
    run()
    return torch.rand(3)


def test_a_decoder_that_writes_word_by_word() -> None:
    """The sentence so far is run anew at each step: the newest row counts."""
    net, memory, target = decoder().eval(), torch.randn(1, CELLS, 16), torch.randn(1, 4, 16)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    with torch.no_grad():
        with attnviz.watch(net, cells=CELLS) as whole:
            net(target, memory, tgt_mask=mask)
        with attnviz.watch(net, cells=CELLS) as seen:
            for end in range(1, 5):
                net(target[:, :end], memory, tgt_mask=mask[:end, :end])
    assert len(seen.calls) == 12
    one, other = (watched.trace(WORDS, image=None, grid=(3, 4)) for watched in (seen, whole))
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-6)


class Product(nn.Module):
    """`F.scaled_dot_product_attention` and its formula beside each other."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, **options)


def product_by_hand(q: Tensor, k: Tensor, options: dict[str, Any]) -> Tensor:
    """(B, H, T, N) in plain loops, in double precision."""
    q, k = q.double(), k.double()
    scale = options.get("scale") or q.shape[-1] ** -0.5
    weights = torch.zeros(*q.shape[:3], k.shape[-2], dtype=torch.float64)
    for image in range(q.shape[0]):
        for head in range(q.shape[1]):
            keys = k[image, head // (q.shape[1] // k.shape[1])]
            for row in range(q.shape[2]):
                scores = keys @ q[image, head, row] * scale
                for column in range(len(keys)):
                    if options.get("is_causal") and column > row:
                        scores[column] = -torch.inf
                    if (mask := options.get("attn_mask")) is not None:
                        allowed = mask.expand(*q.shape[:2], *mask.shape[-2:])[image, head, row, column]
                        if mask.dtype == torch.bool:
                            scores[column] = scores[column] if allowed else -torch.inf
                        else:
                            scores[column] += allowed
                weights[image, head, row] = torch.softmax(scores, dim=0)
    return weights


BOOLEAN = torch.ones(4, CELLS, dtype=torch.bool)
BOOLEAN[:, 7:] = False
BOOLEAN[2, :3] = False


@pytest.mark.parametrize(
    ("heads", "options"),
    [
        (4, {}),
        (4, {"scale": 0.3}),
        (4, {"is_causal": True}),
        (4, {"attn_mask": BOOLEAN}),
        (4, {"attn_mask": torch.linspace(-2, 2, 4 * CELLS).reshape(1, 1, 4, CELLS)}),
        (4, {"dropout_p": 0.5}),
        (2, {"enable_gqa": True}),
        (1, {"enable_gqa": True, "attn_mask": BOOLEAN, "scale": 0.5}),
    ],
)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_scaled_dot_product_attention(heads: int, options: dict[str, Any], kind: torch.dtype) -> None:
    if kind != torch.float32 and options.get("attn_mask") is not None and options["attn_mask"].dtype != torch.bool:
        options = {**options, "attn_mask": options["attn_mask"].to(kind)}
    net = Product()
    q, k, v = (torch.randn(1, count, length, 8).to(kind) for count, length in ((4, 4), (heads, CELLS), (heads, CELLS)))
    torch.manual_seed(3)
    expected = net(q, k, v, **options)
    torch.manual_seed(3)
    with attnviz.watch(net, cells=CELLS) as seen:
        out = net(q, k, v, **options)
    assert torch.equal(out, expected)
    by_hand = product_by_hand(q, k, options)
    (call,) = seen.calls
    assert (call.name, call.kind) == ("", "scaled_dot_product_attention")
    np.testing.assert_allclose(call.weights, by_hand, atol=1e-6)
    trace = seen.trace(WORDS, image=None, grid=(3, 4), heads="max")
    largest = by_hand[0].max(dim=0).values
    np.testing.assert_allclose(seen_weights(trace), largest / largest.sum(dim=1, keepdim=True), atol=1e-6)


def test_a_row_that_may_look_nowhere_has_no_weight() -> None:
    mask = BOOLEAN.clone()
    mask[1] = False
    q, k = torch.randn(1, 2, 4, 8), torch.randn(1, 2, CELLS, 8)
    with attnviz.watch(None, cells=CELLS) as seen:
        F.scaled_dot_product_attention(q, k, k, mask)
    assert (seen.calls[0].weights[:, :, 1] == 0).all()
    with pytest.raises(TraceError, match=r"step 1 .* is 0 on all"):
        seen.trace(WORDS, image=None, grid=(3, 4))


SOFTMAXES: dict[str, Callable[[Tensor], Tensor]] = {
    "torch.softmax": lambda x: torch.softmax(x, -1),
    "by name": lambda x: torch.softmax(input=x, dim=-1),
    "F.softmax": lambda x: F.softmax(x, dim=1),
    "method": lambda x: x.softmax(1),
    "special": lambda x: torch.special.softmax(x, 1),
    "module": lambda x: nn.Softmax(dim=-1)(x),
    "column": lambda x: F.softmax(x[:, :, None], dim=1)[:, :, 0],
    "row": lambda x: F.softmax(x[:, None], dim=-1)[:, 0],
}


@pytest.mark.parametrize("name", SOFTMAXES)
def test_every_spelling_of_softmax(name: str) -> None:
    scores = torch.randn(4, 1, CELLS)
    with attnviz.watch(None, cells=[CELLS, 99]) as seen:
        by_hand = torch.stack([SOFTMAXES[name](one) for one in scores])
        torch.softmax(torch.randn(3, 7), -1)
    assert len(seen.calls) == 4
    trace = seen.trace(WORDS, image=None, grid=(3, 4))
    np.testing.assert_allclose(seen_weights(trace), by_hand[:, 0], atol=1e-6)


def test_heads_that_are_folded_into_the_batch() -> None:
    """(B * H, T, N) of a whole sentence, and (B * H, 1, N) of each step."""
    scores = torch.randn(2 * 4, 4, CELLS)
    weights = torch.softmax(scores, -1)
    for batch in (0, 1):
        mean = weights[4 * batch : 4 * batch + 4].mean(dim=0)
        with attnviz.watch(None, cells=CELLS) as once:
            torch.softmax(scores, -1)
        with attnviz.watch(None, cells=CELLS) as steps:
            for step in range(4):
                torch.softmax(scores[:, step : step + 1], -1)
        for seen in (once, steps):
            trace = seen.trace(WORDS, image=None, grid=(3, 4), images=2, batch=batch)
            np.testing.assert_allclose(seen_weights(trace), mean, atol=1e-6)
    with attnviz.watch(None, cells=CELLS) as heads:
        for step in range(4):
            torch.softmax(scores[:, step][None], -1)  # (1, H, N)
    trace = heads.trace(WORDS, image=None, grid=(3, 4))
    np.testing.assert_allclose(seen_weights(trace), weights.mean(dim=0), atol=1e-6)


def test_layers_that_no_module_tells_apart() -> None:
    scores = torch.randn(4, 3, 1, CELLS)
    with attnviz.watch(None, cells=CELLS) as seen:
        for step in scores:
            for layer in step:
                torch.softmax(layer, -1)
    with pytest.raises(TraceError, match="attention ran 12 times, but there are 4 tokens; watch one sentence"):
        seen.trace(WORDS, image=None, grid=(3, 4))
    trace = seen.trace(WORDS, image=None, grid=(3, 4), per_step=3, layers=1)
    np.testing.assert_allclose(seen_weights(trace), torch.softmax(scores[:, 1, 0], -1), atol=1e-6)


class Captioner(nn.Module):
    """A transformer over the cells before the decoder: self-attention of the cells, which nobody asked for."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder, self.decoder, self.own = nn.TransformerEncoder(layer, 2), decoder(), nn.Linear(16, 16)

    def forward(self, cells: Tensor, target: Tensor) -> Tensor:
        cells = self.encoder(cells)
        own = self.own(cells)
        cells = cells + torch.softmax(own @ own.transpose(1, 2), -1) @ own  # by hand, as vision transformers do
        cells = cells + F.scaled_dot_product_attention(own, own, own)
        return self.decoder(target, cells)  # type: ignore[no-any-return]


@pytest.mark.parametrize("grad", [False, True])
def test_nothing_is_kept_that_was_not_asked_for_and_no_bit_changes(grad: bool) -> None:
    """In evaluation without gradients torch's encoder takes a shortcut with other bits, which it must keep taking."""
    net, other = Captioner().eval(), Captioner().eval()
    cells, target = torch.randn(2, CELLS, 16), torch.randn(2, 5, 16)
    with torch.set_grad_enabled(grad):
        expected = net(cells, target)
        with attnviz.watch(net, cells=CELLS) as seen:
            assert torch.equal(net(cells, target), expected)
            assert torch.equal(other(cells, target), other(cells, target))
            other.encoder(cells)
        assert torch.equal(net(cells, target), expected)
    assert [call.name for call in seen.calls] == [f"decoder.layers.{index}.multihead_attn" for index in range(3)]
    assert all(type(call.weights) is np.ndarray and call.weights.dtype == np.float32 for call in seen.calls)
    assert all(call.weights.shape == (2, 4, 5, CELLS) for call in seen.calls)
    before = len(seen.calls)
    net(cells, target)  # the context is closed
    assert len(seen.calls) == before


def test_gradients_stay_as_they_are() -> None:
    net, E = Recurrent(), torch.randn(1, CELLS, 16)
    grads = []
    for watched in (False, True):
        net.zero_grad()
        if watched:
            with attnviz.watch(net, cells=CELLS):
                net(E, 4)[0].sum().backward()
        else:
            net(E, 4)[0].sum().backward()
        grads.append([parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*grads, strict=True))


def test_padding_masks_of_multihead_attention() -> None:
    attention = nn.MultiheadAttention(16, 4, batch_first=False, dropout=0.2)
    query, memory = torch.randn(4, 1, 16), torch.randn(CELLS, 1, 16)
    padding = torch.zeros(1, CELLS, dtype=torch.bool)
    padding[:, 9:] = True
    attention.eval()
    expected, by_hand = attention(query, memory, memory, key_padding_mask=padding, average_attn_weights=False)
    with attnviz.watch(attention, cells=CELLS) as seen:
        out, mean = attention(query, memory, memory, key_padding_mask=padding)
    assert torch.equal(out, expected)
    assert mean.shape == (1, 4, CELLS)
    (call,) = seen.calls
    np.testing.assert_allclose(call.weights, by_hand.detach(), atol=1e-6)
    assert (call.weights[..., 9:] == 0).all()
    attention.train()
    with attnviz.watch(attention, cells=CELLS) as training:
        attention(query, memory, memory, key_padding_mask=padding, need_weights=False)
    assert attention.training
    np.testing.assert_allclose(training.calls[0].weights, by_hand.detach(), atol=1e-6)  # before dropout


def test_the_function_below_multihead_attention() -> None:
    module = nn.MultiheadAttention(16, 4)
    query, memory = torch.randn(4, 1, 16), torch.randn(CELLS, 1, 16)
    weight, bias = module.in_proj_weight, module.in_proj_bias
    given: Any = (query, memory, memory, 16, 4, weight, bias, None, None, False, 0.3)
    given = (*given, module.out_proj.weight, module.out_proj.bias)
    without_weights = partial(F.multi_head_attention_forward, need_weights=False)
    with attnviz.watch(None, cells=CELLS) as seen:
        torch.manual_seed(5)
        out, weights = without_weights(*given)
    torch.manual_seed(5)
    assert weights is None
    assert torch.equal(out, without_weights(*given)[0])
    by_hand = by_projections(module, query[:, 0], memory[:, 0])
    np.testing.assert_allclose(seen.calls[0].weights[0], by_hand.detach(), atol=1e-6)


def test_watches_may_be_nested_and_threads_do_not_see_each_other() -> None:
    net, E = Recurrent().eval(), torch.randn(1, CELLS, 16)
    forwards = [kind.forward for kind in SHORTCUTS]
    with attnviz.watch(net, cells=CELLS) as outer, attnviz.watch(net, cells=[7, CELLS]) as inner:
        net(E, 2)
        thread = threading.Thread(target=lambda: net(E, 3))
        thread.start()
        thread.join()
    assert len(outer.calls) == len(inner.calls) == 2
    assert [kind.forward for kind in SHORTCUTS] == forwards
    with pytest.raises(RuntimeError, match="inside"), attnviz.watch(net, cells=CELLS):
        raise RuntimeError("inside")
    assert [kind.forward for kind in SHORTCUTS] == forwards


def test_what_is_wrong_is_one_line() -> None:
    net, E = Recurrent().eval(), torch.randn(1, CELLS, 16)
    for cells in (0, -1, 1.5, "12", True, [12, 0], None):
        with pytest.raises(ConfigError, match="cells must be"):
            attnviz.watch(net, cells=cells)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"net must be a torch.nn.Module"):
        attnviz.watch("net", cells=12)  # type: ignore[arg-type]
    with attnviz.watch(net, cells=11) as seen:
        pass
    with pytest.raises(TraceError, match="no attention over 11 cells was seen; did the network run"):
        seen.trace(WORDS, image=None)
    with seen:
        net(E, 4)
        with pytest.raises(ConfigError, match="open already"):
            seen.__enter__()
    with pytest.raises(TraceError, match=r"no attention over 11 cells was seen; there was some over 12$"):
        seen.trace(WORDS, image=None)
    with attnviz.watch(net, cells=CELLS) as seen:
        net(E, 4)
    with pytest.raises(TraceError, match=r"has 'decoder' in its name; seen were attention$"):
        seen.trace(WORDS, image=None, only="decoder")
    with pytest.raises(TraceError, match="attention ran 4 times, but there are 2 tokens"):
        seen.trace(["a", "b"], image=None)
    with pytest.raises(TraceError, match="12 cells are no square grid"):
        seen.trace(WORDS, image=None)
    seen.clear()
    assert not seen.calls
    several = nn.ModuleList([nn.Softmax(-1), nn.Softmax(-1)])
    with attnviz.watch(several, cells=CELLS) as seen:
        several[0](torch.randn(1, 2, 4, CELLS))
        several[1](torch.randn(1, 3, 4, CELLS))
    assert seen.trace(WORDS, image=None, grid=(3, 4), only="1").heads == "mean"
    with pytest.raises(TraceError, match=r"several kinds was seen.*: 0 \(2, 4, 12\), 1 \(3, 4, 12\); choose with only"):
        seen.trace(WORDS, image=None)
    with pytest.raises(AttnvizError, match="0 ran once, with 4 rows, but there are 2 tokens"):
        seen.trace(["a", "b"], image=None)
