"""The bundled models say and see what is on the sample photos."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import attnviz
from attnviz.captioner.attention import SCORES
from attnviz.captioner.header import WEIGHTS
from attnviz.data.regions import union_cover
from attnviz.network import Asked
from attnviz.photo.image import load
from attnviz.train import TrainConfig, read_config
from attnviz.train.state import recipe
from attnviz.zoo import bundled, load_captioner

if TYPE_CHECKING:
    from attnviz.captioner import Captioner

CONFIGS = Path(__file__).parents[2] / "configs"
SAMPLES = Path(__file__).parents[2] / "sample_images"
MODELS = [(one.name, one.mode) for one in bundled()]

CELLS = ("dot", "general", "concat")  # the modes whose weights are the cells' own

# Where things are, drawn around them by hand: (y0, x0, y1, x1) in fractions of the upright photo.
TWO_DOGS = [[0.22, 0.30, 0.48, 0.54], [0.43, 0.45, 0.68, 0.68]]
BEAR = [[0.30, 0.22, 0.78, 0.86]]
HORSES = [[0.28, 0.10, 0.85, 0.90]]
SHEEP = [[0.10, 0.22, 0.92, 0.70]]


@pytest.fixture(scope="module", params=MODELS, ids="-".join)
def model(request: pytest.FixtureRequest) -> Captioner:
    name, mode = request.param
    return load_captioner(name, mode, device="cpu")


def mass(trace: attnviz.Trace, word: str, boxes: list[list[float]]) -> float:
    """The weight of `word` inside the boxes."""
    assert trace.frame is not None
    weights = trace.weights[trace.tokens.index(word)]
    return float((weights * union_cover(trace.frame.to_cells(boxes), trace.grid)).sum())


def shown_boxes(model: Captioner) -> bool:
    """Whether the model's own weights were taught with boxes."""
    return model.name == "flickr8k" and model.mode in CELLS


def test_every_mode_and_the_twin_are_there() -> None:
    assert [*(("flickr8k", mode) for mode in SCORES), ("flickr8k-plain", "concat")] == MODELS


def test_the_modes_share_one_encoder_and_all_are_small() -> None:
    files = {(one.name, one.meta()["encoder"]["file"]) for one in bundled()}
    assert files == {
        ("flickr8k", "flickr8k-encoder.safetensors"),
        ("flickr8k-plain", "flickr8k-plain-encoder.safetensors"),
    }
    assert sum(path.stat().st_size for path in WEIGHTS.glob("*.safetensors")) < 60e6


def test_no_box_has_shaped_the_twin() -> None:
    (twin,) = [one for one in bundled() if one.name == "flickr8k-plain"]
    todo, done = [twin.path.stem], list[str]()
    while todo:  # back to the start, by way of whatever wrote sentences for it
        config = read_config(CONFIGS / f"{todo.pop()}.toml")
        assert config.train.boxes == config.train.even == 0  # `even` asks the boxes which words have none
        done.append(config.out.removesuffix(".safetensors"))
        assert config.encoder in ("", "flickr8k-plain-encoder.safetensors")
        todo += [name.removesuffix(".safetensors") for name in (config.start, config.score, config.data.writer) if name]
    assert done[0] == twin.path.stem
    assert {"flickr8k-base", "flickr8k-finetune", "flickr8k-writer"} <= set(done)


def test_captions_name_what_is_there(model: Captioner) -> None:
    names = ["dog.jpg", "two-dogs.jpg", "musicians.jpg", "cat.png", "sheep-rotated.jpg", "horses.jpg", "cow.jpg"]
    dog, dogs, people, cat, sheep, horses, cow = attnviz.explain(model, [SAMPLES / name for name in names])
    assert {"dog", "shepherd"} & set(dog.tokens)
    assert "grass" in dog.tokens
    assert "cat" in cat.tokens
    assert "sheep" in sheep.tokens
    assert {"dog", "dogs"} & set(dogs.tokens)
    assert {"people", "men", "man"} & set(people.tokens)
    assert "horses" in horses.tokens  # by what the encoder's last map tells of kinds
    assert {"cow", "cows"} & set(cow.tokens)


