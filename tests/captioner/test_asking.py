"""Asking which kind of thing is meant: beside loops in plain numpy, laws that hold for any odds, and files."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from toy import KINDS, WORDS, asking

from attnviz.captioner import Captioner, ModelConfig, load_checkpoint, save_checkpoint
from attnviz.captioner.attention import SCORES
from attnviz.captioner.decoder import Decoder
from attnviz.captioner.kinds import FLOOR, POWER, Kinds, ask, odds_of
from attnviz.captioner.search import LENGTH_POWER, beam_search
from attnviz.captioner.vocabulary import END, SPECIAL, START, Vocabulary
from attnviz.errors import ModelError

VOCABULARY = Vocabulary((*SPECIAL, *WORDS))


def numbers(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (2, 3, V), weights (2, 3, 5) and log odds (2, 5, K), float64."""
    draw = np.random.default_rng(seed)
    logits, log_odds = draw.normal(0, 3, (2, 3, len(VOCABULARY))), draw.normal(0, 4, (2, 5, len(KINDS)))
    weights = draw.dirichlet(np.full(5, 0.5), (2, 3))
    return torch.from_numpy(logits), torch.from_numpy(weights), torch.from_numpy(log_odds)


def test_dealing_is_that_of_loops() -> None:
    logits, weights, log_odds = numbers(1)
    kinds = Kinds.of(KINDS, VOCABULARY)
    said = torch.tensor([[[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 1, 0]], [[0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]]])
    found = kinds.deal(logits, weights, odds_of(log_odds), said.double()).softmax(-1)
    named = [VOCABULARY.encode(kind) for kind in KINDS]
    for photo in range(2):
        for step in range(3):
            scores = logits[photo, step].numpy()
            p = np.exp(scores) / np.exp(scores).sum()
            odds = {}
            for word in sorted({word for kind in named for word in kind}):
                odds[word] = FLOOR
                for cell in range(5):
                    for kind, words in enumerate(named):
                        if word in words and not said[photo, step, kind]:
                            odds[word] += float(weights[photo, step, cell]) * np.exp(float(log_odds[photo, cell, kind]))
            whole = sum(p[word] for word in odds)
            share = {word: p[word] * odds[word] ** POWER for word in odds}
            shares = sum(share.values())
            expected = [share[word] / shares * whole if word in odds else p[word] for word in range(len(p))]
            np.testing.assert_allclose(found[photo, step], expected, rtol=1e-9, atol=1e-12)


@given(st.integers(0, 10**6))
def test_whether_a_thing_is_named_stays(seed: int) -> None:
    logits, weights, log_odds = numbers(seed)
    kinds = Kinds.of(KINDS, VOCABULARY)
    before, after = logits.softmax(-1), kinds.deal(logits, weights, odds_of(log_odds), none()).softmax(-1)
    others = [number for number in range(len(VOCABULARY)) if number not in kinds.words]
    torch.testing.assert_close(after[..., others], before[..., others])
    torch.testing.assert_close(after[..., kinds.words].sum(-1), before[..., kinds.words].sum(-1))
    # Two words of one kind keep their proportion.
    dog, puppy = VOCABULARY.encode(["dog", "puppy"])
    torch.testing.assert_close(after[..., dog] * before[..., puppy], after[..., puppy] * before[..., dog])


def none(kinds: int = len(KINDS)) -> torch.Tensor:
    """No kind was named yet."""
    return torch.zeros(2, 3, kinds, dtype=torch.float64)


def test_equal_odds_change_nothing_and_extreme_ones_are_numbers() -> None:
    logits, weights, log_odds = numbers(2)
    single = Kinds.of(KINDS[:3], VOCABULARY)  # a bike of two kinds would have twice the odds
    for same in (0, 1e30, -1e30, torch.inf, -torch.inf):
        odds = odds_of(torch.full((2, 5, 3), same, dtype=torch.float64))
        found = single.deal(logits, weights, odds, none(3)).softmax(-1)
        torch.testing.assert_close(found, logits.softmax(-1))
    without = Kinds.of(((), ()), VOCABULARY)
    assert torch.equal(without.deal(logits, weights, odds_of(log_odds[..., :2]), none(2)), logits)


