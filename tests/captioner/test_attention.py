"""The six score functions against loops in plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from attnviz.captioner.attention import SCORES, build_attention
from attnviz.captioner.hard import Hard, HardChoice
from attnviz.errors import ModelError

B, Q, C, N, D, A = 2, 3, 5, 6, 4, 7


def sizes(mode: str) -> dict[str, int]:
    return {"channels": C, "state": {"dot": C, "channel-dot": N}.get(mode, D), "cells": N, "width": A}


def softmax(scores: np.ndarray) -> np.ndarray:
    e: np.ndarray = np.exp(scores - scores.max())
    return np.asarray(e / e.sum())


def reference(
    mode: str, p: dict[str, np.ndarray], e: np.ndarray, d: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One image (N, C), one state (D,): what is scored, the grid's weights, the context."""
    n, c = e.shape
    if mode.startswith("channel"):
        rectified = np.maximum(e, 0)
        scores = np.zeros(c)
        for k in range(c):
            if mode == "channel-dot":
                scores[k] = sum(d[i] * rectified[i, k] for i in range(n))
            else:
                scores[k] = float((p["Wd.weight"] @ d) @ (p["We.weight"] @ rectified[:, k]))
        a = softmax(scores)
        context = np.array([c * a[k] * rectified[:, k].mean() for k in range(c)])
        grid = np.array([sum(a[k] * rectified[i, k] for k in range(c)) for i in range(n)])
        return a, (grid / grid.sum() if grid.sum() > 0 else np.full(n, 1 / n)), context
    scores = np.zeros(n)
    if mode == "flat-concat":
        seen = e @ p["reduce.weight"].T if "reduce.weight" in p else e
        together = np.concatenate([d, *seen])  # [d ; flatten(E)]
        full = np.concatenate([p["state_part.weight"], p["image_part.weight"]], axis=1)
        scores = np.tanh(full @ together + p["image_part.bias"])
    else:
        for i in range(n):
            if mode == "dot":
                scores[i] = e[i] @ d
            elif mode == "general":
                scores[i] = (p["We.weight"] @ e[i]) @ (p["Wd.weight"] @ d)
            else:
                both = np.concatenate([p["We.weight"], p["Wd.weight"]], axis=1) @ np.concatenate([e[i], d])
                scores[i] = p["w"] @ np.tanh(both)
    a = softmax(scores)
    return scores, a, sum(a[i] * e[i] for i in range(n))


@pytest.mark.parametrize(("mode", "reduced"), [*((mode, 0) for mode in SCORES), ("flat-concat", 2)])
def test_formula(mode: str, reduced: int) -> None:
    torch.manual_seed(3)
    attention = build_attention(mode, **sizes(mode), reduced=reduced).double()
    parameters = {name: value.detach().numpy() for name, value in attention.named_parameters()}
    values, queries = torch.randn(B, N, C).double(), torch.randn(B, Q, attention.state).double()
    out = attention(attention.prepare(values), queries)
    for b in range(B):
        for q in range(Q):
            scored, weights, context = reference(mode, parameters, values[b].numpy(), queries[b, q].numpy())
            given = out.channel_weights if mode.startswith("channel") else out.scores
            np.testing.assert_allclose(given[b, q].detach(), scored, atol=1e-12)
            np.testing.assert_allclose(out.weights[b, q].detach(), weights, atol=1e-12)
            np.testing.assert_allclose(out.context[b, q].detach(), context, atol=1e-12)
    assert (out.channel_weights is None) == (not mode.startswith("channel"))


