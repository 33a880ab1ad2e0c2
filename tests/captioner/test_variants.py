"""Our network with something taken from it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from attnviz.captioner import Captioner
from attnviz.captioner.attention import SCORES
from attnviz.evidence import Dissectable

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", SCORES)
def test_uniform_attention_is_uniform_and_leaves_the_model_alone(mode: str) -> None:
    model = Captioner.tiny(mode)
    assert isinstance(model, Dissectable)
    before = model.fingerprint()
    (found,) = model.unfocused().describe_pixels(PIXELS, ["a dog runs"])
    if mode.startswith("channel"):
        assert found.channel_weights is not None
        np.testing.assert_allclose(found.channel_weights, 1 / found.channel_weights.shape[1], rtol=1e-6)
    else:
        np.testing.assert_allclose(found.weights, 1 / 4, rtol=1e-6)
    (own,) = model.describe_pixels(PIXELS, ["a dog runs"])
    assert not np.array_equal(own.logprobs, found.logprobs)
    assert model.fingerprint() == before


@pytest.mark.parametrize("mode", SCORES)
def test_layers_become_random_one_after_the_other_from_the_attention_down(mode: str) -> None:
    model = Captioner.tiny(mode)
    before = model.fingerprint()
    names, changed = [], []
    own = dict(model.named_parameters())
    for name, network in model.randomised(seed=1):
        names.append(name)
        now = dict(network.named_parameters())
        changed.append({key for key in own if not np.array_equal(own[key].detach(), now[key].detach())})
        for key in own:  # the same values, elsewhere
            np.testing.assert_array_equal(np.sort(own[key].detach(), None), np.sort(now[key].detach(), None))
    assert model.fingerprint() == before
    expected = ["query LSTM"] if mode in ("dot", "channel-dot") else ["attention", "query LSTM"]
    assert names[: len(expected)] == expected
    assert names[-1] == "encoder stem"
    assert all(less < more for less, more in pairwise(changed))
    assert not any(key.startswith(("decoder.speak", "decoder.project")) for key in changed[-1])
    first = [[p.detach().numpy().copy() for p in network.parameters()] for _, network in model.randomised(seed=1)][-1]
    again = [[p.detach().numpy().copy() for p in network.parameters()] for _, network in model.randomised(seed=1)][-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
