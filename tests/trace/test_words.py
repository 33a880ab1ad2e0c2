"""Pieces become words, whatever the tokenizer: real ones of each family, trained here on a few sentences."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import attnviz
from attnviz.trace import Trace
from attnviz.trace.words import WINDOW, piece_texts, pieces_of, words_of

SENTENCES = [
    "a dog runs across the grass while the children are watching it",
    "ein Hündchen läuft über die Wiese",
    "一只狗在草地上奔跑",
    "two dogs 🐶🐕 and 👩‍🚀 play",
    "Stop, don't run!",
]


def byte_level() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    return made


def sentence_piece() -> Tokenizer:
    """As Llama's: leading spaces as "▁", and bytes for what the vocabulary lacks."""
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=310, special_tokens=["<unk>", *fallback], limit_alphabet=40)
    made.train_from_iterator(SENTENCES[:2], trainer)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return made


def word_piece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=120, special_tokens=["<unk>"]))
    return made


TOKENIZERS = {"byte-level": byte_level(), "SentencePiece": sentence_piece(), "WordPiece": word_piece()}


def read(tokenizer: Tokenizer, text: str) -> tuple[list[int], Callable[[list[int]], str]]:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return ids, lambda some: str(tokenizer.decode(some, skip_special_tokens=False))


def words(texts: Sequence[str]) -> list[str]:
    groups: dict[int, str] = {}
    for text, word in zip(texts, words_of(texts).tolist(), strict=True):
        groups[word] = groups.get(word, "") + text
    return [text.strip() for text in groups.values()]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("sentence", [SENTENCES[0], SENTENCES[1]])
def test_words_of_plain_sentences_are_those_between_spaces(kind: str, sentence: str) -> None:
    ids, decode = read(TOKENIZERS[kind], sentence)
    pieces = pieces_of(ids, decode)
    assert "".join(pieces.texts) == sentence
    assert words(pieces.texts) == sentence.split()
    assert len(ids) > len(sentence.split())  # there was something to join
    assert pieces.words.dtype == np.int32


@pytest.mark.parametrize("kind", ["byte-level", "SentencePiece"])
def test_a_character_of_several_pieces_belongs_to_the_last_of_them(kind: str) -> None:
    ids, decode = read(TOKENIZERS[kind], SENTENCES[3])
    texts = piece_texts(ids, decode)
    assert "".join(texts) == SENTENCES[3]
    assert "" in texts
    assert not any("\ufffd" in text for text in texts)
    assert words(texts) == SENTENCES[3].split()
    dog = next(index for index, text in enumerate(texts) if "🐶" in text)
    cut = piece_texts(ids[:dog], decode)  # the sentence ends in the middle of a character
    assert "".join(cut).endswith("\ufffd")


@pytest.mark.parametrize("kind", ["byte-level", "SentencePiece"])
def test_chinese_is_shown_piece_by_piece(kind: str) -> None:
    ids, decode = read(TOKENIZERS[kind], SENTENCES[2])
    pieces = pieces_of(ids, decode)
    assert "".join(pieces.texts) == SENTENCES[2]
    assert words(pieces.texts) == [text for text in pieces.texts if text]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["a", " dog"], ["a", "dog"]),
        ([" a", " d", "og", "s"], ["a", "dogs"]),
        (["dog", ",", " run", "s", "."], ["dog", ",", "runs", "."]),
        (["St", "op", "!", "!", '"', " he"], ["Stop", '!!"', "he"]),
        (["don", "'", "t"], ["don't"]),
        (["3", ".", "5", "%"], ["3.5%"]),
        (["black", "-", "and", "-", "white"], ["black-and-white"]),
        (["a", " ", "dog"], ["a", "dog"]),  # a piece of space alone
        (["a", "\n", "\n", "dog", "\n"], ["a", "dog"]),
        (["", "", "🐶", " runs"], ["🐶", "runs"]),
        (["👩", "\u200d", "🚀"], ["👩‍🚀"]),
        (["", "狗", "在", "。"], ["狗", "在", "。"]),
        (["3", "只", "dogs"], ["3", "只", "dogs"]),
        (["フリス", "ビー", "を"], ["フリスビー", "を"]),
        (["กิ", "น", "\u0e49", "ำ"], ["กิ", "น\u0e49", "ำ"]),  # a tone mark stays with its letter
        (["개가", " 달", "린다"], ["개가", "달린다"]),
        ([" "], [""]),
        (["", ""], [""]),
    ],
)
def test_where_words_begin(texts: list[str], expected: list[str]) -> None:
    assert words(texts) == expected


