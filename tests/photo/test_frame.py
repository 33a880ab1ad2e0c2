"""The map between photo, input and grid, against plain loops, Pillow and torch."""

from __future__ import annotations

import json
import time
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings, strategies as st
from PIL import Image

from attnviz.errors import ConfigError
from attnviz.photo.frame import Frame

Pair = tuple[int, int]


def pairs(most: int, least: int = 1) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def frames(draw: st.DrawFn, photo: int = 120, grid: int = 9) -> Frame:
    """Frames of all kinds, and ones that other programs may make: cut or padded at one end, or both at once."""
    size, shape = draw(pairs(photo)), draw(pairs(grid))
    kind = draw(st.sampled_from(["stretch", "letterbox", "crop", "other", "fractions"]))
    model = draw(pairs(64, 4))
    if kind == "stretch":
        return Frame.stretch(size, model, shape)
    if kind == "letterbox":
        return Frame.letterbox(size, model, shape)
    if kind == "crop":
        return Frame.crop(size, model, shape, draw(st.none() | st.integers(max(model), 90)))
    resized = draw(pairs(90))
    offset = tuple(draw(st.integers(1 - r, i - 1)) for r, i in zip(resized, model, strict=True))
    if kind == "other":
        return Frame(size, model, shape, resized, (offset[0], offset[1]))
    more = draw(
        st.tuples(*[st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.9375])] * 4)
    )  # as of preprocessing that is measured
    return Frame(
        size,
        model,
        shape,
        (resized[0] + more[0], resized[1] + more[1]),
        (offset[0] + more[2] * (offset[0] < 0), offset[1] + more[3] * (offset[1] < 0)),
    )


