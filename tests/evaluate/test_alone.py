"""The pointing game with the phrase alone as the text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from attnviz.data import Caption, Phrase, Record
from attnviz.evaluate.alone import Alone, pixels_inside, points, queries
from attnviz.photo.frame import Frame


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_pixels_are_inside_when_a_loop_finds_them_between_the_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 12, 2).tolist()
    corners = rng.integers(0, 13, (3, 2, 2)) / 12
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    found = pixels_inside(boxes, (height, width))
    for y in range(height):
        for x in range(width):
            inside = False
            for y0, x0, y1, x1 in boxes.tolist():
                top, left, bottom, right = (
                    round(value, 1) for value in (y0 * height, x0 * width, y1 * height, x1 * width)
                )
                inside = inside or (top < y < bottom and left < x < right)
            assert found[y, x] == inside


def test_edges_are_outside_though_fractions_were_rounded() -> None:
    # Pixels 167 to 334 of 500, as fractions of five digits: neither edge is inside.
    found = pixels_inside(np.array([[0, round(167 / 500, 5), 1, round(334 / 500, 5)]]), (3, 500))
    assert np.flatnonzero(found[1]).tolist() == list(range(168, 334))
    assert not found[0].any()  # row 0 lies on the upper edge


def bilinear(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A stretched grid on pixels, sample by sample."""
    h, w = values.shape
    out = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y = min(max((i + 0.5) * h / size[0] - 0.5, 0), h - 1)
            x = min(max((j + 0.5) * w / size[1] - 0.5, 0), w - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
            upper = values[y0, x0] * (1 - (x - x0)) + values[y0, x1] * (x - x0)
            lower = values[y1, x0] * (1 - (x - x0)) + values[y1, x1] * (x - x0)
            out[i, j] = upper * (1 - (y - y0)) + lower * (y - y0)
    return out


def test_the_point_is_the_first_largest_pixel_of_the_interpolated_map(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    maps, size = [rng.random((3, 4)) for _ in range(5)], (21, 30)
    frame = Frame.stretch((8, 9), (12, 16), (3, 4))  # the photo at hand is smaller than the original
    expected = []
    for values in maps:
        pixels = bilinear(values.astype(np.float32), size)
        best = [(i, j) for i in range(21) for j in range(30) if pixels[i, j] >= pixels.max() - 1e-6]
        expected.append(best[0])
    assert list(points(maps, frame, size)) == expected
    monkeypatch.setattr("attnviz.evaluate.alone.PIXELS", 21 * 30)  # one at a time
    assert list(points(maps, frame, size)) == expected


def test_what_the_network_did_not_see_cannot_be_pointed_at() -> None:
    frame = Frame.crop((10, 30), (10, 10), (2, 2))
    ((row, column),) = points([np.array([[0, 0], [1.0, 0]])], frame, (10, 30))
    assert 10 <= column < 20
    assert row >= 5


def test_every_mention_with_a_box_counts_whole_frames_too() -> None:
    first = Caption(("a", "dog", "and", "a", "field"), (Phrase(0, 2, "1", ("animals",)), Phrase(3, 5, "2", ("scene",))))
    second = Caption(("a", "dog"), (Phrase(0, 2, "1", ("animals",)), Phrase(0, 1, "0", ("notvisual",))))
    boxes = {"1": np.array([[0, 0, 0.5, 0.5]]), "2": np.array([[0.0, 0, 1, 1]]), "3": np.zeros((0, 4))}
    asked = queries(Record("x.png", (10, 20), (first, second), boxes), (10, 20))
    assert [query.text for query in asked] == ["a dog", "a field", "a dog"]
    assert asked[0].inside is asked[2].inside
    found = Alone()
    found.add(asked, [(4, 9), (9, 19), (5, 3)], photo=7)
    assert found.hits == [1, 1, 0]
    assert found.photo == [7, 7, 7]
    assert found.types == [("animals",), ("scene",), ("animals",)]
    by_chance = Alone()
    by_chance.add_uniform(asked)
    # Rows 1 to 4 and columns 1 to 9 of the dog; all but the first row and column of the field.
    assert by_chance.hits == pytest.approx([4 * 9 / 200, 9 * 19 / 200, 4 * 9 / 200])
    centre = Alone()
    centre.add_centre(asked)
    assert centre.hits == [0, 1, 0]