def test_what_was_named_is_not_asked_for_again() -> None:
    kinds, words = Kinds.of(KINDS, VOCABULARY), ["a", "puppy", "a", "grass", "bike", "dog"]
    each = kinds.named(torch.tensor([VOCABULARY.encode(words)] * 2), torch.tensor([[0.0] * 4, [0, 1, 0, 0]]))
    dog, both = [1, 0, 0, 0], [1, 0, 1, 1]
    assert each[0].tolist() == [[0] * 4, dog, dog, dog, both, both]
    assert each[1].tolist() == [[0, 1, 0, 0], *[[1, 1, 0, 0]] * 3, *[[1] * 4] * 2]


@pytest.mark.parametrize("mode", SCORES)
def test_it_is_asked_where_the_attention_lies(mode: str) -> None:
    """With all odds in one cell, the word of that kind gains as the cell's weight does."""
    model = asking(mode)
    channels = model.config.channels
    values = torch.rand(1, 4, channels, generator=torch.Generator().manual_seed(3))
    plain = torch.cat([values, torch.full((1, 4, len(KINDS)), -torch.inf)], -1)
    shown = plain.clone()
    shown[0, 2, channels + 1] = np.log(FLOOR)  # a cat in cell 2
    words = torch.tensor([[[START, *VOCABULARY.encode(["a", "cat"])]]])
    decoder = model.decoder
    (without, _), (with_cat, _) = (decoder(decoder.prepare(one), decoder.start(one), words) for one in (plain, shown))
    weights = with_cat.attended.weights
    assert torch.equal(weights, without.attended.weights)  # what is looked at does not depend on it
    dog, cat = VOCABULARY.encode(["dog", "cat"])

    def ratio(output: torch.Tensor) -> torch.Tensor:
        return output[..., cat] - output[..., dog]

    gain = (ratio(with_cat.logits) - ratio(without.logits)).exp()
    gains = (1 + weights[..., 2]) ** POWER
    gains[0, 2] = 1  # the last word comes after the cat
    torch.testing.assert_close(gain, gains, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("mode", SCORES)
def test_search_reading_and_batches_agree(mode: str) -> None:
    model, plain = asking(mode, 4, 0.2), Captioner.tiny(mode, 4, WORDS)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    values = model.encode(pixels)
    assert values.shape == (3, 4, model.config.channels + len(KINDS))
    found = model.describe_pixels(pixels)
    for number, one in enumerate(found):
        (alone,) = model.describe_pixels(pixels[number : number + 1])
        assert alone.tokens == one.tokens
        np.testing.assert_array_equal(alone.weights, one.weights)
        text = " ".join(one.tokens)
        (read,) = model.describe_pixels(pixels[number : number + 1], [text])
        np.testing.assert_allclose(read.logprobs, one.logprobs, atol=1e-5)
        (other,) = plain.describe_pixels(pixels[number : number + 1], [text])
        np.testing.assert_allclose(other.weights, one.weights, atol=1e-6)
    (asked,), (not_asked,) = (one.describe_pixels(pixels[:1], ["a dog"]) for one in (model, plain))
    same = np.isclose(asked.logprobs, not_asked.logprobs, atol=1e-5)
    assert same.tolist() == [True, False]  # "a" names no kind


@torch.inference_mode()
@pytest.mark.parametrize("mode", SCORES)
def test_a_state_knows_what_its_sentence_has_named(mode: str) -> None:
    """Step by step, with beams that take each other's place, and all at once: the same logits."""
    model = asking(mode, 2)
    decoder, channels = model.decoder, model.config.channels
    values = torch.rand(1, 4, channels + len(KINDS), generator=torch.Generator().manual_seed(0))
    dog, grass, cat, a = VOCABULARY.encode(["dog", "grass", "cat", "a"])
    features, state = decoder.prepare(values), decoder.start(values, 2)
    _, state = decoder(features, state, torch.tensor([[[dog], [grass]]]))
    output, state = decoder(features, state.select(torch.tensor([1, 0])), torch.tensor([[[cat], [a]]]))
    for beam, sentence in enumerate([[grass, cat], [dog, a]]):
        whole, _ = decoder(features, decoder.start(values), torch.tensor([[sentence]]))
        torch.testing.assert_close(output.logits[0, beam], whole.logits[0, -1], rtol=1e-4, atol=1e-5)
    last, _ = decoder(features, state.select(torch.tensor([1, 1])), torch.tensor([[[cat], [dog]]]))
    for beam, word in enumerate([cat, dog]):
        whole, _ = decoder(features, decoder.start(values), torch.tensor([[[dog, a, word]]]))
        torch.testing.assert_close(last.logits[0, beam], whole.logits[0, -1], rtol=1e-4, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("mode", SCORES)
def test_the_search_knows_what_each_beam_has_named(mode: str) -> None:
    """A search that keeps all beginnings, beside all 258 sentences of three words at most, each read anew."""
    model = asking(mode, 8, 1.0)
    assert isinstance(model.decoder, Decoder)
    assert model.decoder.kinds is not None
    named = model.decoder.kinds.words
    model.decoder.bias[named] += 2.0  # so that things are named, and more than one
    model.decoder.bias[END] -= 2.0
    pixels = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    values, decoder = model.encode(pixels), model.decoder
    numbers = VOCABULARY.encode(WORDS)
    best, said = -np.inf, list[int]()
    for length in (1, 2, 3):
        for sentence in itertools.product(numbers, repeat=length):
            read = torch.tensor([[[START, *sentence]]])
            logprobs = decoder(decoder.prepare(values), decoder.start(values), read)[0].logits[0].log_softmax(-1)
            ids = [*sentence, END]
            score = float(sum(logprobs[step, word] for step, word in enumerate(ids))) / length**LENGTH_POWER
            if score > best:
                best, said = score, list(sentence)
    assert beam_search(decoder, values, 40, longest=3) == [said]
    assert len(set(said) & set(named)) > 0


def test_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    model = asking(strength=0.2)
    save_checkpoint(model, tmp_path / "m.safetensors")
    other = load_checkpoint(tmp_path / "m.safetensors")
    assert other.config.kinds == KINDS
    assert other.fingerprint() != Captioner.tiny("concat", 0, WORDS).fingerprint()
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    (own,), (read,) = (one.describe_pixels(pixels, ["a dog"]) for one in (model, other))
    np.testing.assert_allclose(read.logprobs, own.logprobs, atol=0.02)  # half precision
    without = ModelConfig("concat")
    assert "kinds" not in without.to_dict()  # attnviz 0.1 reads it
    assert ModelConfig.from_dict(dataclasses.asdict(without) | {"kinds": [["a"], []]}).kinds == (("a",), ())


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        ([["horse"]], "'horse' names a kind and is not in the vocabulary"),
        ([["<unk>"]], "'<unk>' names a kind and is not in the vocabulary"),
        ("dog", "kinds must be lists of words"),
        (["dog"], "kinds must be lists of words"),
        ([[1]], "kinds must be lists of words"),
        ([["a"]] * 1025, "kinds must be lists of words, 1024 at most"),
    ],
)
def test_kinds_that_are_none(kinds: object, says: str) -> None:
    model = Captioner.tiny("concat", 0, WORDS)
    with pytest.raises(ModelError, match=says):
        ask(model, kinds, torch.nn.Conv2d(model.backbone.channels[-1], 1, 1))  # type: ignore[arg-type]
    assert model.config.kinds == ()
    with pytest.raises(ModelError, match="kinds are for the decoder two-lstm alone"):
        ModelConfig.from_dict({"decoder": "show-attend-tell", "kinds": [["dog"]]})