def one_axis(frame: Frame, axis: int, size: int, values: list[Fraction], cells: bool) -> list[Fraction | None]:
    """The value at each pixel of one axis in exact fractions and plain loops; None where the model saw nothing."""
    n, model = frame.grid[axis], frame.input[axis]
    offset, resized = Fraction(frame.offset[axis]), Fraction(frame.resized[axis])
    scale = resized / size  # input pixels a drawn pixel
    cell = Fraction(model, n)  # input pixels a cell
    low, high = (
        max(Fraction(0), offset),
        min(Fraction(model), offset + resized),
    )  # the part of the input that shows the photo
    shown = [i for i in range(n) if cell * i < high and cell * (i + 1) > low]
    result: list[Fraction | None] = []
    for p in range(size):
        left, right = p * scale + offset, (p + 1) * scale + offset
        centre = (left + right) / 2
        if not 0 <= centre <= model:
            result.append(None)
        elif cell / scale < (1 if cells else 2):
            areas = [max(min(right, cell * (i + 1)) - max(left, cell * i), Fraction(0)) for i in shown]
            result.append(sum((a * values[i] for a, i in zip(areas, shown, strict=True)), Fraction(0)) / sum(areas))
        elif cells:
            result.append(values[min(max(int(centre // cell), shown[0]), shown[-1])])
        else:
            before = [i for i in shown if cell * (i + Fraction(1, 2)) <= centre]
            after = [i for i in shown if cell * (i + Fraction(1, 2)) > centre]
            if not before:
                result.append(values[after[0]])
            elif not after:
                result.append(values[before[-1]])
            else:
                share = centre / cell - before[-1] - Fraction(1, 2)
                result.append(values[before[-1]] * (1 - share) + values[after[0]] * share)
    return result


def nearest_pixels(centre: float, size: int) -> list[int]:
    """The one or two pixels of an axis whose centres are nearest."""
    distances = np.abs(np.arange(size) + 0.5 - centre)
    return [int(p) for p in np.flatnonzero(distances <= distances.min() + 1e-9)]


@given(frames(), st.data())
def test_to_photo_inverts_to_input(frame: Frame, data: st.DataObject) -> None:
    points = np.array(data.draw(st.lists(st.tuples(*[st.floats(-500, 500)] * 2), max_size=5))).reshape(-1, 2)
    np.testing.assert_allclose(frame.to_photo(frame.to_input(points)), points, atol=1e-6)
    np.testing.assert_allclose(frame.to_input(frame.to_photo(points)), points, atol=1e-6)


@given(frames())
def test_corners_of_the_photo_are_corners_of_the_resized_photo(frame: Frame) -> None:
    corners = frame.to_input([(0, 0), frame.photo])
    np.testing.assert_allclose(corners[0], frame.offset)
    np.testing.assert_allclose(corners[1], np.add(frame.offset, frame.resized))


@settings(max_examples=300, deadline=None)
@given(frames(), pairs(150), st.booleans())
def test_one_hot_law(frame: Frame, picture: Pair, whole: bool) -> None:
    """The pixel nearest the centre of a one-hot cell attains the maximum, within half a pixel on each axis."""
    size = frame.photo if whole else picture
    pitch = np.array(frame.cell_size(size))
    assume((pitch >= 2).all())
    seen, coverage = frame.seen(size), frame.coverage()
    centres = frame.centres() * np.array(size) / np.array(frame.photo)
    for row, column in np.ndindex(frame.grid):
        y, x = centres[row, column]
        if not (0 <= y <= size[0] and 0 <= x <= size[1]):
            continue
        assert coverage[row, column] > 0
        grid = np.zeros(frame.grid)
        grid[row, column] = 1
        heat = frame.upsample(grid, size)
        top = np.nanmax(heat)
        for axis, (centre, index) in enumerate(((y, row), (x, column))):
            profile = np.nanmax(np.where(seen, heat, -1), axis=1 - axis)
            drawn = np.flatnonzero(coverage.max(axis=1 - axis) > 0)
            for pixel in nearest_pixels(centre, size[axis]):
                if pixel not in np.argwhere(seen)[:, axis]:
                    continue
                distance = abs(pixel + 0.5 - centre)
                assert distance <= 0.5 + 1e-9
                if drawn[0] < index < drawn[-1]:
                    # Inside the grid no pixel is above it, and what lies a cell away has nothing left.
                    assert profile[pixel] >= top * (1 - 1e-6)
                    away = np.abs(np.arange(size[axis]) + 0.5 - centre)
                    assert not (profile[(away >= pitch[axis] - 1e-9) & (profile >= 0)] > 1e-5).any()
                else:
                    # The height is kept to the edge, so only the half pixel's way back from the centre may be missing.
                    assert profile[pixel] >= top * (1 - distance / pitch[axis]) - 1e-6


@given(frames(), st.data())
def test_border_cells_keep_their_height_to_the_edge(frame: Frame, data: st.DataObject) -> None:
    assume(min(frame.cell_size()) >= 2)
    rows, columns = (np.flatnonzero(frame.coverage().max(axis=1 - axis) > 0) for axis in (0, 1))
    row, column = data.draw(st.sampled_from([rows[0], rows[-1]])), data.draw(st.sampled_from([columns[0], columns[-1]]))
    grid = np.zeros(frame.grid)
    grid[row, column] = 1
    seen = np.argwhere(frame.seen())
    corner = [seen[:, 0].min() if row == rows[0] else seen[:, 0].max(), 0]
    corner[1] = seen[:, 1].min() if column == columns[0] else seen[:, 1].max()
    heat = frame.upsample(grid)
    centre = frame.centres()[row, column]
    beyond = all(
        corner[axis] + 0.5 <= centre[axis] if index == first[0] else corner[axis] + 0.5 >= centre[axis]
        for axis, (index, first) in enumerate(((row, rows), (column, columns)))
    )
    if beyond:  # else the photo ends before it reaches the centre of a cell that is mostly padding
        assert heat[corner[0], corner[1]] == 1


@settings(max_examples=300, deadline=None)
@given(frames(photo=40, grid=12), st.none() | pairs(50), st.booleans(), st.integers(0, 2**32 - 1))
def test_upsample_against_plain_loops(frame: Frame, size: Pair | None, cells: bool, seed: int) -> None:
    """An outer product is upsampled to the outer product of its axes; a sum of them to the sum."""
    height, width = size or frame.photo
    generator = np.random.default_rng(seed)
    expected, grid = np.zeros((height, width)), np.zeros(frame.grid)
    for _ in range(2):
        values = [[Fraction(int(v)) for v in generator.integers(0, 100, n)] for n in frame.grid]
        down = one_axis(frame, 0, height, values[0], cells)
        across = one_axis(frame, 1, width, values[1], cells)
        if all(v is None for v in down) or all(v is None for v in across):
            return  # no centre of a pixel was seen: another test's matter
        grid += np.outer([float(v) for v in values[0]], [float(v) for v in values[1]])
        expected += np.outer(_numbers(down), _numbers(across))
    if cells and _centre_on_border(frame, (height, width)):
        return  # either neighbour will do
    heat = frame.upsample(grid, size, cells=cells)
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, expected, rtol=1e-5, atol=1e-2)
    np.testing.assert_array_equal(np.isnan(heat), ~frame.seen(size))


def _numbers(values: list[Fraction | None]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]


def _centre_on_border(frame: Frame, size: Pair) -> bool:
    return any(
        ((Fraction(2 * p + 1, 2) * frame.resized[a] / size[a] + frame.offset[a]) * frame.grid[a] / frame.input[a]) % 1
        == 0
        for a in (0, 1)
        for p in range(size[a])
    )


@settings(deadline=None)
@given(pairs(9), pairs(100), st.integers(0, 2**32 - 1))
def test_stretch_equals_torch(grid: Pair, photo: Pair, seed: int) -> None:
    functional = pytest.importorskip("torch.nn.functional")
    torch = pytest.importorskip("torch")
    assume(photo[0] >= 2 * grid[0] and photo[1] >= 2 * grid[1])
    values = np.random.default_rng(seed).random((3, *grid), np.float32)
    ours = Frame.stretch(photo, (64, 64), grid).upsample(values)
    theirs = functional.interpolate(torch.from_numpy(values)[None], photo, mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-6)


def test_stretch_equals_pillow() -> None:
    values = np.random.default_rng(0).random((14, 14), np.float32)
    theirs = Image.fromarray(values).resize((640, 427), Image.Resampling.BILINEAR)
    ours = Frame.stretch((427, 640), (224, 224), (14, 14)).upsample(values)
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=1e-5)


@settings(deadline=None)
@given(pairs(9), st.tuples(st.floats(16, 40), st.floats(16, 40)), st.integers(0, 2**32 - 1))
def test_stretch_keeps_the_mean(grid: Pair, pitch: tuple[float, float], seed: int) -> None:
    photo = (int(np.ceil(grid[0] * pitch[0])), int(np.ceil(grid[1] * pitch[1])))
    weights = np.random.default_rng(seed).dirichlet(np.full(grid[0] * grid[1], 0.3)).reshape(grid)
    heat = Frame.stretch(photo, (224, 224), grid).upsample(weights * weights.size)
    assert heat.mean(dtype=np.float64) == pytest.approx(1, abs=1e-3)


@given(pairs(16), st.tuples(st.integers(2, 20), st.integers(2, 20)))
def test_whole_cells_keep_each_cells_weight(grid: Pair, pitch: Pair) -> None:
    """Where cells are a whole number of pixels, even a single cell's weight is kept to rounding."""
    frame = Frame.stretch((grid[0] * pitch[0], grid[1] * pitch[1]), (224, 224), grid)
    cell = np.zeros(grid)
    cell[grid[0] // 2, grid[1] // 2] = cell.size
    assert frame.upsample(cell).mean(dtype=np.float64) == pytest.approx(1, abs=1e-5)


@settings(deadline=None)
@given(frames(), st.none() | pairs(150), st.booleans())
def test_an_even_grid_stays_even(frame: Frame, size: Pair | None, cells: bool) -> None:
    heat = frame.upsample(np.full(frame.grid, 3.0), size, cells)
    assert heat.shape == (size or frame.photo)
    np.testing.assert_allclose(heat[frame.seen(size)], 3, rtol=1e-6)
    assert frame.seen(size).any()


@settings(deadline=None)
@given(frames(), st.none() | pairs(150), st.booleans(), st.integers(0, 2**32 - 1))
def test_nothing_is_invented(frame: Frame, size: Pair | None, cells: bool, seed: int) -> None:
    """No pixel leaves the range of the cells that show the photo, and padding never shows."""
    values = np.random.default_rng(seed).random(frame.grid)
    shown = frame.coverage() > 0
    heat = frame.upsample(np.where(shown, values, 1e6), size, cells)
    assert np.nanmax(heat) <= values[shown].max() * (1 + 1e-6)
    assert np.nanmin(heat) >= values[shown].min() * (1 - 1e-6)


@given(frames())
def test_coverage_sums_to_the_photos_share_of_the_input(frame: Frame) -> None:
    overlap = [min(i, o + r) - max(0, o) for i, o, r in zip(frame.input, frame.offset, frame.resized, strict=True)]
    coverage = frame.coverage()
    assert coverage.shape == frame.grid
    assert ((coverage >= 0) & (coverage <= 1)).all()
    cell = frame.input[0] * frame.input[1] / (frame.grid[0] * frame.grid[1])
    assert coverage.sum() * cell == pytest.approx(overlap[0] * overlap[1])
    if frame.kind == "stretch":
        assert coverage == pytest.approx(1)


@given(frames())
def test_boxes_tile_the_input_and_hold_their_centres(frame: Frame) -> None:
    boxes, centres = frame.boxes(), frame.centres()
    np.testing.assert_allclose((boxes[..., :2] + boxes[..., 2:]) / 2, centres, atol=1e-6)
    np.testing.assert_allclose(boxes[0, 0, :2], frame.to_photo([0, 0]), atol=1e-6)
    np.testing.assert_allclose(boxes[-1, -1, 2:], frame.to_photo(frame.input), atol=1e-6)
    np.testing.assert_allclose(boxes[1:, :, 0], boxes[:-1, :, 2], atol=1e-6)
    np.testing.assert_allclose(boxes[:, 1:, 1], boxes[:, :-1, 3], atol=1e-6)


@given(frames(photo=30), st.integers(1, 6))
def test_a_picture_of_another_size_shows_the_same(frame: Frame, times: int) -> None:
    """Drawn 2k+1 times as large, each photo pixel's middle falls on a drawn pixel's middle: the values must agree."""
    assume(min(frame.cell_size()) >= 2)
    odd = 2 * times + 1
    values = np.random.default_rng(times).random(frame.grid)
    small = frame.upsample(values)
    large = frame.upsample(values, (frame.photo[0] * odd, frame.photo[1] * odd))[times::odd, times::odd]
    both = ~np.isnan(small) & ~np.isnan(large)
    np.testing.assert_allclose(small[both], large[both], atol=1e-5)


@given(frames())
def test_dict_round_trip_through_json(frame: Frame) -> None:
    assert Frame.from_dict(json.loads(json.dumps(frame.to_dict()))) == frame


@pytest.mark.parametrize("photo", [(427, 640), (640, 427), (333, 500), (100, 1000), (257, 257), (231, 1023)])
@pytest.mark.parametrize(("resize", "side"), [(256, 224), (232, 224), (224, 224), (299, 287)])
def test_crop_equals_torchvision(photo: Pair, resize: int, side: int) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    pixels = np.random.default_rng(1).integers(0, 256, (*photo, 3), np.uint8)
    frame = Frame.crop(photo, (side, side), (7, 7), resize)
    theirs = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(side)])(Image.fromarray(pixels))
    assert frame.kind == ("crop" if frame.resized != (side, side) else "stretch")
    # Cutting first rounds the filter's positions otherwise, by less than a grey level's step.
    assert np.abs(frame.apply(pixels).astype(int) - np.asarray(theirs).astype(int)).max() <= 1


@given(pairs(60), pairs(40), st.sampled_from(["stretch", "letterbox", "crop"]))
def test_apply_puts_the_photo_where_the_frame_says(photo: Pair, size: Pair, kind: str) -> None:
    """A photo whose colours are its coordinates: each input pixel must hold its own place on the photo."""
    frame = getattr(Frame, kind)(photo, size, (1, 1))
    y, x = np.meshgrid(*(np.linspace(0, 250, n) if n > 1 else np.zeros(1) for n in photo), indexing="ij")
    pixels = np.stack([y, x, np.full_like(x, 255)], axis=-1).round().astype(np.uint8)
    result = frame.apply(pixels, fill=(1, 2, 3))
    assert result.shape == (*size, 3)
    inside = result[..., 2] == 255
    assert (result[~inside] == (1, 2, 3)).all()
    rows, columns = np.nonzero(inside)
    assert len(rows) == np.prod([min(i, r) for i, r in zip(size, frame.resized, strict=True)])
    places = frame.to_photo(np.stack([rows, columns], axis=-1) + 0.5)
    for axis in (0, 1):
        # At the photo's edges the filter has one side only, which moves its mean by up to half its width.
        step = 250 / max(photo[axis] - 1, 1)
        slack = step * (0.5 * max(photo[axis] / frame.resized[axis], 1) + 0.5) + 2
        expected = np.clip((places[:, axis] - 0.5) * step, 0, 250) if photo[axis] > 1 else 0
        assert (np.abs(result[rows, columns, axis] - expected) <= slack).all()


def test_letterbox_of_a_strip() -> None:
    frame = Frame.letterbox((10_000, 10), (224, 224), (14, 14))
    assert (frame.resized, frame.offset) == ((224, 1), (0, 111))
    np.testing.assert_allclose(frame.to_photo([[0, 111], [224, 112]]), [[0, 0], [10_000, 10]])
    assert (frame.coverage() > 0).sum() == 14  # a pixel wide: one column of cells
    weights = np.zeros((14, 14))
    weights[13, 6] = 1
    heat = frame.upsample(weights)
    assert heat.shape == (10_000, 10)
    assert (heat[9_700:] == 1).all()
    assert (heat[:8_900] == 0).all()
    assert frame.apply(np.zeros((10_000, 10, 3), np.uint8)).shape == (224, 224, 3)


def test_letterbox_rounds_to_the_nearest_pixel() -> None:
    frame = Frame.letterbox((37, 50), (32, 32), (4, 4))  # 37 * 32 / 50 = 23.68
    assert (frame.resized, frame.offset) == ((24, 32), (4, 0))


def test_crop_of_a_strip_keeps_to_the_middle() -> None:
    frame = Frame.crop((10_000, 10), (224, 224), (14, 14), resize=256)
    assert frame.resized == (256_000, 256)
    seen = frame.seen()
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert (rows[0], rows[-1]) == (4_996, 5_003)  # 224 / 25.6 = 8.75 pixels about the middle
    assert (columns[0], columns[-1]) == (1, 8)
    assert seen[4_996:5_004, 1:9].all()
    heat = frame.upsample(np.ones((14, 14)))
    assert np.isnan(heat[~seen]).all()
    assert (heat[seen] == 1).all()
    assert frame.apply(np.zeros((10_000, 10, 3), np.uint8)).shape == (224, 224, 3)
    small = frame.upsample(np.ones((14, 14)), (100, 1))
    assert np.flatnonzero(~np.isnan(small[:, 0])).tolist() == [50]  # no pixel's centre was seen: the middle one stands


def test_a_photo_of_one_pixel_shows_the_mean() -> None:
    values = np.arange(16.0).reshape(4, 4)
    assert Frame.stretch((1, 1), (8, 8), (4, 4)).upsample(values) == pytest.approx(7.5)
    assert Frame.stretch((1, 1), (8, 8), (4, 4)).upsample(values, cells=True) == pytest.approx(7.5)
    enlarged = Frame.stretch((1, 1), (8, 8), (4, 4)).upsample(values, (8, 8), cells=True)
    np.testing.assert_array_equal(enlarged, np.kron(values, np.ones((2, 2))))


def test_a_grid_finer_than_the_photo_is_averaged() -> None:
    values = np.random.default_rng(0).random((12, 15))
    heat = Frame.stretch((4, 5), (224, 224), (12, 15)).upsample(values)
    np.testing.assert_allclose(heat, values.reshape(4, 3, 5, 3).mean(axis=(1, 3)), rtol=1e-6)


def test_upsample_takes_any_number_of_grids() -> None:
    frame = Frame.letterbox((30, 50), (32, 32), (4, 4))
    values = np.random.default_rng(0).random((2, 3, 4, 4))
    heat = frame.upsample(values)
    assert heat.shape == (2, 3, 30, 50)
    np.testing.assert_allclose(heat[1, 2], frame.upsample(values[1, 2]), rtol=1e-6)
    assert frame.upsample(np.zeros((0, 4, 4))).shape == (0, 30, 50)


def test_kinds() -> None:
    assert Frame.stretch((30, 50), (32, 32), (4, 4)).kind == "stretch"
    assert Frame.letterbox((30, 50), (32, 32), (4, 4)).kind == "letterbox"
    assert Frame.letterbox((50, 50), (32, 32), (4, 4)).kind == "stretch"
    assert Frame.crop((30, 50), (32, 32), (4, 4)).kind == "crop"
    assert Frame((30, 50), (32, 32), (4, 4), (19, 32), (0, 0)).kind == "letterbox"  # padding at the bottom alone
    assert Frame((30, 50), (32, 32), (4, 4), (32, 53), (0, 0)).kind == "crop"  # cut at the right alone


def test_twenty_steps_are_fast() -> None:
    frame = Frame.stretch((853, 1280), (224, 224), (14, 14))
    grids = np.random.default_rng(0).random((20, 14, 14), np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        frame.upsample(grids)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5  # about 0.03 on one free core; a loop over pixels takes many seconds


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"photo": (0, 5)}, "photo must be positive"),
        ({"photo": (5, -5)}, "photo must be positive"),
        ({"input": (5.5, 5)}, "input must be positive"),
        ({"grid": (True, 5)}, "grid must be positive"),
        ({"grid": (5,)}, "grid must be two whole numbers"),
        ({"grid": "55"}, "grid must be two whole numbers"),
        ({"resized": (2**40, 5)}, "resized must be positive"),
        ({"resized": (0.5, 32)}, "resized must be positive numbers"),
        ({"resized": (float("nan"), 32)}, "resized must be positive numbers"),
        ({"resized": (10**400, 32)}, "resized must be positive numbers"),
        ({"offset": (float("-inf"), 0)}, "offset must be numbers"),
        ({"offset": (True, 0)}, "offset must be numbers"),
        ({"offset": ("1", 0)}, "offset must be numbers"),
        ({"offset": 5}, "offset must be two numbers"),
        ({"offset": (32, 0)}, "misses its"),
        ({"offset": (0, -32)}, "misses its"),
    ],
)
def test_frames_that_make_no_sense(fields: dict[str, object], words: str) -> None:
    whole = {"photo": (9, 9), "input": (32, 32), "grid": (4, 4), "resized": (32, 32), "offset": (0, 0)}
    with pytest.raises(ConfigError, match=words):
        Frame(**{**whole, **fields})  # type: ignore[arg-type]


