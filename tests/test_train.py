"""Training on four tiny photos: every mode learns, a broken-off run goes on as if nothing had been."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from attnviz.data import Caption, Phrase, Record
from attnviz.errors import AttnvizError, ConfigError
from attnviz.explain import explain
from attnviz.geometry import Frame
from attnviz.model import ModelConfig, load_checkpoint
from attnviz.model.attention import SCORES
from attnviz.model.vocabulary import END, PAD, SPECIAL, START, UNKNOWN, Vocabulary
from attnviz.train import DataConfig, FitConfig, TrainConfig, fit, read_config
from attnviz.train.batches import collate, lesson
from attnviz.train.losses import box_loss, word_loss

STEM = "backbone.stem.weight"
COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (30, 30, 220), "white": (250, 250, 250)}


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """A coloured square, left or right, on black; the captions say its colour, the boxes where it is."""
    lines = []
    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as archive:
        for number, (colour, rgb) in enumerate(COLOURS.items()):
            left = 0 if number % 2 else 32
            pixels = np.zeros((64, 64, 3), np.uint8)
            pixels[16:48, left : left + 32] = rgb
            Image.fromarray(pixels).save(tmp_path / f"{colour}.png")
            archive.write(tmp_path / f"{colour}.png", f"{colour}.png")
            side = "left" if left == 0 else "right"
            caption = {"tokens": ["A", colour, "square", "on", "the", side, "."], "phrases": [[0, 3, "1", []]]}
            box = [left / 64, 0.25, left / 64 + 0.5, 0.75]
            lines.append(
                json.dumps(
                    {
                        "image": f"{colour}.png",
                        "width": 64,
                        "height": 64,
                        "captions": [caption] * 2,
                        "boxes": {"1": [box]},
                    }
                )
            )
    (tmp_path / "toy.jsonl").write_text("\n".join(lines))
    return DataConfig(
        str(tmp_path / "toy"), str(tmp_path / "toy"), cache=str(tmp_path / "cache"), minimum=1, captions=2
    )


def config(data: DataConfig, folder: Path, mode: str = "concat", **changes: object) -> FitConfig:
    size = 16 if mode in ("dot", "channel-dot") else 12  # 4x4 cells
    model = ModelConfig(mode, input=(64, 64), channels=size, embedding=12, state=size, language=12, attention=8)
    train = TrainConfig(**{"epochs": 2, "photos": 2, "rate": 0.01, "dropout": 0.1, "average": 0.5, **changes})  # type: ignore[arg-type]
    return FitConfig(str(folder / f"{mode}.safetensors"), data, "toy", pretrained="", model=model, train=train)


def quiet(line: str) -> None:
    assert "\n" not in line


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


def test_fine_tuning_changes_the_backbone_and_freezing_does_not(data: DataConfig, tmp_path: Path) -> None:
    start = fit(config(data, tmp_path / "a", epochs=1), quiet)
    for rate in (0.0, 1e-3):
        again = replace(config(data, tmp_path / str(rate), epochs=1, encoder_rate=rate), start=str(start))
        tuned = load_checkpoint(fit(again, quiet))
        same = torch.equal(tuned.state_dict()[STEM], load_checkpoint(start).state_dict()[STEM])
        assert same == (rate == 0)


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
    assert batch.boxed.tolist() == [[True, True, *[False] * 5], [False] * 7]
    np.testing.assert_allclose(batch.inside[0, :2], [[0.5, 0, 0, 0]] * 2)


def test_a_cut_caption_has_no_end() -> None:
    vocabulary = Vocabulary((*SPECIAL, "a"))
    long = Record("z.jpg", (1, 1), (Caption(("a",) * 50),), {})
    assert END not in lesson(long, vocabulary, FRAME, 1).words


def test_losses_against_loops() -> None:
    rng = np.random.default_rng(0)
    weights, inside = rng.dirichlet(np.ones(4), (2, 3)), rng.random((2, 3, 4))
    boxed = np.array([[True, False, True], [False, False, True]])
    expected = np.mean([-np.log(sum(weights[i, j] * inside[i, j])) for i in range(2) for j in range(3) if boxed[i, j]])
    got = box_loss(*map(torch.as_tensor, (weights, inside, boxed)))
    assert float(got) == pytest.approx(expected)
    assert float(box_loss(torch.ones(1, 1, 4), torch.ones(1, 1, 4), torch.zeros(1, 1, dtype=torch.bool))) == 0

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
    "path", sorted(Path(__file__).parent.parent.glob("configs/flickr8k-*.toml")), ids=lambda p: p.stem
)
def test_published_configurations_can_be_read(path: Path) -> None:
    assert read_config(path).model.mode == path.stem.removeprefix("flickr8k-")
