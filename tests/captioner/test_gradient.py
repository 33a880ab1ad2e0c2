"""Gradient times attention, against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy import asking

from attnviz.captioner import Captioner
from attnviz.captioner.attention import SCORES
from attnviz.captioner.gradient import gradient_map
from attnviz.captioner.vocabulary import START

WORDS = [[4, 5, 6, 7], [7, 4]]


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("mode", SCORES)
def test_maps_are_those_of_finite_differences(mode: str, asks: bool) -> None:
    model = (asking(mode, seed=2) if asks else Captioner.tiny(mode, seed=2)).double()
    channels = model.config.channels
    values = torch.randn(
        2, 4, channels + len(model.config.kinds), dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    found = [gradient_map(model.decoder, values[i : i + 1], ids) for i, ids in enumerate(WORDS)]

    def logprob(photo: int, step: int, change: torch.Tensor | None) -> tuple[float, torch.Tensor]:
        """The word's, with `change` (n,) added to its own step's weights; and the weights that were used."""
        ids, used = WORDS[photo], []

        def changed(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            used.append(weights.clone())
            if change is not None:
                weights = weights.clone()
                weights[0, step] += change
            return weights, weights.new_zeros(weights.shape[:-1])

        one = values[photo : photo + 1]
        read = torch.tensor([[[START, *ids[:-1]]]])
        with torch.no_grad():
            output, _ = model.decoder(model.decoder.prepare(one), model.decoder.start(one), read, changed)
        return float(output.logits[0, step].log_softmax(-1)[ids[step]]), used[0][0, step]

    for photo, ids in enumerate(WORDS):
        assert found[photo].shape == (len(ids), 4)
        for step in range(len(ids)):
            _, weights = logprob(photo, step, None)
            slopes = []
            for place in range(len(weights)):
                change = torch.zeros_like(weights)
                change[place] = 1e-5
                slopes.append((logprob(photo, step, change)[0] - logprob(photo, step, -change)[0]) / 2e-5)
            helping = np.maximum(weights.numpy() * np.array(slopes), 0)
            if mode.startswith("channel"):
                helping = helping @ np.maximum(values[photo, :, :channels].numpy(), 0).T
            expected = helping / helping.sum() if helping.sum() > 0 else np.full(4, 0.25)
            np.testing.assert_allclose(found[photo][step], expected, atol=1e-6)


def test_features_of_inference_mode_will_do_and_nothing_is_left_behind() -> None:
    model = Captioner.tiny().requires_grad_(False)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    with torch.inference_mode():
        values = model.encode(pixels)
        maps = gradient_map(model.decoder, values, [4, 5])
    assert not maps.requires_grad
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_trace_of_the_second_map_says_so_and_hard_attention_has_none() -> None:
    import attnviz
    from attnviz.errors import ConfigError, ModelError

    model, photo = Captioner.tiny(), np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    (plain,) = attnviz.explain(model, photo, text="a dog runs")
    (second,) = attnviz.explain(model, photo, text="a dog runs", map="gradient")
    assert second.settings["map"] == "gradient"
    assert "map" not in plain.settings
    np.testing.assert_array_equal(plain.logprobs, second.logprobs)
    assert not np.allclose(plain.weights, second.weights)
    with pytest.raises(ModelError, match="hard attention"):
        attnviz.explain(model, photo, text="a dog", map="gradient", hard="argmax")
    with pytest.raises(ConfigError, match="map must be"):
        attnviz.explain(model, photo, map="saliency")  # type: ignore[arg-type]