def test_other_errors() -> None:
    with pytest.raises(ConfigError, match="256x256 input"):
        Frame.crop((427, 640), (256, 256), (7, 7), resize=224)
    frame = Frame.stretch((30, 50), (32, 32), (4, 4))
    with pytest.raises(ConfigError, match=r"\(4, 5\)"):
        frame.upsample(np.zeros((4, 5)))
    with pytest.raises(ConfigError, match="picture size"):
        frame.upsample(np.zeros((4, 4)), (0, 5))
    with pytest.raises(ConfigError, match="uint8"):
        frame.apply(np.zeros((50, 30, 3), np.uint8))
    wrongs: tuple[object, ...] = ({}, [], {**frame.to_dict(), "more": [1, 1]}, {**frame.to_dict(), "grid": None})
    for wrong in wrongs:
        with pytest.raises(ConfigError):
            Frame.from_dict(wrong)


def test_numpys_integers_will_do() -> None:
    size: npt.NDArray[np.int64] = np.array([30, 50])
    frame = Frame.stretch((size[0], size[1]), (32, 32), (4, 4))
    assert frame.to_dict()["photo"] == [30, 50]
    assert json.dumps(frame.to_dict())


@pytest.mark.parametrize("kind", ["stretch", "letterbox", "crop"])
def test_frames_are_made_by_the_name_of_their_kind(kind: str) -> None:
    frame = Frame.of(kind, (30, 50), (20, 20), (4, 4))
    assert frame == getattr(Frame, kind)((30, 50), (20, 20), (4, 4))
    assert frame.kind == kind
    with pytest.raises(ConfigError, match="letterbox"):
        Frame.of(f"{kind}ed", (30, 50), (20, 20), (4, 4))


def test_boxes_fall_into_cells() -> None:
    """A 10x20 photo, letterboxed into 40x40: it fills rows 10 to 30, and cells are 10 pixels wide."""
    frame = Frame.letterbox((10, 20), (40, 40), (4, 4))
    boxes = np.array([[0, 0, 1, 1], [0.5, 0.25, 1, 0.75]])
    np.testing.assert_allclose(frame.to_cells(boxes), np.array([[1, 0, 3, 4], [2, 1, 3, 3]]))
    assert frame.to_cells(boxes[:0]).shape == (0, 4)
