"""The decoder and the search: one step at a time equals all at once; beam search against exhaustive search."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from attnviz.captioner import Captioner
from attnviz.captioner.attention import SCORES
from attnviz.captioner.search import Links, beam_search
from attnviz.captioner.vocabulary import END, PAD, SPECIAL, START, UNKNOWN, Vocabulary
from attnviz.errors import ModelError
from attnviz.network import Asked


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", SCORES)
def test_steps_one_by_one_equal_all_at_once(mode: str) -> None:
    model = Captioner.tiny(mode)
    with torch.inference_mode():
        values = model.encode(pixels(2))
        features = model.decoder.prepare(values)
        words = torch.tensor([[[START, 4, 5, 6]], [[START, 7, 8, 9]]])
        together, _ = model.decoder(features, model.decoder.start(values), words)
        state = model.decoder.start(values)
        for t in range(4):
            one, state = model.decoder(features, state, words[:, :, t : t + 1])
            torch.testing.assert_close(one.logits[:, 0], together.logits[:, t])
            torch.testing.assert_close(one.attended.weights[:, 0], together.attended.weights[:, t])


@pytest.mark.parametrize("mode", SCORES)
def test_a_step_knows_earlier_words_only(mode: str) -> None:
    model = Captioner.tiny(mode)
    first, second = model.describe_pixels(np.repeat(pixels(1), 2, 0), ["a dog runs", "a dog on"])
    np.testing.assert_allclose(first.weights, second.weights, atol=1e-6)
    np.testing.assert_allclose(first.logprobs[:2], second.logprobs[:2], atol=1e-6)


def sentence_logprob(model: Captioner, values: torch.Tensor, words: tuple[int, ...]) -> float:
    """Of the words and the end, step by step; the search forbids the unknown word, start and padding."""
    read = torch.tensor([[[START, *words]]])
    output, _ = model.decoder(model.decoder.prepare(values), model.decoder.start(values), read)
    logprobs = output.logits[0].log_softmax(-1)
    return float(sum(logprobs[t, word] for t, word in enumerate([*words, END])))


def test_wide_beam_finds_what_exhaustive_search_finds() -> None:
    model = Captioner.tiny(words=("a", "b", "c"))
    with torch.inference_mode():
        values = model.encode(pixels(3, seed=5))
        found = beam_search(model.decoder, values, beam=27, longest=3, length_power=0.7)
        for image in range(3):
            every = [words for n in (1, 2, 3) for words in itertools.product((4, 5, 6), repeat=n)]
            value = {
                words: sentence_logprob(model, values[image : image + 1], words) / len(words) ** 0.7 for words in every
            }
            assert tuple(found[image]) == max(value, key=value.__getitem__)


def test_one_beam_is_greedy() -> None:
    model, lengths = Captioner.tiny(seed=4), set()
    with torch.inference_mode():
        values = model.encode(pixels(2, seed=2))
        bias = model.state_dict()["decoder.bias"]
        bias[END] -= 0.4
        for _ in range(8):  # the end comes sooner and sooner
            bias[END] += 0.1
            found = beam_search(model.decoder, values, beam=1, longest=8)
            lengths |= set(map(len, found))
            for image in range(2):
                one, words = values[image : image + 1], [START]
                while len(words) <= 8:
                    output, _ = model.decoder(
                        model.decoder.prepare(one), model.decoder.start(one), torch.tensor([[words]])
                    )
                    logits = output.logits[0, -1].clone()
                    logits[[0, START, UNKNOWN, *([END] if len(words) == 1 else [])]] = -torch.inf
                    if int(logits.argmax()) == END:
                        break
                    words.append(int(logits.argmax()))
                assert found[image] == words[1:]
    assert len(lengths) > 1  # else the test says nothing about the end


@pytest.mark.parametrize("mode", SCORES)
def test_picked_positions_equal_all_of_them(mode: str) -> None:
    model = Captioner.tiny(mode)
    with torch.inference_mode():
        values = model.encode(pixels(2))
        features = model.decoder.prepare(values)
        words = torch.tensor([[[START, 4, 5], [START, 6, 0]], [[START, 7, 0], [START, 8, 9]]])
        pick = torch.tensor([[0, 1, 2, 3, 4], [0, 1, 3, 4, 5]])  # all but padding
        every, _ = model.decoder(features, model.decoder.start(values, 2), words)
        some, _ = model.decoder(features, model.decoder.start(values, 2), words, pick=pick)
        for image in range(2):
            torch.testing.assert_close(some.logits[image], every.logits[image, pick[image]])
            torch.testing.assert_close(some.attended.weights[image], every.attended.weights[image, pick[image]])


def test_a_photo_does_not_depend_on_its_neighbours() -> None:
    model = Captioner.tiny(seed=1)
    many = model.describe_pixels(pixels(5), beam=3)
    for i in range(5):
        (alone,) = model.describe_pixels(pixels(5)[i : i + 1], beam=3)
        assert alone.tokens == many[i].tokens
        np.testing.assert_allclose(alone.weights, many[i].weights, atol=1e-5)


@pytest.mark.parametrize("mode", SCORES)
@pytest.mark.parametrize("hard", [None, "argmax", "sample"])
def test_an_image_gets_the_same_bits_whatever_its_neighbours(mode: str, hard: Any) -> None:
    model = Captioner.tiny(mode, seed=3)
    with torch.no_grad():
        model.state_dict()["decoder.embed.weight"] *= 6  # captions of many lengths
    values = 4 * torch.randn(12, 4, model.config.channels, generator=torch.Generator().manual_seed(1))
    random = np.random.default_rng(0)

    def bits(chosen: np.ndarray | list[int], beam: int) -> list[tuple[object, ...]]:
        images = values[chosen]
        found = model.follow(images, model.write(images, beam, hard), hard)
        return [(one.tokens, one.weights.tobytes(), one.logprobs.tobytes()) for one in found]

    for beam in (1, 3):
        known = [bits([i], beam)[0] for i in range(len(values))]
        assert len({tokens for tokens, *_ in known}) > 1
        for count in (2, 3, 5, 7, 16):
            chosen = random.integers(0, len(values), count)
            assert bits(chosen, beam) == [known[i] for i in chosen]


def test_threads_change_no_bit_and_are_left_as_they_were() -> None:
    model, before = Captioner.tiny(seed=3), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append([(one.tokens, one.weights.tobytes()) for one in model.describe_pixels(pixels(7), beam=2)])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_rounding_decides_nothing() -> None:
    """Two words that are equal but for the last bits, at every step: what is found alone is found in any batch."""
    model = Captioner.tiny("general", seed=3)
    with torch.inference_mode():
        model.state_dict()["decoder.embed.weight"] *= 6
        for name, factor in (("embed.weight", 1 + 1e-7), ("bias", 1)):
            rows = model.state_dict()[f"decoder.{name}"]
            rows[4::2] = rows[5::2] * factor
        values = 4 * torch.randn(15, 4, model.config.channels, generator=torch.Generator().manual_seed(1))
        alone = [beam_search(model.decoder, values[i : i + 1], 2)[0] for i in range(len(values))]
        for order in torch.stack([torch.randperm(15, generator=torch.Generator().manual_seed(n)) for n in range(10)]):
            assert beam_search(model.decoder, values[order], 2) == [alone[i] for i in order]


def test_a_fingerprint_is_that_of_the_weights_and_words() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {},
        {"seed": 1},
        {"mode": "general"},
        {"words": ("a", "b", "c", "d", "e", "f")},
    ]
    prints = [Captioner.tiny(**change).fingerprint() for change in changes]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


@pytest.mark.parametrize("mode", SCORES)
def test_descriptions_are_distributions(mode: str) -> None:
    for one in Captioner.tiny(mode).describe_pixels(pixels(2), beam=2):
        steps = len(one.tokens)
        assert one.weights.shape == (steps, 2, 2)
        assert one.weights.dtype == np.float32
        np.testing.assert_allclose(one.weights.sum((1, 2)), 1, atol=1e-5)
        assert one.logprobs.shape == (steps,)
        assert (one.logprobs <= 0).all()
        assert not set(one.tokens) & set(SPECIAL)
        if mode.startswith("channel"):
            assert one.scores is None
            assert one.channel_weights is not None
            np.testing.assert_allclose(one.channel_weights.sum(1), 1, atol=1e-5)
        elif mode != "flat-concat":
            softmax = np.exp(one.scores) / np.exp(one.scores).sum((1, 2), keepdims=True)  # type: ignore[arg-type]
            np.testing.assert_allclose(one.weights, softmax, atol=1e-6)


@pytest.mark.parametrize("mode", SCORES)
def test_hard_sampling_repeats_with_its_seed(mode: str) -> None:
    model = Captioner.tiny(mode)
    first, again, other = (model.describe_pixels(pixels(2), beam=2, hard="sample", seed=s) for s in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        assert a.tokens == b.tokens
        assert np.array_equal(a.weights, b.weights)
    if not mode.startswith("channel"):
        assert all(set(np.unique(a.weights)) == {0, 1} for a in first)
        assert any(
            a.weights.shape != b.weights.shape or not np.array_equal(a.weights, b.weights)
            for a, b in zip(first, other, strict=True)
        )


def test_hard_search_and_reading_see_the_same_cells() -> None:
    """The words found with drawn cells have, read over the same cells, the likelihood that greedy search maximised."""
    model = Captioner.tiny(seed=3)
    (found,) = model.describe_pixels(pixels(1), beam=1, hard="sample", seed=7)
    (read,) = model.describe_pixels(pixels(1), [" ".join(found.tokens)], hard="sample", seed=7)
    assert np.array_equal(found.weights, read.weights)
    np.testing.assert_allclose(found.logprobs, read.logprobs, atol=1e-6)


def test_given_words_are_shown_as_typed() -> None:
    (one,) = Captioner.tiny().describe_pixels(pixels(1), ["A DOG, zebra -- runs!"])
    assert one.tokens == ("A", "DOG,", "zebra", "runs!")
    assert one.unknown == ("zebra",)


def test_given_words_are_composed() -> None:
    """A keyboard or file of macOS may give e and its accent as two characters: the word is one, and the same."""
    (one,) = Captioner.tiny().describe_pixels(pixels(1), ["a cafe\u0301 dog"])
    assert one.tokens == ("a", "caf\u00e9", "dog")
    assert Asked(text="cafe\u0301") == Asked(text="caf\u00e9")
    assert Asked(text=["cafe\u0301", "a"]).text == ("caf\u00e9", "a")


@pytest.mark.parametrize("text", ["", "  ", "... !"])
def test_a_text_without_words_is_an_error(text: str) -> None:
    with pytest.raises(ModelError, match="no word"):
        Captioner.tiny().describe_pixels(pixels(1), [text])


def test_a_text_of_endless_words_is_an_error() -> None:
    with pytest.raises(ModelError, match="201 words"):
        Captioner.tiny().describe_pixels(pixels(1), ["dog " * 201])


@pytest.mark.parametrize("beam", [0, -1, 101])
def test_the_number_of_beams_is_bounded(beam: int) -> None:
    with pytest.raises(ModelError, match="whole number from 1 to 100"):
        Captioner.tiny().describe_pixels(pixels(1), beam=beam)


def test_vocabulary_counts_normalised_words() -> None:
    vocabulary = Vocabulary.build([["A", "dog", "."], ["a", "Dog", "'s"], ["a", "cat"]], minimum=2)
    assert vocabulary.words == (*SPECIAL, "a", "dog")
    assert vocabulary.encode(["dog", "cat", "<end>"]) == [5, UNKNOWN, UNKNOWN]
    assert vocabulary.decode([START, 4, 5, END, 4]) == ["a", "dog"]


def test_vocabulary_keeps_punctuation_that_it_knows() -> None:
    vocabulary = Vocabulary((*SPECIAL, "'s", "s", "t-shirt", "dog"))
    assert vocabulary.split("Dog's 's t-shirt. (dog)") == [
        ("Dog's", "dog's"),
        ("'s", "'s"),
        ("t-shirt.", "t-shirt"),
        ("(dog)", "dog"),
    ]


def test_vocabulary_without_specials_is_refused() -> None:
    with pytest.raises(ModelError, match="starts with"):
        Vocabulary(("a", "b"))


def test_no_word_is_joined_with_itself() -> None:
    joining, article, the, dog, cat = 4, 5, 6, 7, 8
    links = Links(joining, (article, the))

    def said(*words: int) -> set[int]:
        return set(links.said(torch.tensor([[words]])).flatten().tolist()) - {PAD}

    assert said(dog, cat, joining) == {cat}  # "dog cat and" must not go on with "cat"
    assert said(cat, joining, article) == {cat}  # nor "cat and a" with "cat"
    assert said(joining, article) == set()
    assert said(article, dog, cat) == set()
    assert said(article, dog, cat, article) == {dog}  # nor "a dog cat a" with "dog"
    assert said(article, dog, cat, the) == set()  # but "a dog cat the dog" may be
    assert said(article, dog, article, cat, the, cat, article) == {dog, cat}
    both = torch.tensor([[[article, dog, article], [dog, cat, joining]], [[dog, dog, dog], [cat, joining, the]]])
    banned = [[set(row) - {PAD} for row in image] for image in links.said(both).tolist()]
    assert banned == [[{dog}, {cat}], [set(), {cat}]]

    words = ("and", "a", "dog", "cat")
    joined = {True: 0, False: 0}
    for seed in range(40):
        model = Captioner.tiny("general", seed=seed, words=words)
        values = torch.rand(4, 4, 6, generator=torch.Generator().manual_seed(seed))
        for linked in joined:
            asked = Links.of(model.vocabulary) if linked else None
            with torch.inference_mode():
                found = beam_search(model.decoder, values, 2, 12, links=asked)
            texts = [f" {' '.join(model.vocabulary.decode(ids))} " for ids in found]
            bad = [f" {w} and {j}{w} " for w in ("dog", "cat") for j in ("", "a ")]
            joined[linked] += sum(any(one in text for one in bad) for text in texts)
            joined[linked] += sum(text.count(f" a {w} ") > 1 for text in texts for w in words)
    assert joined[True] == 0
    assert joined[False] > 0  # or else the rule would not have been needed


def test_other_languages_have_no_links() -> None:
    links = Links.of(Vocabulary((*SPECIAL, "hund", "und", "ein")))
    assert not links.said(torch.tensor([[[4, 5, 4], [5, 6, 5]]])).any()  # PAD is 0
