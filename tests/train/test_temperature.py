"""The temperature of a model: fitted as a search by hand would, kept in the checkpoint, and without a say in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from toy import config, make_split, quiet

import attnviz
from attnviz.captioner import Captioner, load_checkpoint, save_checkpoint, update_card
from attnviz.captioner.checkpoint import COLDEST, HOTTEST
from attnviz.captioner.header import read_meta
from attnviz.captioner.vocabulary import END, PAD, START
from attnviz.data import Split
from attnviz.errors import DataError
from attnviz.network import Asked
from attnviz.train import fit
from attnviz.train.calibration import calibrate, temperature_of

if TYPE_CHECKING:
    from attnviz.train import DataConfig


def loss(logits: np.ndarray, words: np.ndarray, temperature: float) -> float:
    """Summed cross-entropy, in nats, in plain numpy."""
    scores = logits / temperature
    scores -= scores.max(-1, keepdims=True)
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    return float(-logs[np.arange(len(words)), words].sum())


def overconfidence(logits: np.ndarray, words: np.ndarray, temperature: float) -> float:
    """How much likelier the likeliest words are than they are often right, summed, in plain numpy."""
    scores = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    return float((scores.max(-1) / scores.sum(-1) - (logits.argmax(-1) == words)).sum())


def fitted(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The temperature where it is least, by trying many."""
    grid = np.exp(np.linspace(np.log(0.125), np.log(8), 2001))
    return float(grid[np.argmin([abs(sum(overconfidence(*pair, t) for pair in pairs)) for t in grid])])


@pytest.mark.parametrize("true", [0.4, 1.0, 2.3])
def test_a_temperature_that_was_drawn_with_is_found_again(true: float) -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(4000, 12)
    logits[:, [PAD, END]] = -1e3  # neither counts
    words = torch.multinomial((logits / true).softmax(-1), 1).squeeze(-1)
    found = temperature_of([(logits[:1000], words[:1000]), (logits[1000:], words[1000:])])
    assert found == pytest.approx(fitted([(logits.numpy(), words.numpy())]), rel=0.005)
    assert found == pytest.approx(true, rel=0.1)


def test_ends_and_padding_say_nothing() -> None:
    torch.manual_seed(0)
    logits = torch.randn(40, 6)
    assert temperature_of([(logits[:3], torch.tensor([PAD, END, END]))]) == 1.0
    assert temperature_of([]) == 1.0
    words = torch.arange(40) % 2 + 4
    more = torch.cat([logits, 9 * torch.randn(4, 6)]), torch.cat([words, torch.tensor([END, PAD, PAD, END])])
    assert temperature_of([more]) == temperature_of([(logits, words)]) != 1


def test_always_right_is_as_cold_as_can_be_and_never_right_as_hot() -> None:
    logits = torch.tensor([[0.0, 0, 0, 0, 1, 0]])
    assert temperature_of([(logits, torch.tensor([4]))]) == COLDEST
    assert temperature_of([(logits, torch.tensor([5]))]) == HOTTEST


@pytest.fixture
def told(tmp_path: Path) -> Split:
    two: dict[str, object] = {"captions": [{"tokens": ["a", "dog", "runs"]}, {"tokens": ["A", "zebra"]}]}
    return make_split(tmp_path, "told", two, {"objects": ["dog"]}, {"captions": [{"tokens": ["grass"]}]})


@pytest.mark.parametrize("mode", ["concat", "channel-dot"])
def test_a_model_is_calibrated_over_all_given_words(mode: str, told: Split) -> None:
    model = Captioner.tiny(mode, seed=3).requires_grad_(False)
    pairs = []
    for record, photo in zip(told, told.photos(), strict=True):
        values = model.encode(model.prepare(photo).inputs[None])
        for caption in record.captions:
            ids = model.vocabulary.encode(caption.words)
            words = torch.tensor([[[START, *ids[:-1]]]])
            with torch.inference_mode():
                output, _ = model.decoder(model.decoder.prepare(values), model.decoder.start(values), words)
            pairs.append((output.logits[0].numpy(), np.array(ids)))
    calibrate(model, told)
    assert model.temperature == pytest.approx(fitted(pairs), rel=0.01)
    assert model.familiar is None
    with pytest.raises(DataError, match="has no captions"):
        calibrate(model, told.with_records([told[1]]))