@pytest.mark.parametrize("mode", SCORES)
def test_gradients(mode: str) -> None:
    """Against finite differences; the additive score has a backward pass of its own."""
    torch.manual_seed(1)
    attention = build_attention(mode, **sizes(mode)).double()
    values, queries = (torch.randn(*shape).double().requires_grad_() for shape in ((B, N, C), (B, Q, attention.state)))
    parameters = tuple(attention.parameters())

    def outputs(e: torch.Tensor, d: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = attention(attention.prepare(e), d)
        return out.context, out.weights

    assert torch.autograd.gradcheck(outputs, (values, queries, *parameters))


@pytest.mark.parametrize("mode", SCORES)
def test_no_bias_but_in_flat_concat(mode: str) -> None:
    names = [name for name, _ in build_attention(mode, **sizes(mode)).named_parameters()]
    assert [name for name in names if "bias" in name] == (["image_part.bias"] if mode == "flat-concat" else [])


@pytest.mark.parametrize("mode", SCORES)
@pytest.mark.parametrize("hard", ["argmax", "sample"])
def test_hard_gives_one_cell_or_channel(mode: str, hard: Hard) -> None:
    torch.manual_seed(0)
    attention = build_attention(mode, **sizes(mode))
    values, queries = torch.randn(B, N, C), torch.randn(B, Q, attention.state)
    soft, out = (
        attention(attention.prepare(values), queries, choose) for choose in (None, HardChoice(hard, torch.randn(Q, 9)))
    )
    chosen = out.channel_weights if mode.startswith("channel") else out.weights
    assert torch.equal(chosen.sort(-1).values, torch.eye(chosen.shape[-1])[-1].expand_as(chosen))
    torch.testing.assert_close(out.weights.sum(-1), torch.ones(B, Q))
    if hard == "argmax":
        before = soft.channel_weights if mode.startswith("channel") else soft.weights
        assert torch.equal(chosen.argmax(-1), before.argmax(-1))
    if not mode.startswith("channel"):
        torch.testing.assert_close(out.context, torch.stack([values[b, chosen[b].argmax(-1)] for b in range(B)]))


def test_sampling_follows_the_weights() -> None:
    weights = torch.tensor([0.5, 0.3, 0.2])
    uniform = np.random.default_rng(0).random((20000, 3))
    noise = torch.as_tensor(-np.log(-np.log(uniform)))
    drawn, margin = HardChoice("sample", noise)(weights.expand(20000, 3))
    # Three standard deviations of a frequency of 0.5 over 20,000 draws are 0.0106.
    np.testing.assert_allclose(drawn.float().mean(0), weights, atol=0.011)
    odds = np.sort(np.log(weights.numpy()) - np.log(-np.log(uniform)))
    np.testing.assert_allclose(margin, odds[:, 2] - odds[:, 1], atol=1e-6)


def test_dot_names_both_sizes() -> None:
    with pytest.raises(ModelError, match="C = 5 and D = 4"):
        build_attention("dot", channels=5, state=4, cells=6, width=1)


def test_channel_dot_names_both_sizes() -> None:
    with pytest.raises(ModelError, match="D = 4 and N = 6"):
        build_attention("channel-dot", channels=5, state=4, cells=6, width=1)


@pytest.mark.parametrize("mode", ["flat-concat", "channel-dot", "channel-general"])
def test_fixed_grid_refuses_another(mode: str) -> None:
    attention = build_attention(mode, **sizes(mode))
    with pytest.raises(ModelError, match="grid of 6 cells and given one of 8"):
        attention.prepare(torch.zeros(1, 8, C))


def test_flat_concat_keeps_its_ceiling() -> None:
    attention = build_attention("flat-concat", channels=2, state=3, cells=196, width=1)
    torch.manual_seed(0)
    out = attention(attention.prepare(1000 * torch.randn(4, 196, 2)), 1000 * torch.randn(4, 5, 3))
    ceiling = math.e / (math.e + 195 / math.e)
    assert ceiling == pytest.approx(0.0365, abs=5e-5)
    assert float(out.weights.detach().max()) <= ceiling + 1e-6


def test_channel_map_is_uniform_where_nothing_fires() -> None:
    attention = build_attention("channel-general", **sizes("channel-general"))
    out = attention(attention.prepare(-torch.ones(1, N, C)), torch.randn(1, 1, D))
    torch.testing.assert_close(out.weights, torch.full((1, 1, N), 1 / N))


def test_uniform_channel_weights_give_mean_pooling() -> None:
    attention = build_attention("channel-dot", **sizes("channel-dot"))
    values = torch.rand(1, N, C)
    out = attention(attention.prepare(values), torch.zeros(1, 1, N))
    torch.testing.assert_close(out.context[0, 0], values[0].mean(0))


def test_unknown_mode_lists_the_known() -> None:
    with pytest.raises(ModelError, match=r"'dott'.*flat-concat"):
        build_attention("dott", **sizes("dot"))
