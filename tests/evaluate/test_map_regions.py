"""Regions and boxes of maps, against loops over cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from attnviz.evaluate.localization import Tally, Target
from attnviz.evaluate.regions import SHARES, best_iou, box_iou, boxes_of, overlaps, stretched
from attnviz.trace.regions import connected

MAPS = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed))


def flooded(mask: list[list[bool]]) -> list[list[tuple[int, int]]]:
    """The parts of a mask that touch at edges, each as its cells in reading order, found cell by cell."""
    h, w, seen, parts = len(mask), len(mask[0]), set(), []
    for start in [(y, x) for y in range(h) for x in range(w)]:
        if not mask[start[0]][start[1]] or start in seen:
            continue
        part, todo = [], [start]
        seen.add(start)
        while todo:
            y, x = todo.pop()
            part.append((y, x))
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= near[0] < h and 0 <= near[1] < w and mask[near[0]][near[1]] and near not in seen:
                    seen.add(near)
                    todo.append(near)
        parts.append(sorted(part))
    return parts


@settings(max_examples=40, deadline=None)
@given(MAPS)
def test_boxes_are_around_the_largest_part(rng: np.random.Generator) -> None:
    # Few values, so that parts are many and ties happen.
    maps = stretched(rng.integers(0, 5, (3, 5, 7)).astype(np.float32))
    found = boxes_of(maps)
    for one, boxes in zip(maps, found, strict=True):
        for share, box in zip(SHARES, boxes, strict=True):
            parts = flooded([[bool(value >= share) for value in row] for row in one])
            part = max(parts, key=len)  # the first of the largest
            rows, columns = [y for y, _ in part], [x for _, x in part]
            assert box.tolist() == [min(rows), min(columns), max(rows) + 1, max(columns) + 1]


@given(MAPS)
def test_parts_of_many_masks_are_the_parts_of_each(rng: np.random.Generator) -> None:
    masks = rng.random((2, 3, 4, 6)) < 0.5
    together = connected(masks)
    for number, mask in enumerate(masks.reshape(-1, 4, 6)):
        alone, part = connected(mask), together.reshape(-1, 4, 6)[number]
        np.testing.assert_array_equal(np.where(part >= 0, part - 24 * number, -1), alone)


@settings(max_examples=40, deadline=None)
@given(MAPS)
def test_overlap_is_the_loop_over_cells(rng: np.random.Generator) -> None:
    (values,) = stretched(rng.integers(1, 9, (1, 4, 5)).astype(np.float32))
    cover = rng.random((4, 5)) * (rng.random((4, 5)) < 0.5)
    cover[0, 0] = 0.5
    found = overlaps(values, cover)
    for share, iou in zip(SHARES, found, strict=True):
        both = either = 0.0
        for y in range(4):
            for x in range(5):
                left = values[y, x] >= share
                both += cover[y, x] if left else 0
                either += 1 if left else cover[y, x]
        assert iou == pytest.approx(both / either)


@given(MAPS)
def test_overlap_of_boxes_is_counted_in_small_squares(rng: np.random.Generator) -> None:
    corners = rng.integers(0, 9, (4, 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(float)
    squares = [{(y, x) for y in range(int(y0), int(y1)) for x in range(int(x0), int(x1))} for y0, x0, y1, x1 in boxes]
    found = box_iou(boxes[:2], boxes[2:])
    for i, own in enumerate(squares[:2]):
        for j, other in enumerate(squares[2:]):
            either = len(own | other)
            assert found[i, j] == pytest.approx(len(own & other) / either if either else 0)


@given(MAPS, st.floats(0.1, 100))
def test_a_map_goes_from_0_to_1_whatever_its_scale(rng: np.random.Generator, scale: float) -> None:
    maps = rng.random((2, 3, 4)) + 0.1
    found = stretched(maps * scale)
    assert found.min() == 0
    assert found.max() == 1
    np.testing.assert_allclose(found, stretched(maps), atol=1e-9)
    assert (stretched(np.full((1, 3, 4), scale / 12, np.float32)) == 1).all()


def test_a_box_is_cut_off_at_the_photo() -> None:
    """On a letterboxed photo a box may reach into the padding, where nothing can be."""
    whole, thing = np.array([1.0, 0, 3, 4]), np.array([[1.0, 0, 3, 2]])
    assert best_iou(np.array([[0.0, 0, 4, 2]]), thing, whole) == pytest.approx(1)
    # What the network did not see of a thing counts all the same.
    assert best_iou(np.array([[1.0, 0, 3, 2]]), np.array([[1.0, -2, 3, 2]]), whole) == pytest.approx(0.5)


def test_a_map_that_is_its_box_scores_1_and_an_even_one_what_the_frame_does() -> None:
    boxes = np.array([[1.0, 1, 3, 3]])
    cover = np.zeros((4, 4))
    cover[1:3, 1:3] = 1
    target = Target(0, 1, cover, cover > 0, boxes, np.array([0.0, 0, 4, 4]), ("animals",))
    tally = Tally()
    tally.add(cover[None] / 4, [target], photo=3)
    tally.add(np.full((1, 4, 4), 1 / 16), [target])
    tally.add_uniform([target])
    assert tally.photo == [3, 0, 0]
    assert tally.types == [("animals",)] * 3
    assert max(tally.iou[0]) == 1
    assert tally.boxed[0][-1]
    assert not tally.boxed[0][0]  # the whole frame overlaps the box by a quarter
    np.testing.assert_allclose(tally.iou[1], 0.25)
    np.testing.assert_allclose(tally.iou[2], 0.25)
    assert not np.any(tally.boxed[1:])
