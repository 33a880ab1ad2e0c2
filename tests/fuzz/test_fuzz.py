"""A fixed number of damaged files for every reader; `make fuzz` tries many more."""

from __future__ import annotations

import sys
from random import Random

import pytest

from fuzz import mutate
from fuzz.driver import run
from fuzz.targets import TARGETS

INPUTS = 250


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("name", TARGETS)
def test_readers_answer_damaged_files(name: str) -> None:
    """Each with what it holds or one clear line, within 10 s and 2 GB, and without a library's word."""
    result = run(name, INPUTS)
    assert not result.failures, "\n".join(map(str, result.failures[:5]))
    assert result.outcomes["refused"] >= INPUTS // 10  # the damage is felt
    assert result.outcomes["accepted"] >= 1  # and the seeds are sound


def test_the_same_seed_makes_the_same_damage() -> None:
    for mutation in (mutate.raw, mutate.text, mutate.json_tree):
        made = [mutation(Random(7), b'{"a": [1, "b"]}') for _ in range(2)]
        assert made[0] == made[1]
    assert len({mutate.raw(Random(seed), bytes(100)) for seed in range(50)}) > 40
