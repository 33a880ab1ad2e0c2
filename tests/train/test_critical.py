"""Self-critical training: rewards beside independent counts, sampling beside the network's own probabilities."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import config, criticised, quiet

from attnviz.captioner import Captioner, load_checkpoint
from attnviz.captioner.search import sample
from attnviz.captioner.vocabulary import END, PAD, START, UNKNOWN
from attnviz.data import Caption, Record
from attnviz.errors import ConfigError
from attnviz.photo.frame import Frame
from attnviz.train import DataConfig, fit
from attnviz.train.batches import collate, lesson
from attnviz.train.critical import Critic
from attnviz.train.losses import advantages, critical_loss
from attnviz.train.reward import CIDER_SHARE, SIGMA, Reward, bleu_shares, matches, ngrams


def sentences(rng: np.random.Generator, count: int) -> list[list[int]]:
    return [rng.integers(0, 9, rng.integers(4, 12)).tolist() for _ in range(count)]


def grams(words: list[int], order: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def cider_by_hand(words: list[int], references: list[list[int]], corpus: list[list[list[int]]]) -> float:
    """CIDEr-D written as its formula, one order and one reference at a time."""
    total = 0.0
    for order, reference in itertools.product(range(1, 5), references):
        every = sorted(set(grams(words, order)) | set(grams(reference, order)))
        photos = [sum(any(g in grams(r, order) for r in refs) for refs in corpus) for g in every]
        rare = np.log(len(corpus)) - np.log(np.maximum(photos, 1))
        mine = np.array([grams(words, order)[g] for g in every]) * rare
        theirs = np.array([grams(reference, order)[g] for g in every]) * rare
        norms = np.linalg.norm(mine) * np.linalg.norm(theirs)
        if norms > 0:
            near = math.exp(-((len(words) - len(reference)) ** 2) / (2 * SIGMA**2))
            total += near * (np.minimum(mine, theirs) * theirs).sum() / norms
    return total / (4 * len(references))


def test_cider_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    corpus = [sentences(rng, 5) for _ in range(12)]
    reward, found = Reward(corpus), []
    for references in corpus:
        for words in (*sentences(rng, 3), references[0]):
            counts = [grams(words, order) for order in range(1, 5)]
            found.append(reward.cider(len(words), counts, reward.read(references)))
            assert found[-1] == pytest.approx(cider_by_hand(words, references, corpus))
    assert sum(value > 0 for value in found) > 20


def test_a_reference_itself_has_the_most_cider() -> None:
    rng = np.random.default_rng(1)
    corpus = [sentences(rng, 1) for _ in range(8)]
    reward = Reward(corpus)
    for (words,) in corpus:
        assert reward.cider(len(words), ngrams(words), reward.read([words])) == pytest.approx(1)


@pytest.mark.parametrize("lengths", [(4, 7), (7, 12)])
def test_shares_are_the_derivative_of_corpus_bleu(lengths: tuple[int, int]) -> None:
    """Beside sacrebleu's, with a corpus of a thousand copies and one sentence once more: with brevity and without."""
    bleu = pytest.importorskip("sacrebleu.metrics.bleu").BLEU
    rng = np.random.default_rng(2)
    corpus = [[rng.integers(0, 3, rng.integers(6, 9)).tolist() for _ in range(3)] for _ in range(6)]
    captions = [[rng.integers(0, 3, rng.integers(*lengths)).tolist() for _ in range(2)] for _ in corpus]
    reward = Reward(corpus)
    pairs = [(words, reward.read(refs)) for row, refs in zip(captions, corpus, strict=True) for words in row]
    counted = [matches(len(words), ngrams(words), known) for words, known in pairs]

    def log_bleu(weights: np.ndarray) -> float:
        hits, totals = ((weights @ np.array([getattr(c, k) for c in counted])).tolist() for k in ("hits", "totals"))
        ours, theirs = (int(weights @ np.array([getattr(c, k) for c in counted])) for k in ("length", "closest"))
        return math.log(bleu.compute_bleu(hits, totals, ours, theirs, smooth_method="none").score)

    metric = bleu(tokenize="none", smooth_method="none", force=True)
    spoken = [" ".join(map(str, words)) for row in captions for words in row]
    written = [[" ".join(map(str, refs[k])) for refs in corpus for _ in range(2)] for k in range(3)]
    ones = np.full(len(counted), 1000)
    assert math.exp(log_bleu(ones)) == pytest.approx(metric.corpus_score(spoken, written).score)
    shares = bleu_shares(counted)
    assert shares.sum() == pytest.approx(0, abs=1e-9)
    for one, share in enumerate(shares):
        more = ones + (np.arange(len(ones)) == one)
        assert (log_bleu(more) - log_bleu(ones)) * 1000 * len(ones) == pytest.approx(share, abs=0.02)


def test_the_reward_is_both() -> None:
    rng = np.random.default_rng(3)
    corpus = [sentences(rng, 2) for _ in range(3)]
    captions = [sentences(rng, 4) for _ in corpus]
    reward = Reward(corpus)
    known = [reward.read(references) for references in corpus]
    pairs = [(words, one) for row, one in zip(captions, known, strict=True) for words in row]
    shares = bleu_shares([matches(len(words), ngrams(words), one) for words, one in pairs])
    rare = [reward.cider(len(words), ngrams(words), one) for words, one in pairs]
    assert reward(captions, known).flatten() == pytest.approx(shares + CIDER_SHARE * np.array(rare))