def test_what_a_decoder_takes_back_is_taken_back() -> None:
    """Some decoders remove the space before a comma once they see it."""
    parts = ["a", " dog", " ", ",", " runs"]
    texts = piece_texts(range(5), lambda ids: "".join(parts[i] for i in ids).replace(" ,", ","))
    assert texts == ("a", " dog", "", ",", " runs")
    assert words(texts) == ["a", "dog", ",", "runs"]


@settings(max_examples=30)
@given(
    st.lists(
        st.sampled_from([*"abc äß狗在🐶é", "dog ", "the ", "\u200d", " "]), min_size=WINDOW, max_size=3 * WINDOW
    ).map("".join)
)
def test_the_window_changes_nothing(text: str) -> None:
    """Decoding a window gives what decoding the whole sentence for each piece gives."""
    for kind in ("byte-level", "SentencePiece"):
        ids, decode = read(TOKENIZERS[kind], text)
        texts = piece_texts(ids, decode)
        assert len(texts) == len(ids)
        assert "".join(texts) == decode(ids)
        for end in {len(ids) // 3, len(ids) // 2}:
            if end and texts[end - 1]:
                assert "".join(texts[:end]) == decode(ids[:end])


def test_long_texts_take_time_in_proportion() -> None:
    calls: list[int] = []

    def decode(ids: list[int]) -> str:
        calls.append(len(ids))
        return "x" * len(ids)

    piece_texts(range(5000), decode)
    assert sum(calls) < 5000 * WINDOW * 1.1


def pieces_trace(**fields: Any) -> Trace:
    generator = np.random.default_rng(3)
    weights = generator.dirichlet(np.full(12, 0.4), 5).reshape(5, 3, 4).astype(np.float32)
    known = {
        "logprobs": np.log(generator.uniform(0.1, 1, 5)),
        "scores": generator.normal(size=(5, 3, 4)),
        "channel_weights": generator.dirichlet(np.ones(6), 5),
        "on_image": generator.uniform(0, 1, 5),
        "words": np.array([0, 1, 1, 1, 2]),
        "model": "m",
    }
    return Trace(weights, (" two", " hü", "nd", "chen", "."), **{**known, **fields})


def test_joined_words_are_the_means_of_their_pieces() -> None:
    pieces = pieces_trace()
    joined = pieces.joined()
    assert joined.tokens == ("two", "hündchen", ".")
    assert joined.caption == pieces.caption == "two hündchen."
    assert (joined.words, joined.scores, joined.model, joined.version) == (None, None, "m", pieces.version)
    for word, members in enumerate([[0], [1, 2, 3], [4]]):
        for name in ("weights", "channel_weights", "on_image"):
            values = [getattr(pieces, name)[piece].astype(float) for piece in members]
            np.testing.assert_allclose(getattr(joined, name)[word], sum(values) / len(values), atol=1e-7)
        assert joined.logprobs is not None
        assert pieces.logprobs is not None
        assert joined.logprobs[word] == pytest.approx(sum(float(pieces.logprobs[piece]) for piece in members))
    assert joined.joined() is joined
    bare = pieces_trace(logprobs=None, scores=None, channel_weights=None, on_image=None).joined()
    assert (bare.logprobs, bare.channel_weights, bare.on_image) == (None, None, None)


def test_pictures_show_words_unless_pieces_are_asked_for(tmp_path: Path) -> None:
    photo, pieces = np.full((30, 40, 3), 90, np.uint8), pieces_trace()
    for asked, tokens in ((False, ["two", "hündchen", "."]), (True, [" two", " hü", "nd", "chen", "."])):
        files = attnviz.draw(pieces, photo, tmp_path / "out", formats="png", pieces=asked)
        assert len(files) == len(tokens) + 2
        assert [step["token"] for step in json.loads(files[-1].read_bytes())["trace"]["steps"]] == tokens
        assert Trace.load(files[-2]).tokens == pieces.tokens  # the file keeps all
        certain = pieces_trace(logprobs=None)
        titles = [axes.get_title().strip() for axes in attnviz.figure(certain, photo, pieces=asked).axes]
        assert [title for title in titles if title] == ["photo", *(token.strip() for token in tokens)]


def test_no_pieces_are_no_words() -> None:
    empty = Trace(np.zeros((0, 3, 4), np.float32), (), words=np.zeros(0, np.int32), on_image=np.zeros(0, np.float32))
    assert (empty.joined().tokens, empty.joined().words, empty.caption) == ((), None, "")