def test_probabilities_follow_the_temperature_and_words_do_not(tmp_path: Path, photo: Path) -> None:
    save_checkpoint(Captioner.tiny(seed=1), tmp_path / "m.safetensors")
    model = load_checkpoint(tmp_path / "m.safetensors")
    before, known = attnviz.explain(model, photo), model.fingerprint()
    given = attnviz.explain(model, photo, text="a dog")
    guesses = model.guesses([model.prepare(attnviz.photo.image.load(photo))], Asked("a dog"))
    model.temperature = 2.5
    assert model.fingerprint() != known
    save_checkpoint(model, tmp_path / "m.safetensors")
    model = load_checkpoint(tmp_path / "m.safetensors")
    assert model.temperature == 2.5
    after = attnviz.explain(model, photo)
    assert after[0].tokens == before[0].tokens
    np.testing.assert_array_equal(after[0].weights, before[0].weights)
    # By hand, for given words.
    prepared = [model.prepare(attnviz.photo.image.load(photo))]
    values = model.encode(prepared[0].inputs[None])
    ids = model.vocabulary.encode(["a", "dog"])
    words = torch.tensor([[[START, ids[0]]]])
    with torch.inference_mode():
        output, _ = model.decoder(model.decoder.prepare(values), model.decoder.start(values), words)
    logits = output.logits[0].numpy()
    for trace, temperature in ((given[0], 1.0), (attnviz.explain(model, photo, text="a dog")[0], 2.5)):
        assert trace.logprobs is not None
        expected = [-loss(logits[i : i + 1], np.array(ids[i : i + 1]), temperature) for i in range(2)]
        np.testing.assert_allclose(trace.logprobs, expected, rtol=1e-4)
    (found,) = model.guesses(prepared, Asked("a dog"))
    np.testing.assert_array_equal(found.right, logits.argmax(-1) == ids)
    np.testing.assert_array_equal(found.raw, guesses[0].probability)
    likeliest = [-loss(logits[i : i + 1], logits[i : i + 1].argmax(-1), 2.5) for i in range(2)]
    np.testing.assert_allclose(np.log(found.probability), likeliest, rtol=1e-4)


def test_a_run_ends_with_the_temperature_of_its_dev_split(data: DataConfig, tmp_path: Path) -> None:
    path = fit(config(data, tmp_path, epochs=1, boxes=0.0), quiet)
    model = load_checkpoint(path)
    assert model.temperature != 1
    assert read_meta(path)["temperature"] == model.temperature
    assert model.familiar is None  # of four photos, nobody can tell
    # What is saved is rounded to float16, and captions beyond `captions` are not read in training.
    found = model.temperature
    calibrate(model, Split(data.dev))
    assert model.temperature == pytest.approx(found, rel=0.02)


def test_many_photos_tell_what_is_familiar(data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run and the command read the same maps; what is saved is rounded to float16."""
    monkeypatch.setattr("attnviz.captioner.familiar.FEWEST", 4)
    path = fit(config(data, tmp_path, epochs=1, boxes=0.0), quiet)
    run, model = load_checkpoint(path).familiar, load_checkpoint(path)
    calibrate(model, Split(data.dev), [Split(data.train)])
    assert run is not None
    assert model.familiar is not None
    np.testing.assert_allclose(model.familiar.mean, run.mean, rtol=0.01, atol=1e-3)
    np.testing.assert_allclose(model.familiar.scale, run.scale, rtol=0.02, atol=1e-3)
    monkeypatch.undo()
    with pytest.raises(DataError, match="4 photos cannot tell what is familiar; give 500"):
        calibrate(model, Split(data.dev), [Split(data.train)])


def test_the_card_is_kept_when_a_temperature_comes(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(load_checkpoint(checkpoint), path, card={"note": "old"})
    assert "temperature" not in read_meta(path)
    model = load_checkpoint(path)
    model.temperature = 1.25
    update_card(path, {"new": 1}, model)
    assert read_meta(path)["card"] == {"note": "old", "new": 1}
    assert load_checkpoint(path).temperature == 1.25
    update_card(path, {"newer": 2})
    assert load_checkpoint(path).temperature == 1.25
    model.temperature = 1.0
    update_card(path, {}, model)
    assert "temperature" not in read_meta(path)
