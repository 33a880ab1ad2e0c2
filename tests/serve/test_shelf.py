"""What is kept of photos: how much, how long, and under which key."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("starlette", reason="attnviz[serve] is not installed")

from attnviz.photo.image import Photo
from attnviz.serve.answers import RefusalError
from attnviz.serve.shelf import Kept, Shelf

PIXELS = np.zeros((10, 10, 3), np.uint8)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def put(shelf: Shelf, name: str, size: int = 700) -> Kept:
    data = bytes(size)
    return shelf.add(shelf.key_of(data, name), name, data, Photo(PIXELS, name, None))


def test_of_too_many_the_one_asked_for_longest_ago_goes() -> None:
    shelf = Shelf(3000, 3600)  # three of 700 + 300 bytes
    kept = [put(shelf, name) for name in "abc"]
    assert shelf.find(kept[0].key) is kept[0]
    put(shelf, "d")
    assert shelf.find(kept[1].key) is None
    assert [shelf.find(one.key) for one in (kept[0], kept[2])] == [kept[0], kept[2]]
    assert shelf.nbytes == 3000
    with pytest.raises(RefusalError, match="no longer kept; send it once more") as caught:
        shelf.get(kept[1].key)
    assert caught.value.status == 404


def test_one_that_is_larger_than_all_may_be_is_not_kept() -> None:
    shelf = Shelf(3000, 3600)
    kept = put(shelf, "a", 3000)
    shelf.sweep()
    assert (len(shelf), shelf.find(kept.key)) == (0, None)


def test_none_is_kept_for_longer_and_asking_makes_none_younger() -> None:
    clock = Clock()
    shelf = Shelf(10**6, 100, clock)
    first = put(shelf, "a")
    clock.now = 60
    second = put(shelf, "b")
    clock.now = 99
    assert shelf.find(first.key) is first
    assert shelf.sweep() == 1  # the worker wakes then, whether anybody asks or not
    clock.now = 100
    assert shelf.sweep() == 60
    assert len(shelf) == 1
    assert shelf.find(first.key) is None
    assert shelf.find(second.key) is second


def test_keys_tell_bytes_and_names_apart_and_cannot_be_guessed() -> None:
    one, other = Shelf(1, 1), Shelf(1, 1)
    keys = [one.key_of(b"x", "a"), one.key_of(b"x", "b"), one.key_of(b"y", "a"), other.key_of(b"x", "a")]
    assert len(set(keys)) == 4
    assert one.key_of(b"x", "a") == keys[0]
