"""Frames measured by sending pictures through preprocessings of all kinds, against what these do by their code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torchvision import transforms as tt
from torchvision.transforms import v2

import attnviz
from attnviz.errors import ConfigError
from attnviz.photo.frame import Frame
from attnviz.photo.measure import Placement, measure_tiles

Pair = tuple[int, int]
Place = tuple[tuple[float, float], tuple[float, float]]  # resized, offset
Preprocess = Callable[[Any], Any]

QUARTER = 0.25  # of a pixel of the input
IMAGENET = tt.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def short_side(photo: Pair, short: int, crop: int) -> Place:
    """Torchvision's Resize and CenterCrop."""
    sides = [short if side == min(photo) else int(short * side / min(photo)) for side in photo]
    return (sides[0], sides[1]), (-round((sides[0] - crop) / 2), -round((sides[1] - crop) / 2))


def letterbox(picture: Image.Image) -> Any:
    """Code of somebody's own: resized, pasted on grey, channels first, from -1 to 1."""
    scale = 160 / max(picture.size)
    small = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (160, 160), (114, 114, 114))
    canvas.paste(small, ((160 - small.width) // 2, (160 - small.height) // 2))
    return np.asarray(canvas, np.float32).transpose(2, 0, 1) / 127.5 - 1


def letterbox_place(photo: Pair) -> Place:
    height, width = (round(side * 160 / max(photo)) for side in photo)
    return (height, width), ((160 - height) // 2, (160 - width) // 2)


def test_a_tile_that_shows_a_sliver_of_the_photo_does_not_spoil_the_others() -> None:
    def tiles(picture: Image.Image) -> np.ndarray:
        canvas = np.zeros((96, 192), np.float32)
        canvas[:, :104] = np.asarray(picture.convert("L").resize((104, 96)), np.float32)
        return np.stack([canvas[:, :96], canvas[:, 96:]])[:, None]

    whole, sliver = measure_tiles(tiles, (150, 160))
    assert whole is not None
    assert (whole.resized, whole.offset) == ((96, 104), (0, 0))
    assert sliver is None


def square_first(picture: Image.Image) -> Image.Image:
    """Padded to a square before it is resized: the photo ends between pixels."""
    return ImageOps.pad(picture, (max(picture.size),) * 2, color=(122, 116, 104)).resize((168, 168))


def square_first_place(photo: Pair) -> Place:
    longest = max(photo)
    scale = 168 / longest
    height, width = photo
    return (height * scale, width * scale), (
        round((longest - height) * 0.5) * scale,
        round((longest - width) * 0.5) * scale,
    )


def crop_first(picture: Image.Image) -> torch.Tensor:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((144, 144))
    return torch.tensor(np.asarray(square)).permute(2, 0, 1) / 255


def crop_first_place(photo: Pair) -> Place:
    side = min(photo)
    scale = 144 / side
    return (photo[0] * scale, photo[1] * scale), tuple(-((length - side) // 2) * scale for length in photo)  # type: ignore[return-value]


def top_left(picture: Image.Image) -> Any:
    """Channels last, black below and to the right, as in detection."""
    scale = 200 / max(picture.size)
    small = np.asarray(picture.resize((int(picture.width * scale), int(picture.height * scale))))
    return np.pad(small, ((0, 200 - small.shape[0]), (0, 200 - small.shape[1]), (0, 0)))


def repeated_edges(picture: Image.Image) -> Any:
    return np.pad(np.asarray(picture.resize((120, 90))), ((30, 14), (20, 28), (0, 0)), mode="edge")


def blue_first(picture: Image.Image) -> Any:
    """Interpolated without antialiasing, BGR, values cut off rather than rounded, a batch of one."""
    pixels = torch.tensor(np.asarray(picture)[..., ::-1].copy()).permute(2, 0, 1)[None].float()
    return F.interpolate(pixels, (112, 96), mode="bilinear").to(torch.uint8)


PREPROCESSORS: dict[str, tuple[Preprocess, Callable[[Pair], Place]]] = {
    "Resize, ToTensor": (tt.Compose([tt.Resize((96, 128)), tt.ToTensor()]), lambda _: ((96, 128), (0, 0))),
    "Resize, CenterCrop, Normalize": (
        tt.Compose([tt.Resize(128), tt.CenterCrop(112), tt.ToTensor(), IMAGENET]),
        lambda photo: short_side(photo, 128, 112),
    ),
    "bicubic, half precision": (
        v2.Compose(
            [
                v2.PILToTensor(),
                v2.Resize(144, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
                v2.CenterCrop(144),
                v2.ToDtype(torch.bfloat16, scale=True),
            ]
        ),
        lambda photo: short_side(photo, 144, 144),
    ),
    "Resize, Pad": (
        tt.Compose([tt.Resize((80, 100)), tt.Pad((6, 3, 30, 21)), tt.ToTensor()]),
        lambda _: ((80, 100), (3, 6)),
    ),
    "CenterCrop alone": (
        tt.Compose([tt.CenterCrop(80), tt.ToTensor()]),
        lambda photo: (photo, (-round((photo[0] - 80) / 2), -round((photo[1] - 80) / 2))),
    ),
    "grey": (tt.Compose([tt.Grayscale(), tt.Resize((64, 256)), tt.ToTensor()]), lambda _: ((64, 256), (0, 0))),
    "nearest": (lambda picture: picture.resize((96, 96), Image.Resampling.NEAREST), lambda _: ((96, 96), (0, 0))),
    "large": (
        lambda picture: {"pixel_values": [np.asarray(picture.resize((640, 480)))]},
        lambda _: ((480, 640), (0, 0)),
    ),
    "letterbox": (letterbox, letterbox_place),
    "padded to a square, resized": (square_first, square_first_place),
    "cropped to a square, resized": (crop_first, crop_first_place),
    "top left": (top_left, lambda photo: (tuple(int(side * 200 / max(photo)) for side in photo), (0, 0))),  # type: ignore[dict-item, return-value]
    "edges repeated": (repeated_edges, lambda _: ((90, 120), (30, 20))),
    "blue first": (blue_first, lambda _: ((112, 96), (0, 0))),
    "negative": (lambda picture: 255 - np.asarray(picture.resize((100, 90))), lambda _: ((90, 100), (0, 0))),
}


@pytest.mark.parametrize("photo", [(240, 320), (307, 211), (90, 124)])
@pytest.mark.parametrize("name", PREPROCESSORS)
def test_frames_are_measured_to_a_quarter_of_a_pixel(name: str, photo: Pair) -> None:
    preprocess, place = PREPROCESSORS[name]
    frame = Frame.measure(preprocess, photo, (7, 5))
    resized, offset = place(photo)
    np.testing.assert_allclose(frame.resized, resized, atol=QUARTER)
    np.testing.assert_allclose(frame.offset, offset, atol=QUARTER)
    if all(float(edge).is_integer() for edge in (*resized, *offset)):  # then exactly
        assert (frame.resized, frame.offset) == (resized, offset)
    assert (frame.photo, frame.grid) == (photo, (7, 5))
    shape = np.asarray(preprocess(Image.new("RGB", photo[::-1]))["pixel_values"] if name == "large" else [0]).shape
    assert name != "large" or shape[1:3] == frame.input


def test_the_public_name_is_there() -> None:
    frame = attnviz.Frame.measure(PREPROCESSORS["letterbox"][0], [300, 200], (14, 14))  # type: ignore[arg-type]
    assert frame == Frame.letterbox((300, 200), (160, 160), (14, 14))


def test_a_strip_that_is_padded_on_both_sides_is_counted() -> None:
    frame = Frame.measure(letterbox, (900, 30), (4, 4))
    assert (frame.resized, frame.offset) == ((160, 5), (0, 77))


def test_a_measured_frame_is_kept_and_draws_but_makes_no_input() -> None:
    frame = Frame.measure(square_first, (211, 307), (6, 6))
    assert not float(frame.resized[0]).is_integer()
    assert Frame.from_dict(frame.to_dict()) == frame
    assert frame.kind == "letterbox"
    np.testing.assert_allclose(frame.to_photo(frame.to_input([[0, 0], [211, 307]])), [[0, 0], [211, 307]], atol=1e-9)
    assert np.isfinite(frame.upsample(np.eye(6))).all()
    with pytest.raises(ConfigError, match="was measured"):
        frame.apply(np.zeros((211, 307, 3), np.uint8))


def tiles(picture: Image.Image) -> list[Any]:
    """An overview, four tiles of a larger copy, and one that shows nothing."""
    large = np.asarray(picture.resize((200, 160)))
    parts = [large[row : row + 80, column : column + 100] for row in (0, 80) for column in (0, 100)]
    return [np.asarray(picture.resize((100, 80))), np.stack(parts), np.zeros((1, 80, 100, 3))]


def test_tiles_are_measured_each() -> None:
    overview, *parts, nothing = measure_tiles(tiles, (240, 333))
    assert overview is not None
    assert overview == Placement((80, 100), (80, 100), (0, 0), overview.residual)
    assert overview.residual < 0.2
    assert nothing is None
    for part, (row, column) in zip(parts, [(0, 0), (0, -100), (-80, 0), (-80, -100)], strict=True):
        assert part is not None
        assert (part.input, part.resized, part.offset) == ((80, 100), (160, 200), (row, column))
    with pytest.raises(ConfigError, match="gives 6 pictures of a photo, not one"):
        Frame.measure(tiles, (240, 333), (4, 4))


def bent(picture: Image.Image) -> torch.Tensor:
    """A barrel."""
    pixels = torch.tensor(np.asarray(picture.resize((96, 96)))).permute(2, 0, 1)[None].float()
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")
    radius = 1 + 0.15 * (x * x + y * y)
    grid = torch.stack([x * radius, y * radius], -1)[None] / 1.3
    return F.grid_sample(pixels, grid, align_corners=False)[0]


def standardised(picture: Image.Image) -> Any:
    values = np.asarray(picture.resize((64, 64)), float)
    return (values - values.mean()) / (values.std() + 1e-6)


SHAPE = [(0, 0), (95, 0), (95, 95), (0, 95)]


@pytest.mark.parametrize(
    ("preprocess", "words"),
    [
        (ImageOps.mirror, "mirrors"),
        (ImageOps.flip, "mirrors"),
        (lambda picture: picture.rotate(180), "turns it over"),
        (lambda picture: picture.transpose(Image.Transpose.ROTATE_90), "turns the photo by a quarter"),
        (lambda picture: picture.transpose(Image.Transpose.TRANSPOSE).resize((96, 96)), "turns the photo by a quarter"),
        (lambda picture: picture.resize((96, 96)).rotate(7), "turns, bends or masks"),
        (lambda picture: picture.resize((200, 200)).rotate(1).crop((20, 20, 180, 180)), "turns, bends or masks"),
        (lambda picture: tt.functional.perspective(picture.resize((96, 96)), SHAPE, [(12, 0), *SHAPE[1:]]), "bends"),
        (bent, "bends"),
        (lambda picture: (np.asarray(picture.resize((96, 96))) / 255) ** 2.2, "changes its values"),
        (tt.Compose([tt.RandomCrop(64), tt.ToTensor()]), "another result each time"),
        (tt.Compose([tt.Resize((64, 64)), tt.RandomHorizontalFlip(), tt.ToTensor()]), "another result each time"),
        (tt.Compose([tt.ColorJitter(0.4), tt.Resize((64, 64)), tt.ToTensor()]), "another result each time"),
        (lambda _: np.random.default_rng().random((3, 32, np.random.default_rng().integers(32, 99))), "of other sizes"),
        (standardised, "the same for a black and a white photo"),
        (lambda _: np.zeros((3, 32, 32)), "the same for a black and a white photo"),
        (lambda _: np.zeros((2, 3, 32, 32)), "gives 2 pictures"),
        (lambda _: [[]], "gives no picture"),
        (lambda _: np.zeros((99, 32, 32)), "no picture"),
        (lambda _: np.zeros(7), "no picture"),
        (lambda _: None, "gives NoneType"),
        (lambda _: "x", "gives str"),
        (lambda _: {"input_ids": [1]}, "without 'pixel_values'; it has input_ids"),
        (lambda picture: picture.nothing, "fails on a PIL image of 160x120 pixels .AttributeError"),
        (lambda picture: picture.resize((8, 8)), "shows 8 pixels of the photo, which are too few"),
    ],
)  # fmt: skip
def test_what_cannot_be_laid_on_the_photo_is_refused_by_one_line(preprocess: Preprocess, words: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(ConfigError, match=words) as caught:
        Frame.measure(preprocess, (120, 160), (4, 4))
    assert str(caught.value).startswith("preprocess")
    assert "\n" not in str(caught.value)


def test_photo_sizes_that_are_none() -> None:
    with pytest.raises(ConfigError, match="photo size must be"):
        Frame.measure(letterbox, (0, 5), (4, 4))