def test_the_baseline_is_the_mean_of_the_others() -> None:
    rewards = torch.tensor([[1.0, 2.0, 6.0]])
    assert advantages(rewards).tolist() == [pytest.approx([1 - 4, 2 - 3.5, 6 - 1.5])]


def test_the_loss_is_the_likelihood_weighed_by_advantage() -> None:
    logits = torch.randn(1, 2, 3, 7, generator=torch.Generator().manual_seed(0))
    drawn = torch.tensor([[[4, 5, END], [6, END, PAD]]])
    logs = logits.log_softmax(-1)
    first = logs[0, 0, 0, 4] + logs[0, 0, 1, 5] + logs[0, 0, 2, END]
    second = logs[0, 1, 0, 6] + logs[0, 1, 1, END]
    expected = -(0.5 * first - 2 * second) / 5
    assert critical_loss(logits, drawn, torch.tensor([[0.5, -2.0]])).item() == pytest.approx(expected.item(), abs=1e-6)


def test_samples_follow_the_networks_probabilities() -> None:
    model = Captioner.tiny("general", seed=3)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    with torch.inference_mode():
        values = model.encode(pixels)
        torch.manual_seed(0)
        drawn = sample(model.decoder, values, 4000, 1)
        start = torch.full((2, 1, 1), START)
        output, _ = model.decoder(model.decoder.prepare(values), model.decoder.start(values), start)
    odds = output.logits[:, 0].clone()
    odds[:, [PAD, START, UNKNOWN, END]] = -torch.inf  # at the first step no sentence may end
    for image in range(2):
        found = torch.bincount(drawn[image].flatten(), minlength=odds.shape[-1]) / 4000
        assert torch.allclose(found, odds[image].softmax(-1), atol=0.04)


def test_nothing_follows_the_end() -> None:
    model = Captioner.tiny("dot", seed=1)
    torch.manual_seed(0)
    drawn = sample(model.decoder, torch.rand(3, 4, 4), 50, 12)
    for row in drawn.flatten(0, 1).tolist():
        length = row.index(END) if END in row else len(row)
        assert PAD not in row[:length]
        assert set(row[length + 1 :]) <= {PAD}


def test_the_network_learns_to_say_what_is_rewarded() -> None:
    model = Captioner.tiny("general")
    texts = ["a dog runs", "a cat", "cat on grass", "runs on grass"]
    records = [Record(f"{n}.jpg", (32, 32), (Caption(tuple(text.split())),), {}) for n, text in enumerate(texts)]
    lessons = [lesson(one, model.vocabulary, Frame.stretch((32, 32), (32, 32), (2, 2)), 1) for one in records]
    critic, batch = Critic({False: lessons}, 8), collate(lessons, np.arange(4), False)
    torch.manual_seed(0)
    values = torch.rand(4, 4, 6)
    rewards = criticised(critic, model, values, batch, 120)
    assert np.mean(rewards[-10:]) > 1.5 * np.mean(rewards[:10])


def test_self_critical_epochs_leave_the_maps(data: DataConfig, tmp_path: Path) -> None:
    plain = config(data, tmp_path / "plain", epochs=1)
    longer = config(data, tmp_path / "longer", epochs=1, critical=1, critical_rate=0.03)
    before, after = load_checkpoint(fit(plain, quiet)), load_checkpoint(fit(longer, quiet))
    assert "reward" in json.loads(Path(longer.out).with_suffix(".log").read_text().splitlines()[1])
    old = before.state_dict()
    changed = {name for name, value in after.state_dict().items() if not torch.equal(value, old[name])}
    parts = ("bias", "start_language.", "speak.", "project.")
    assert changed == {name for name in old if name.startswith(tuple(f"decoder.{part}" for part in parts))}
    words = [after.split("a red square")]
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    (was,), (now) = before.follow(before.encode(pixels), words), after.follow(after.encode(pixels), words)[0]
    assert (was.weights == now.weights).all()
    assert (was.logprobs != now.logprobs).any()


def test_a_run_may_be_self_critical_alone(data: DataConfig, tmp_path: Path) -> None:
    start = fit(config(data, tmp_path / "start", epochs=1), quiet)
    run = replace(config(data, tmp_path / "run", epochs=0, critical=1), start=str(start))
    before, after = load_checkpoint(start).state_dict(), load_checkpoint(fit(run, quiet)).state_dict()
    assert torch.equal(before["decoder.query.weight_ih_l0"], after["decoder.query.weight_ih_l0"])
    assert not torch.equal(before["decoder.speak.weight_ih_l0"], after["decoder.speak.weight_ih_l0"])
    with pytest.raises(ConfigError, match="'epochs' must be from 1"):
        config(data, tmp_path, epochs=0)


def test_a_self_critical_run_goes_on(data: DataConfig, tmp_path: Path) -> None:
    whole = config(data, tmp_path / "whole", epochs=1, critical=2, samples=3)
    broken = replace(whole, out=str(tmp_path / "broken" / "concat.safetensors"))
    expected = fit(whole, quiet).read_bytes()
    for epoch in (1, 2, 3):

        def stop(line: str, name: str = f"epoch {epoch}, batch") -> None:
            if line.startswith(name):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit(broken, stop)
    assert fit(broken, quiet).read_bytes() == expected
