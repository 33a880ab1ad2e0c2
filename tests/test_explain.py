"""From photos to traces: frames, given words, batches."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import attnviz
from attnviz.captioner import Captioner, ModelConfig
from attnviz.captioner.vocabulary import SPECIAL, Vocabulary
from attnviz.errors import AttnvizError, ConfigError, ImageError


@pytest.fixture(scope="module")
def model() -> Captioner:
    return Captioner.tiny()


def test_a_trace_says_where_it_comes_from(model: Captioner, photo: Path) -> None:
    (trace,) = attnviz.explain(model, [photo], beam=2)
    assert trace.image is not None
    assert (trace.image.name, trace.image.size) == ("photo.png", (40, 60))
    assert trace.image.sha256 == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert (trace.model, trace.mode, trace.version) == ("tiny", "concat", attnviz.__version__)
    assert trace.settings == {"beam": 2, "given": False}
    assert trace.frame == attnviz.Frame.stretch((40, 60), (32, 32), (2, 2))
    assert trace.heatmap(0).shape == (40, 60)


@pytest.mark.parametrize("kind", ["stretch", "letterbox", "crop"])
def test_the_frame_is_the_models(kind: str, pixels: np.ndarray) -> None:
    lite = "efficientnet-lite0"
    config = ModelConfig("concat", lite, None, (32, 32), kind, channels=6, embedding=8, state=6, language=8)  # type: ignore[arg-type]
    (trace,) = attnviz.explain(Captioner(config, Vocabulary((*SPECIAL, "a"))).eval(), pixels, text="a")
    assert trace.frame is not None
    assert trace.frame.kind == kind


def test_images_of_all_kinds(model: Captioner, photo: Path, pixels: np.ndarray) -> None:
    sources = [photo, str(photo), photo.read_bytes(), Image.open(photo), pixels]
    traces = attnviz.explain(model, sources, text="a dog")
    for trace in traces[1:]:
        np.testing.assert_array_equal(trace.weights, traces[0].weights)
    for source in sources:
        assert len(attnviz.explain(model, source, text="a dog")) == 1


def test_one_text_for_all_or_one_each(model: Captioner, pixels: np.ndarray) -> None:
    both = attnviz.explain(model, [pixels, pixels], text="a dog")
    assert [trace.caption for trace in both] == ["a dog"] * 2
    each = attnviz.explain(model, [pixels, pixels], text=["a cat runs", "Zebra!"], batch=1)
    assert [trace.caption for trace in each] == ["a cat runs", "Zebra!"]
    assert [trace.settings["unknown"] for trace in each] == [[], ["Zebra!"]]
    assert '"Zebra"' in str(each[1].summary()["notes"])  # the sign behind it is no part of the word
    with pytest.raises(ConfigError, match="1 texts for 2 images"):
        attnviz.explain(model, [pixels, pixels], text=["a"])


def test_batches_change_nothing(model: Captioner) -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (20 + 9 * i, 50 - 7 * i, 3), dtype=np.uint8) for i in range(5)]
    for one, other in zip(attnviz.explain(model, photos), attnviz.explain(model, photos, batch=2), strict=True):
        assert one.tokens == other.tokens
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-5)


def test_errors_pass_through(model: Captioner, pixels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.jpg"):
        attnviz.explain(model, [tmp_path / "none.jpg"])
    with pytest.raises(AttnvizError, match="no word"):
        attnviz.explain(model, pixels, text="")
    with pytest.raises(ImageError):
        attnviz.explain(model, pixels, max_pixels=100)


def test_no_images_no_traces(model: Captioner) -> None:
    assert attnviz.explain(model, []) == []


@pytest.mark.parametrize(
    "wrong",
    [{"batch": 0}, {"batch": -1}, {"text": [None]}, {"text": 5}, {"hard": "soft"}, {"beam": 2.5}, {"beam": "3"}],
    ids=str,
)
def test_wrong_arguments_are_told(model: Captioner, pixels: np.ndarray, wrong: dict[str, Any]) -> None:
    with pytest.raises(AttnvizError) as caught:
        attnviz.explain(model, [pixels], **wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("images", [None, 5])
def test_what_is_no_image_is_told(model: Captioner, images: Any) -> None:
    with pytest.raises(AttnvizError):
        attnviz.explain(model, images)
