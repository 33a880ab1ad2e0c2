"""Sentences that must name a thing, against exhaustive search; and what training makes of them."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import config, make_split, quiet

from attnviz.captioner import Captioner, load_checkpoint
from attnviz.captioner.search import Links
from attnviz.captioner.vocabulary import END, SPECIAL, START, UNKNOWN
from attnviz.data import Caption, Record
from attnviz.errors import DataError
from attnviz.photo.frame import Frame
from attnviz.train import DataConfig, fit
from attnviz.train.batches import lesson
from attnviz.train.corpus import rewrite, teachable
from attnviz.train.writer import LENGTH_POWER, MARGIN, naming_words, search_naming, write_captions, written

WORDS = ("a", "cat", "dogs", "red")
FIRST = len(SPECIAL)


def tiny(seed: int = 0) -> Captioner:
    return Captioner.tiny("general", seed, WORDS)


def values_of(model: Captioner, images: int) -> torch.Tensor:
    return torch.randn(images, 4, model.config.channels, generator=torch.Generator().manual_seed(images))


def every_score(model: Captioner, values: torch.Tensor, longest: int) -> dict[tuple[int, ...], float]:
    """Each sentence of at most `longest` words over one image -> its score, one sentence at a time."""
    scores = {}
    for length in range(1, longest + 1):
        for words in itertools.product(range(FIRST, FIRST + len(WORDS)), repeat=length):
            read = torch.tensor([[[START, *words]]])
            with torch.inference_mode():
                output, _ = model.decoder(model.decoder.prepare(values), model.decoder.start(values), read)
            logprobs = output.logits.log_softmax(-1)[0].numpy()
            total = sum(logprobs[step, word] for step, word in enumerate((*words, END)))
            scores[words] = total / length**LENGTH_POWER
    return scores


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_search_finds_the_best_sentence_with_the_word(seed: int) -> None:
    model = tiny(seed)
    values = values_of(model, 3)
    must = torch.zeros(3, len(model.vocabulary), dtype=torch.bool)
    must[0, FIRST + 1] = must[1, FIRST + 2] = must[2, [FIRST, FIRST + 3]] = True
    found, scores = search_naming(model.decoder, values, must, beam=64, shortest=1, longest=3)
    for image, (words, score) in enumerate(zip(found, scores, strict=True)):
        every = every_score(model, values[image : image + 1], 3)
        naming = {one: value for one, value in every.items() if must[image, list(one)].any()}
        assert tuple(words) == max(naming, key=naming.__getitem__)
        assert score == pytest.approx(naming[tuple(words)], abs=1e-5)


def test_a_narrow_search_names_too_and_joins_no_word_with_itself() -> None:
    model = Captioner.tiny("general", 1, (*WORDS, "and", "the"))
    must = torch.zeros(5, len(model.vocabulary), dtype=torch.bool)
    must[:, FIRST + 2] = True
    found, scores = search_naming(model.decoder, values_of(model, 5), must, 2, 4, 9, Links.of(model.vocabulary))
    assert all(FIRST + 2 in words for words in found)
    assert all(4 <= len(words) <= 9 for words in found)
    assert all(np.isfinite(scores))
    texts = [" ".join(model.vocabulary.decode(words)) for words in found]
    assert not any(f"{word} and {word}" in text for text in texts for word in (*WORDS, "the"))


def test_some_words_are_never_used() -> None:
    model = tiny(2)
    values, must = values_of(model, 4), torch.zeros(4, len(model.vocabulary), dtype=torch.bool)
    must[:, FIRST + 1] = True
    said = {word for words in search_naming(model.decoder, values, must, 3, 5, 9)[0] for word in words}
    barred = min(said - {FIRST + 1})
    found, scores = search_naming(model.decoder, values, must, 3, 5, 9, never=[barred])
    assert all(barred not in words and FIRST + 1 in words for words in found)
    assert all(np.isfinite(scores))


def test_naming_words_are_those_the_model_knows() -> None:
    vocabulary = Captioner.tiny(words=("phone", "cats", "cat")).vocabulary
    assert vocabulary.decode(naming_words("cell phone", vocabulary)) == ["phone"]
    assert sorted(vocabulary.decode(naming_words("cat", vocabulary))) == ["cat", "cats"]
    assert naming_words("zebra", vocabulary) == []


class Maps:
    """Feature maps of any number of photos, from their row numbers."""

    def __init__(self, model: Captioner) -> None:
        self.channels = model.backbone.channels

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        every = [np.random.default_rng([7, row]).standard_normal((sum(self.channels), 2, 2)) for row in rows]
        ends = np.cumsum(self.channels)[:-1]
        return tuple(torch.from_numpy(part).float() for part in np.split(np.stack(every), ends, 1))


def test_each_sentence_names_a_thing_of_its_photo() -> None:
    model = tiny()
    objects = [("cat", "dog", "person"), ("person",), ("zebra",), ("cat", "dog"), (), ("cat",)]
    sentences = write_captions(model, Maps(model), objects, quiet)
    assert [bool(one) for one in sentences[:5]] == [True, False, False, True, False]
    assert not any("dogs" in text for text in sentences[5])
    for things, texts in zip(objects, sentences, strict=True):
        for text in texts:
            assert any(word in text.split() for thing in things for word in (thing, thing + "s"))
    # Which photos stand beside one in its batch does not matter.
    assert write_captions(model, Maps(model), [*objects[:5], ("dog",)], quiet)[:5] == sentences[:5]


def test_what_is_hard_to_say_of_a_photo_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([-1.0, -1.0 - 0.9 * MARGIN, -1.0 - 1.1 * MARGIN])
    texts = iter(["a cat", "two dogs", "a bird"])
    monkeypatch.setattr(
        "attnviz.train.writer._search", lambda model, inputs, asked: [(next(texts), next(scores)) for _ in asked]
    )
    model = Captioner.tiny(words=("cat", "dogs", "bird"))
    assert write_captions(model, Maps(model), [("cat", "dog", "bird")], quiet) == [["a cat", "two dogs"]]


def test_a_part_of_a_name_is_not_the_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "attnviz.train.writer._search", lambda model, inputs, asked: [("a light blue shirt", -1.0) for _ in asked]
    )
    model = Captioner.tiny(words=("light", "traffic"))
    assert write_captions(model, Maps(model), [("traffic light",)], quiet) == [[]]


def test_what_names_another_thing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = iter(["a dog on a bench", "a bench in a park", "a hot dog", "a computer on it"])
    monkeypatch.setattr(
        "attnviz.train.writer._search", lambda model, inputs, asked: [(next(texts), -1.0) for _ in asked]
    )
    model = Captioner.tiny(words=("dog", "bench", "computer", "laptop"))
    objects = [("dog", "person"), ("bench",), ("hot dog",), ("laptop",)]
    # There is no bench; but a hot dog is no dog, and a computer may be the laptop.
    kept = [[], ["a bench in a park"], ["a hot dog"], ["a computer on it"]]
    assert write_captions(model, Maps(model), objects, quiet) == kept
    texts = iter(["a laptop and a cup", "a cup"])
    objects = [("laptop",), ("cup",)]
    model = Captioner.tiny(words=("cup", "laptop"))
    assert write_captions(model, Maps(model), objects, quiet) == [[], ["a cup"]]


def test_only_undescribed_photos_are_written_about_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"captions": [{"tokens": ["Red"]}], "objects": ["cat"]}
    split = teachable(make_split(tmp_path, "some", said, {"objects": ["cat"]}, {"objects": ["person"]}))
    model = tiny()
    found = written(split, model, tmp_path / "kept", quiet)
    assert list(found) == ["some1.png"]
    assert not any(caption.listed for caption in found["some1.png"])
    captions = [record.captions for record in rewrite(split, found)]
    assert captions == [split[0].captions, found["some1.png"], split[2].captions]
    assert [one[0].listed for one in captions] == [False, False, True]

    def never(*args: object) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr("attnviz.train.writer.write_captions", never)
    assert written(split, model, tmp_path / "kept", quiet) == found
    with pytest.raises(AssertionError, match="written again"):
        written(split, tiny(1), tmp_path / "kept", quiet)
    assert written(teachable(make_split(tmp_path, "told", said)), tiny(1), tmp_path / "kept", quiet) == {}


def test_sentences_that_cannot_be_kept(tmp_path: Path) -> None:
    split = teachable(make_split(tmp_path, "some", {"objects": ["cat"]}))
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(DataError, match="kept"):
        written(split, tiny(), tmp_path / "kept", quiet)


def test_listed_names_start_with_a_sign_of_their_own() -> None:
    vocabulary = tiny().vocabulary
    record = Record("x.png", (8, 8), (Caption(("a", "cat"), listed=True), Caption(("red", "cat"))), {})
    frame = Frame.stretch((8, 8), (8, 8), (2, 2))
    a, cat, _, red = range(FIRST, FIRST + 4)
    assert lesson(record, vocabulary, frame, 2).words.tolist() == [[UNKNOWN, a, cat, END], [START, red, cat, END]]
    untagged = lesson(record, vocabulary, frame, 2, tagged=False)
    assert untagged.words.tolist() == [[START, a, cat, END], [START, red, cat, END]]


def test_a_run_learns_what_the_writer_wrote(data: DataConfig, tmp_path: Path) -> None:
    """The writer's sentences take the place of listed names, and nothing else changes the recipe's course."""
    cats: list[dict[str, object]] = [{"objects": ["cat"]} for _ in range(4)]
    make_split(tmp_path, "things", *cats)
    lines = Path(f"{data.train}.jsonl").read_text().splitlines()
    known = {token for line in lines for c in json.loads(line)["captions"] for token in c["tokens"]}
    assert "cat" not in known
    plain = replace(data, extra=[str(tmp_path / "things")])
    writer = fit(config(plain, tmp_path / "writer", epochs=1), quiet)
    listed = fit(config(plain, tmp_path / "listed", epochs=1), quiet)
    told: list[str] = []
    path = fit(config(replace(plain, writer=str(writer)), tmp_path / "told", epochs=1), told.append)
    assert load_checkpoint(path).vocabulary.words == load_checkpoint(listed).vocabulary.words
    assert path.read_bytes() != listed.read_bytes()
    (kept,) = Path(plain.cache).glob("things-written-*.json")
    assert all("cat" in text for texts in json.loads(kept.read_text()).values() for text in texts)
