"""What a backbone saw of a photo serves every network that shares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from attnviz.captioner import Captioner
from attnviz.network import Asked, Prepared, Seeing
from attnviz.photo.image import Photo

if TYPE_CHECKING:
    from attnviz.trace import Trace

MODES = ("concat", "channel-general", "flat-concat")


def photos(count: int) -> list[Photo]:
    random = np.random.default_rng(3)
    return [Photo(random.integers(0, 256, (40, 60, 3), dtype=np.uint8), f"{i}.png", None) for i in range(count)]


def prepared(network: Captioner, count: int = 3) -> list[Prepared]:
    return [network.prepare(photo) for photo in photos(count)]


def same(one: Trace, other: Trace) -> bool:
    assert one.logprobs is not None
    assert other.logprobs is not None
    alike = np.array_equal(one.weights, other.weights) and np.array_equal(one.logprobs, other.logprobs)
    return alike and one.tokens == other.tokens and one.settings == other.settings


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "asked", [Asked(), Asked("a dog runs"), Asked("a cat", map="gradient"), Asked("a", hard="argmax")]
)
def test_a_photo_that_was_seen_is_described_as_the_photo_itself(mode: str, asked: Asked) -> None:
    network = Captioner.tiny(mode)
    assert isinstance(network, Seeing)
    for one, seen in zip(prepared(network), network.see(prepared(network)), strict=True):
        assert seen.nbytes > 0
        (plain,), (found,) = network.describe([one], asked), network.describe([seen], asked)
        assert same(plain, found)


@pytest.mark.parametrize("mode", MODES)
def test_the_same_words_in_a_batch_differ_in_the_last_bits_alone(mode: str) -> None:
    network, asked = Captioner.tiny(mode), Asked("a dog runs on grass")
    plain = network.describe(prepared(network, 11), asked)
    found = network.describe(network.see(prepared(network, 11)), asked)
    assert [one.image.name for one in found if one.image] == [f"{i}.png" for i in range(11)]
    for one, other in zip(plain, found, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, rtol=1e-4, atol=1e-7)
        assert one.logprobs is not None
        assert other.logprobs is not None
        np.testing.assert_allclose(one.logprobs, other.logprobs, rtol=1e-4)
    # Other words for each are read one by one.
    two, pair = Asked(("a dog runs", "a cat")), prepared(network, 2)
    for one, other in zip(network.describe(pair, two), network.describe(network.see(pair), two), strict=True):
        assert same(one, other)


def test_networks_that_share_a_backbone_have_equal_eyes_and_can_read_what_the_other_saw() -> None:
    one, other, third = Captioner.tiny("concat"), Captioner.tiny("general"), Captioner.tiny("concat", seed=1)
    assert one.eyes() == other.eyes() != third.eyes()
    asked = Asked("a dog runs")
    for mine, theirs in zip(other.see(prepared(other)), one.see(prepared(one)), strict=True):
        assert same(*other.describe([mine], asked), *other.describe([theirs], asked))


@pytest.mark.parametrize(("mode", "layers"), [("concat", 4), ("dot", 3)])
def test_copies_share_the_backbone_until_its_turn_comes(mode: str, layers: int) -> None:
    network = Captioner.tiny(mode)
    before, eyes = network.fingerprint(), network.eyes()
    found = dict(network.randomised(seed=1, coarse=True))
    assert list(found) == ["attention", "query LSTM", "fuse", "encoder"][4 - layers :]
    for name, other in found.items():
        assert (other.backbone is network.backbone) == (name != "encoder")
        assert (other.eyes() == eyes) == (name != "encoder")
    assert network.unfocused().backbone is network.backbone
    assert len({other.fingerprint() for other in found.values()} | {before}) == layers + 1
    assert network.fingerprint() == before
    kept = {name for name, _ in network.named_parameters()}
    for name, other in [("attention", network.unfocused()), *found.items()]:
        mine, theirs = dict(network.named_parameters()), dict(other.named_parameters())
        shared = {key for key in kept & set(theirs) if mine[key] is theirs[key]}
        # The language LSTM comes after the attention: nobody copies it.
        assert {key for key in kept if key.startswith("decoder.speak")} <= shared
        assert bool({key for key in kept if key.startswith("fuse")} & shared) == (name not in ("fuse", "encoder"))
    fine = list(network.randomised(seed=1))
    assert len(fine) > layers
    assert fine[-1][1].eyes() != eyes
    # The same places until the encoder's turn comes.
    assert fine[layers - 2][1].fingerprint() == found["fuse"].fingerprint()