def test_a_photo_gets_the_same_bits_whatever_its_neighbours(model: Captioner) -> None:
    names = ["dog.jpg", "two-dogs.jpg", "musicians.jpg", "cat.png", "sheep-rotated.jpg"]
    prepared = [model.prepare(load(SAMPLES / name)) for name in names]

    def bits(order: list[int]) -> list[tuple[object, ...]]:
        traces = model.describe([prepared[i] for i in order], Asked())
        return [(one.tokens, one.weights.tobytes(), one.logprobs.tobytes()) for one in traces]  # type: ignore[union-attr]

    known = [bits([i])[0] for i in range(len(names))]
    for order in ([4, 2, 0, 3, 1], [1, 1, 3]):
        assert bits(order) == [known[i] for i in order]


@pytest.mark.parametrize(
    ("name", "text", "word", "boxes"),
    [
        ("two-dogs.jpg", "two dogs", "dogs", TWO_DOGS),
        ("horses.jpg", "horses in a field", "horses", HORSES),
        ("sheep-rotated.jpg", "a sheep", "sheep", SHEEP),  # right only when the EXIF rotation is
    ],
)
def test_it_looks_where_the_word_is(
    model: Captioner, name: str, text: str, word: str, boxes: list[list[float]]
) -> None:
    (trace,) = attnviz.explain(model, SAMPLES / name, text=text)
    share = union_cover(np.array(boxes), (1, 1))[0, 0]  # what looking everywhere alike would have
    assert share < 0.5
    assert mass(trace, word, boxes) > (0.8 if shown_boxes(model) else 1.1 * share)


def test_the_grass_is_below_the_dog(model: Captioner) -> None:
    (trace,) = attnviz.explain(model, SAMPLES / "dog.jpg", text="a dog on the grass")
    rows = (trace.weights.sum(2) * (np.arange(trace.grid[0]) + 0.5)).sum(1) / trace.grid[0]
    # The other modes cannot focus: flat-concat has a ceiling, and a channel is all over the grid.
    least = 0.1 if model.mode in CELLS else 0.03
    assert rows[trace.tokens.index("grass")] > rows[trace.tokens.index("dog")] + least
    assert not trace.summary()["notes"]  # nothing dead, no word unknown


def test_a_map_is_a_shape_and_not_a_spot(model: Captioner) -> None:
    (trace,) = attnviz.explain(model, SAMPLES / "dog.jpg", text="a dog on the grass")
    heaviest = np.sort(trace.weights[trace.tokens.index("dog")], axis=None)[::-1].cumsum()
    # The dog covers some 65 of the 256 cells; without `box_spread`, half of the weight lay in two to seven of 196.
    assert (heaviest < 0.5).sum() + 1 >= 10


def test_the_first_picture_of_the_readme_is_right() -> None:
    """The README shows it, and says where the heat lies."""
    model = load_captioner("flickr8k", "concat", device="cpu")
    (trace,) = attnviz.explain(model, SAMPLES / "polar-bear.jpg")
    assert trace.caption == "a white bear in the snow"
    assert not trace.summary()["notes"]
    assert min(mass(trace, word, BEAR) for word in ("white", "bear")) > 0.8
    assert mass(trace, "snow", BEAR) < 0.5


def test_all_say_what_they_do_not_know(model: Captioner) -> None:
    """A temperature above 1, since they are too sure of themselves, and a note on a picture that is no photo."""
    assert 1 < model.temperature < 1.5
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    (strange,) = attnviz.explain(model, noise, text="a dog")
    assert any("unlike what the model was trained on" in note for note in strange.summary()["notes"])


def test_the_card_names_data_and_figures() -> None:
    for one in bundled():
        card = one.meta()["card"]
        assert card["trained on"]
        boxed = one.name == "flickr8k" and one.mode in CELLS
        assert card["figures"]["BLEU-4"] >= (20 if boxed else 17)
        assert card["figures"]["correctness"] >= (0.70 if boxed else 0.3)
        config = read_config(CONFIGS / f"{one.path.stem}.toml")
        # A setting that is younger than the checkpoint counts as its default, with which it changes nothing.
        stored = card["recipe"] | {"train": asdict(TrainConfig(**card["recipe"]["train"]))}
        stored["data"] = {"rare": 0.0} | stored["data"]
        assert json.loads(json.dumps(recipe(config))) == stored
        assert (config.name, config.model.mode) == (one.name, one.mode)
