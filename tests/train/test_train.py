"""Training on four tiny photos: every mode learns, a broken-off run goes on as if nothing had been."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from safetensors import safe_open
from toy import config, quiet

from attnviz.captioner import Captioner, load_checkpoint
from attnviz.captioner.attention import SCORES
from attnviz.captioner.header import read_meta
from attnviz.captioner.vocabulary import END, PAD, SPECIAL, START, UNKNOWN, Vocabulary
from attnviz.data import Caption, Phrase, Record, Split
from attnviz.errors import AttnvizError, ConfigError
from attnviz.explain import explain
from attnviz.photo.frame import Frame
from attnviz.train import DataConfig, FitConfig, fit, read_config
from attnviz.train.batches import EARLIER, collate, lesson
from attnviz.train.features import FeatureStore
from attnviz.train.losses import box_loss, even_loss, word_loss

STEM = "backbone.stem.weight"


@pytest.mark.parametrize("mode", SCORES)
def test_every_mode_learns_and_decodes(mode: str, data: DataConfig, tmp_path: Path) -> None:
    path = fit(config(data, tmp_path, mode, epochs=8, flip=False), quiet)
    model = load_checkpoint(path)
    assert model.mode == mode
    assert model.name == "toy"
    log = [json.loads(line) for line in path.with_suffix(".log").read_text().splitlines()]
    assert len(log) == 8
    assert log[-1]["words"] < 0.92 * log[0]["words"]
    (trace,) = explain(model, tmp_path / "red.png")
    assert trace.weights.shape == (len(trace), 4, 4)


def test_box_supervision_moves_the_attention(data: DataConfig, tmp_path: Path) -> None:
    mass = {}
    for weight in (0.0, 2.0):
        out = tmp_path / str(weight)
        model = load_checkpoint(fit(config(data, out, "general", epochs=30, boxes=weight, flip=False), quiet))
        traces = explain(model, [tmp_path / "red.png", tmp_path / "green.png"], text="a square")
        mass[weight] = (
            traces[0].weights[:, 1:3, 2:].sum((1, 2)).mean() + traces[1].weights[:, 1:3, :2].sum((1, 2)).mean()
        )
    assert mass[2.0] > mass[0.0] + 0.1


@pytest.mark.parametrize("encoder_rate", [0.0, 1e-4])
def test_a_broken_off_run_goes_on(data: DataConfig, tmp_path: Path, encoder_rate: float) -> None:
    whole = config(data, tmp_path / "whole", encoder_rate=encoder_rate)
    broken = replace(whole, out=str(tmp_path / "broken" / "concat.safetensors"))
    expected = fit(whole, quiet).read_bytes()

    def stop(line: str) -> None:
        if line.startswith("epoch 2, batch"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(broken, stop)
    assert not Path(broken.out).exists()
    said: list[str] = []
    assert fit(broken, said.append).read_bytes() == expected
    assert "going on after epoch 1 of 2" in said


def test_the_state_of_other_settings_is_not_taken(data: DataConfig, tmp_path: Path) -> None:
    fit(config(data, tmp_path), quiet)
    with pytest.raises(ConfigError, match="other settings"):
        fit(config(data, tmp_path, rate=0.5), quiet)


def test_the_first_stages_stay_frozen_where_told(data: DataConfig, tmp_path: Path) -> None:
    """What is learned from kept maps is what would be learned from the pixels, but for their rounding to float16."""
    start = fit(config(data, tmp_path / "a", epochs=1), quiet)
    told: dict[str, Any] = {"epochs": 1, "encoder_rate": 1e-3, "encoder_stages": 3, "dropout": 0.0}
    tuned = load_checkpoint(fit(replace(config(data, tmp_path / "b", **told), start=str(start)), quiet)).state_dict()
    before = load_checkpoint(start).state_dict()
    for name, value in tuned.items():
        if name.startswith("backbone."):
            early = name.startswith(("backbone.stem.", *(f"backbone.stages.{k}." for k in range(3))))
            assert torch.equal(value, before[name]) == early, name
    model = replace(config(data, tmp_path).model, backbone="resnet18", layer="layer2")
    with pytest.raises(ConfigError, match="encoder_stages"):
        fit(replace(config(data, tmp_path / "c", **told), model=model), quiet)


def _told(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.with_suffix(".log").read_text().splitlines()]


@pytest.mark.parametrize("crop", [0.5, 1.0])
def test_a_run_in_bfloat16_learns_about_the_same(data: DataConfig, tmp_path: Path, crop: float) -> None:
    """Weights, and what is measured, stay float32; the losses are those of float32 but for its three digits."""
    start, runs = fit(config(data, tmp_path / "a", epochs=1), quiet), {}
    for precision in ("float32", "bfloat16"):
        told: dict[str, Any] = {"epochs": 2, "encoder_rate": 1e-3, "precision": precision, "dropout": 0.0, "crop": crop}
        path = fit(replace(config(data, tmp_path / precision, **told), start=str(start)), quiet)
        runs[precision] = load_checkpoint(path).state_dict(), _told(path)
    (exact, log), (rounded, rough) = runs["float32"], runs["bfloat16"]
    assert {value.dtype for value in rounded.values()} == {torch.float32}
    assert not torch.equal(exact[STEM], rounded[STEM])
    moved = [(after[STEM] - load_checkpoint(start).state_dict()[STEM]).flatten() for after in (exact, rounded)]
    assert float(torch.cosine_similarity(moved[0], moved[1], dim=0)) > 0.8
    for one, other in zip(log, rough, strict=True):
        assert other["words"] == pytest.approx(one["words"], rel=0.02)
        assert other["dev words"] == pytest.approx(one["dev words"], rel=0.02)
    with pytest.raises(ConfigError, match="'precision' must be one of float32, bfloat16, not 'half'"):
        config(data, tmp_path, precision="half")


def test_features_of_another_precision_are_other_files(data: DataConfig, tmp_path: Path) -> None:
    model, split = Captioner.tiny(), Split(data.train)
    kept = {p: FeatureStore(model, split, False, tmp_path, precision=p) for p in ("float32", "bfloat16", "float32")}
    assert len(list(tmp_path.glob("*.npy"))) == 4  # two maps of each
    for exact, rounded in zip(kept["float32"].maps, kept["bfloat16"].maps, strict=True):
        assert not np.array_equal(exact, rounded)
        wrong = np.abs(exact.astype(float) - rounded).mean() / np.abs(exact.astype(float)).mean()
        assert wrong < 0.05  # eight bits of each number, through some fifty layers
    for store, expected in zip(kept["float32"].maps, model.backbone(_pixels(model, split)), strict=True):
        assert np.allclose(store, expected.detach().numpy(), atol=2e-3)


def _pixels(model: Captioner, split: Split) -> torch.Tensor:
    photos = [Frame.of("stretch", photo.size, model.input, model.grid).apply(photo.pixels) for photo in split.photos()]
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float() / 255


def test_runs_share_an_encoder_file(data: DataConfig, tmp_path: Path) -> None:
    start = fit(config(data, tmp_path / "a", epochs=1), quiet)
    encoder = tmp_path / "shared" / "toy-encoder.safetensors"
    made = []
    for mode in ("concat", "dot"):
        run = replace(config(data, encoder.parent, mode, epochs=1), start=str(start), encoder=str(encoder))
        made.append(fit(run, quiet))
    assert len({read_meta(path)["encoder"]["sha256"] for path in made}) == 1
    with safe_open(encoder, "pt") as file:
        shared = {f"backbone.{key}" for key in file.keys()}  # noqa: SIM118
    for path in made:
        model = load_checkpoint(path)
        assert torch.equal(model.state_dict()[STEM], load_checkpoint(start).state_dict()[STEM])
        with safe_open(path, "pt") as file:
            assert set(file.keys()) == set(model.state_dict()) - shared
    other = replace(run, out=str(encoder.parent / "other.safetensors"), start="", train=replace(run.train, seed=5))
    # Whatever a run would begin with, it learns over the file that is there.
    assert torch.equal(load_checkpoint(fit(other, quiet)).state_dict()[STEM], load_checkpoint(start).state_dict()[STEM])
    with pytest.raises(ConfigError, match="beside"):
        replace(run, encoder=str(tmp_path / "elsewhere.safetensors"))


def test_fine_tuning_changes_the_backbone_and_freezing_does_not(data: DataConfig, tmp_path: Path) -> None:
    start = fit(config(data, tmp_path / "a", epochs=1), quiet)
    for rate in (0.0, 1e-3):
        again = replace(config(data, tmp_path / str(rate), epochs=1, encoder_rate=rate), start=str(start))
        tuned = load_checkpoint(fit(again, quiet))
        same = torch.equal(tuned.state_dict()[STEM], load_checkpoint(start).state_dict()[STEM])
        assert same == (rate == 0)


def blended(run: FitConfig, start: Path, share: float) -> Captioner:
    """What `run` saves when it begins at `start` and goes back to it by `share`."""
    return load_checkpoint(fit(replace(run, start=str(start), train=replace(run.train, blend=share)), quiet))


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_saved_weights_go_back_towards_the_start(share: float, data: DataConfig, tmp_path: Path) -> None:
    """What the two networks share lies between them; a score function that the start has not stays as it is."""
    start = fit(config(data, tmp_path / "a", epochs=1), quiet)
    runs = [config(data, tmp_path / name, "flat-concat", rate=0.1, encoder_rate=1e-3) for name in "bc"]
    far, near = blended(runs[0], start, 0).state_dict(), blended(runs[1], start, share).state_dict()
    old = load_checkpoint(start).state_dict()
    common = {name for name in near if name in old and old[name].shape == near[name].shape}
    assert {name.split(".")[1] for name in set(near) - common} == {"attention"}
    for name, value in near.items():
        wanted = (1 - share) * far[name] + share * old[name] if name in common else far[name]
        assert torch.allclose(value, wanted, atol=2e-3), name  # all three were rounded to float16
    assert max((far[name] - old[name]).abs().max() for name in common) > 0.05
    with pytest.raises(ConfigError, match="'blend' needs a 'start'"):
        config(data, tmp_path / "d", blend=0.5)


def test_a_blend_matches_words_by_their_spelling(data: DataConfig, tmp_path: Path) -> None:
    start = fit(config(replace(data, minimum=1), tmp_path / "a", epochs=1), quiet)
    old, new = load_checkpoint(start), blended(config(replace(data, minimum=3), tmp_path / "b", epochs=1), start, 1)
    assert len(SPECIAL) < len(new.vocabulary) < len(old.vocabulary)
    for word in new.vocabulary.words[len(SPECIAL) :]:
        mine, theirs = (
            one.state_dict()["decoder.embed.weight"][one.vocabulary.encode([word])[0]] for one in (new, old)
        )
        assert torch.equal(mine, theirs), word


def test_new_words_are_not_blended(data: DataConfig, tmp_path: Path) -> None:
    """The start has no place for them to go back to."""
    start = fit(config(replace(data, minimum=3), tmp_path / "a", epochs=1), quiet)
    runs = [config(replace(data, minimum=1), tmp_path / name, epochs=1, rate=0.1) for name in "bc"]
    far, near = blended(runs[0], start, 0), blended(runs[1], start, 1)
    old = load_checkpoint(start)
    fresh = [word not in old.vocabulary.words for word in near.vocabulary.words]
    assert 0 < sum(fresh) < len(fresh) - len(SPECIAL)
    for name in ("embed.weight", "bias"):
        before, after, first = (one.state_dict()[f"decoder.{name}"] for one in (far, near, old))
        assert torch.equal(after[fresh], before[fresh])
        rows = old.vocabulary.encode([w for w, new in zip(near.vocabulary.words, fresh, strict=True) if not new][4:])
        assert torch.equal(after[~torch.tensor(fresh)][4:], first[rows])


FRAME = Frame.stretch((32, 32), (32, 32), (2, 2))


def record() -> Record:
    caption = Caption(("a", "dog", "left", "zebra"), (Phrase(0, 2, "1"), Phrase(2, 3, "9")))
    return Record("x.jpg", (10, 10), (caption, Caption(("dog",))), {"1": np.array([[0, 0, 0.5, 0.25]])})


def test_lessons_hold_words_and_covers() -> None:
    vocabulary = Vocabulary((*SPECIAL, "a", "dog", "left", "right"))
    plain, mirrored = (lesson(record(), vocabulary, FRAME, 2, flag) for flag in (False, True))
    assert plain.words.tolist() == [[START, 4, 5, 6, UNKNOWN, END], [START, 5, END, PAD, PAD, PAD]]
    assert mirrored.words[0].tolist() == [START, 4, 5, 7, UNKNOWN, END]  # left became right
    assert plain.thing.tolist() == [[0, 0, -1, -1, -1], [-1] * 5]  # chain 9 has no boxes
    np.testing.assert_allclose(plain.cover, [[0.5, 0, 0, 0]])
    np.testing.assert_allclose(mirrored.cover, [[0, 0.5, 0, 0]])


def test_boxes_are_where_a_crop_shows_them() -> None:
    """Of a 10x20 photo the middle 10x10 is seen: a box over the left half covers the left half of that."""
    one = Record("x.jpg", (10, 20), (Caption(("dog",), (Phrase(0, 1, "1"),)),), {"1": np.array([[0, 0, 1, 0.5]])})
    found = lesson(one, Vocabulary((*SPECIAL, "dog")), Frame.crop((10, 20), (32, 32), (2, 2)), 1)
    np.testing.assert_allclose(found.cover, [[1, 0, 1, 0]])


@pytest.mark.parametrize("kind", ["letterbox", "crop"])
def test_other_frames_can_be_trained(kind: Any, data: DataConfig, tmp_path: Path) -> None:
    start = config(data, tmp_path, epochs=1)
    model = replace(start.model, backbone="resnet18", layer="layer3", frame=kind)
    trained = load_checkpoint(fit(replace(start, model=model), quiet))
    assert trained.frame_kind == kind
    assert trained.grid == (4, 4)


def test_batches_pick_the_words() -> None:
    vocabulary = Vocabulary((*SPECIAL, "a", "dog", "left", "right"))
    short = Record("y.jpg", (10, 10), (Caption(("dog",)),) * 2, {})
    lessons = [lesson(one, vocabulary, FRAME, 2) for one in (record(), short)]
    batch = collate(lessons, np.array([0, 1]), False)
    assert batch.words.shape == (2, 2, 5)
    flat = [[*batch.words[i].flatten().tolist()] for i in range(2)]
    assert [flat[0][p] for p in batch.pick[0]] == [START, 4, 5, 6, UNKNOWN, START, 5]
    assert batch.target.tolist() == [[4, 5, 6, UNKNOWN, END, 5, END], [5, END, 5, END, PAD, PAD, PAD]]
    share = [[np.float32(EARLIER), 1, *[0] * 5], [0] * 7]  # the phrase's last word counts most
    assert batch.boxed.tolist() == share
    np.testing.assert_allclose(batch.inside[0, :2], [[0.5, 0, 0, 0]] * 2)


def test_a_cut_caption_has_no_end() -> None:
    vocabulary = Vocabulary((*SPECIAL, "a"))
    long = Record("z.jpg", (1, 1), (Caption(("a",) * 50),), {})
    assert END not in lesson(long, vocabulary, FRAME, 1).words


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 8), st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_the_spread_asks_for_an_even_look_inside_only(inside: int, outside: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cover = torch.zeros(1, 1, inside + outside)
    cover[..., :inside] = torch.as_tensor(rng.uniform(0.1, 1))
    boxed, there = torch.ones(1, 1), rng.uniform(0.05, 1)
    weights = torch.full_like(cover, there / inside)
    weights[..., inside:] = torch.as_tensor((1 - there) * rng.dirichlet(np.ones(max(outside, 1)))[:outside])
    plain = float(box_loss(weights, cover, boxed, 0.7))
    assert float(box_loss(weights, cover, boxed, 0.7, 1.0)) == pytest.approx(plain, abs=1e-5)

    # All of the same mass in fewer cells costs more, and cells outside get no gradient but the mass's: none is NaN.
    if inside > 1:
        weights[..., 0], weights[..., 1:inside] = there, 0
        weights.requires_grad_()
        loss = box_loss(weights, cover, boxed, 0.7, 1.0)
        torch.autograd.backward(loss)
        assert loss.item() > plain + 0.1
        assert weights.grad is not None
        assert bool(weights.grad.isfinite().all())
        assert bool((weights.grad[..., inside:] == 0).all())


def test_words_without_boxes_are_looked_at_evenly_when_asked(data: DataConfig, tmp_path: Path) -> None:
    divergence = []
    for weight in (0.0, 2.0):
        path = fit(
            config(data, tmp_path / str(weight), "general", epochs=30, boxes=2.0, even=weight, flip=False), quiet
        )
        divergence.append(json.loads(path.with_suffix(".log").read_text().splitlines()[-1])["dev even"])
    assert 0 < divergence[1] < divergence[0] / 2


def test_losses_against_loops() -> None:
    rng = np.random.default_rng(0)
    weights, inside = rng.dirichlet(np.ones(4), (2, 3)), rng.random((2, 3, 4))
    boxed = np.array([[1, 0, 0.5], [0, 0, 2]])
    mass = (weights * inside).sum(-1)
    for power, loss in ((0.0, -np.log(mass)), (0.7, (1 - mass**0.7) / 0.7), (1.0, 1 - mass)):
        got = box_loss(torch.as_tensor(weights), torch.as_tensor(inside), torch.as_tensor(boxed), power)
        assert float(got) == pytest.approx((loss[0, 0] + 0.5 * loss[0, 2] + 2 * loss[1, 2]) / 3.5)
        even = inside / inside.sum(-1, keepdims=True)
        spread = (even * np.log(even * mass[..., None] / (weights * inside))).sum(-1)
        got = box_loss(torch.as_tensor(weights), torch.as_tensor(inside), torch.as_tensor(boxed), power, 0.3)
        loss = loss + 0.3 * spread
        assert float(got) == pytest.approx((loss[0, 0] + 0.5 * loss[0, 2] + 2 * loss[1, 2]) / 3.5)
    assert float(box_loss(torch.ones(1, 1, 4), torch.ones(1, 1, 4), torch.zeros(1, 1))) == 0

    # Without boxes: the first photo's second word, and the second photo's first two.
    real = torch.tensor([[True, True, False], [True, True, True]])
    divergences = (weights * np.log(weights * weights.shape[-1])).sum(-1)
    wanted = np.mean([divergences[0, 1], divergences[1, 0], divergences[1, 1]])
    assert float(even_loss(torch.as_tensor(weights), torch.as_tensor(boxed), real)) == pytest.approx(wanted)
    none = torch.zeros_like(torch.as_tensor(boxed))
    assert float(even_loss(torch.as_tensor(weights), none, real)) == 0  # nobody knows what has no boxes here

    logits, target = rng.normal(size=(2, 3, 5)), np.array([[1, 2, 0], [4, 0, 0]])
    rows = [logits[i, j] - np.log(np.exp(logits[i, j]).sum()) for i, j in ((0, 0), (0, 1), (1, 0))]
    expected = np.mean([-row[t] for row, t in zip(rows, (1, 2, 4), strict=True)])
    assert float(word_loss(torch.as_tensor(logits), torch.as_tensor(target))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("out = ", "not valid TOML"),
        ("epochs = 3", "unknown setting 'epochs'"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[train]\nepochs = "many"', "'epochs' must be of type int"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\ndepth = 3', "unknown model setting 'depth'"),
        ('out = "x"\n[data]\ntrain = "a"', "'dev' is missing"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[train]\nepochs = 0', "'epochs' must be from 1"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[train]\nrate = nan', "'rate' must be from"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[train]\ndropout = 2.0', "'dropout' must be from"),
        ('out = ""\n[data]\ntrain = "a"\ndev = "b"', "'out' must name a file"),
        ('out = "x"\ndata = 5', "'data' must be a table"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\nframe = "squash"', "stretch, letterbox or crop"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\ninput = 3', "input must be two whole numbers"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\ninput = true', "input must be two whole numbers"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\ninput = [64]', "input must be two whole numbers"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\ninput = [64, 6.4]', "input must be from 1 to 2048"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\nlayer = 4', "layer must be names"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\nstate = 1e3', "state must be from 1"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\ndecoder = "gru"', "two-lstm or show-attend-tell"),
        ('out = "x"\n[data]\ntrain = "a"\ndev = "b"\n[model]\npool = [7, 7]', "pool is for the decoder show-att"),
        ('out = "x"\nweights = 3\n[data]\ntrain = "a"\ndev = "b"', "'weights' must be the path"),
        ('out = "x"\nweights = "a.pth"\n[data]\ntrain = "a"\ndev = "b"\n[model]\nweights = "b.pth"', "one place"),
        ('out = "x"\nstart = "flicker8k"\n[data]\ntrain = "a"\ndev = "b"', "did you mean 'flickr8k'"),
    ],
)
def test_wrong_configurations_are_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(AttnvizError, match=said) as caught:
        read_config(path)
    assert "run.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[2].glob("configs/flickr8k-*.toml")), ids=lambda p: p.stem
)
def test_published_configurations_can_be_read(path: Path) -> None:
    config = read_config(path)
    assert Path(config.out).stem == path.stem
    if config.encoder:  # what is bundled, not a step on the way
        assert path.stem == f"{config.name}-{config.model.mode}"
    for needed in (config.start, config.score, config.data.writer):
        assert not needed or path.with_name(f"{Path(needed).stem}.toml").is_file()
