"""Regions that hold a share of the weight, against a flood fill in plain Python, and their boxes on the photo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

import attnviz
from attnviz import Frame, Trace
from attnviz.errors import ConfigError, TraceError
from attnviz.trace.regions import connected, regions_of

Cells = list[tuple[int, int]]


def flood(mask: npt.NDArray[np.bool_]) -> list[Cells]:
    """The connected parts of a mask, each a sorted list of cells."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    parts = []
    while left:
        todo, part = [left.pop()], []
        while todo:
            row, column = todo.pop()
            part.append((row, column))
            for cell in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if cell in left:
                    left.remove(cell)
                    todo.append(cell)
        parts.append(sorted(part))
    return parts


@settings(max_examples=100)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.2, 0.9))
def test_connected_parts_are_those_of_a_flood_fill(height: int, width: int, seed: int, density: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < density
    labels = connected(mask)
    assert ((labels >= 0) == mask).all()
    found = [sorted(map(tuple, np.argwhere(labels == label).tolist())) for label in np.unique(labels[mask])]
    assert sorted(found) == sorted(flood(mask))


def test_a_long_snake_is_one_part() -> None:
    mask = np.zeros((41, 41), np.bool_)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    assert len(np.unique(connected(mask)[mask])) == 1


FRAMES = [
    Frame.stretch((30, 50), (32, 32), (6, 8)),
    Frame.letterbox((30, 50), (32, 32), (6, 8)),
    Frame.crop((30, 50), (32, 32), (6, 8)),
]


def by_hand(weights: npt.NDArray[np.float64], frame: Frame, share: float) -> list[tuple[list[float], float]]:
    """(box, score) of each region, strongest first, in plain loops."""
    coverage, (height, width) = frame.coverage(), frame.photo
    cells = [cell for cell in np.ndindex(frame.grid) if coverage[cell] > 0]
    cells.sort(key=lambda cell: -weights[cell])
    total, held, mask = sum(float(weights[cell]) for cell in cells), 0.0, np.zeros(frame.grid, np.bool_)
    for cell in cells:
        if held >= share * total:
            break
        held += float(weights[cell])
        mask[cell] = True
    found = []
    for part in flood(mask):
        boxes = [frame.boxes()[cell] for cell in part]
        box = [
            max(min(box[0] for box in boxes), 0),
            max(min(box[1] for box in boxes), 0),
            min(max(box[2] for box in boxes), height),
            min(max(box[3] for box in boxes), width),
        ]
        found.append((box, sum(float(weights[cell]) for cell in part)))
    return sorted(found, key=lambda one: (-one[1], one[0]))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("frame", FRAMES, ids=["stretch", "letterbox", "crop"])
def test_boxes_are_exact_on_the_photo(frame: Frame, share: float) -> None:
    weights = np.random.default_rng(4).dirichlet(np.full(48, 0.4), 5).reshape(5, 6, 8)
    trace = Trace(weights.astype(np.float32), tuple("abcde"), frame=frame)
    for step, regions in enumerate(trace.boxes(share)):
        expected = by_hand(trace.weights[step].astype(float), frame, share)
        assert len(regions) == len(expected)
        for region, (box, score) in zip(regions, expected, strict=True):
            np.testing.assert_allclose(region.box, box)
            assert region.score == pytest.approx(score)
            y0, x0, y1, x1 = region.box
            assert region.xywh == (x0, y0, x1 - x0, y1 - y0)
            assert 0 < region.area <= (y1 - y0) * (x1 - x0) * (1 + 1e-9)


def test_an_even_map_is_one_region_whatever_its_noise() -> None:
    noise = 1 + 1e-7 * np.random.default_rng(0).normal(size=(1, 6, 8))
    (regions,) = Trace((noise / noise.sum()).astype(np.float32), ("x",), frame=FRAMES[0]).boxes()
    assert [(region.box, region.cells) for region in regions] == [((0, 0, 30, 50), 48)]


def test_what_lies_on_padding_alone_has_no_box() -> None:
    frame = Frame.letterbox((100, 200), (32, 32), (4, 4))
    weights = np.zeros((1, 4, 4), np.float32)
    weights[0, 0, 1] = 1
    assert Trace(weights, ("x",), frame=frame).boxes() == [[]]
    weights[0, 0, 1], weights[0, 1, 1] = 0.75, 0.25
    ((region,),) = Trace(weights, ("x",), frame=frame).boxes()
    assert (region.box, region.score) == ((0, 50, 50, 100), 0.25)


def test_shares_and_frames_that_are_none() -> None:
    trace = Trace(np.full((1, 2, 2), 0.25, np.float32), ("x",))
    with pytest.raises(TraceError, match="give a size"):
        trace.boxes()
    assert [region.box for region in trace.boxes(size=(10, 20))[0]] == [(0, 0, 10, 20)]
    for wrong in (0, 1.5, -1, True, "half", None, float("nan")):
        with pytest.raises(ConfigError, match="share must be a number"):
            regions_of(trace.weights[0], FRAMES[0], wrong)  # type: ignore[arg-type]


def trace_on(size: tuple[int, int]) -> Trace:
    weights = np.full((2, 4, 4), 0.01, np.float32)
    weights[0, 1, 1] = weights[1, 0, 0] = weights[1, 3, 3] = 0
    weights[0, 1, 1] = 1 - weights[0].sum()
    weights[1, 0, 0] = weights[1, 3, 3] = (1 - weights[1].sum()) / 2
    return Trace(weights, ("a", "dog"), frame=Frame.stretch(size, (32, 32), (4, 4)))


def test_the_file_of_boxes(tmp_path: Path, pixels: np.ndarray) -> None:
    """COCO's fields, and FiftyOne's beside them."""
    trace = trace_on((40, 60))
    attnviz.draw(trace, pixels, tmp_path / "out", formats=["boxes"], size=20)
    found = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert [(image["width"], image["height"]) for image in found["images"]] == [(60, 40)]
    assert {category["id"]: category["name"] for category in found["categories"]} == {1: "a", 2: "dog"}
    assert found["info"]["relative"] is False
    boxes: Any = found["annotations"]
    assert [(one["id"], one["image_id"], one["category_id"], one["bbox"], one["step"]) for one in boxes] == [
        (1, 1, 1, [15, 10, 15, 10], 0),
        (2, 1, 2, [0, 0, 15, 10], 1),
        (3, 1, 2, [45, 30, 15, 10], 1),
    ]
    assert [(one["iscrowd"], one["area"]) for one in boxes] == [(0, 150)] * 3
    assert [one["score"] for one in boxes] == pytest.approx([0.85, 0.43, 0.43])
    assert found["detections"][0] == {
        "label": "a",
        "bounding_box": [0.25, 0.25, 0.25, 0.25],
        "confidence": boxes[0]["score"],
        "step": 0,
    }
    attnviz.draw(trace, pixels, tmp_path / "out", formats=["png"])  # is known as ours, and goes
    assert not (tmp_path / "out" / "boxes.json").exists()


def test_regions_are_outlined(tmp_path: Path) -> None:
    photo, trace = np.full((400, 600, 3), 90, np.uint8), trace_on((400, 600))
    for regions in (False, True):
        attnviz.draw(trace, photo, tmp_path / str(regions), formats=["png", "gif"], regions=regions, cells=True)
    plain, outlined = (np.asarray(Image.open(tmp_path / name / "step-01-dog.png")) for name in ("False", "True"))
    changed = np.argwhere((plain != outlined).any(axis=2))
    assert changed.min(axis=0).tolist() == [0, 0]
    assert changed.max(axis=0).tolist() == [399, 599]
    assert (outlined[0, :150] == (16, 16, 20)).all()
    assert (outlined[1, 1:149] == 255).all()
    assert not (plain != outlined)[10:90, 10:140].any()  # only lines
    assert not (plain != outlined)[101:299].any()
    with Image.open(tmp_path / "True" / "attention.gif") as gif:
        gif.seek(1)
        frame = np.asarray(gif.convert("RGB"))
    assert frame[1, 20:130].min() > 230
