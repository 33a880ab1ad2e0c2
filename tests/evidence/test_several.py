"""The tests of several networks at once, against loops over the photo's pixels and against `check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from planted import Planted, lit, peaked, removed

from attnviz.captioner import Captioner
from attnviz.errors import ConfigError
from attnviz.evidence import Protocol, Settings, Subject, check, examine
from attnviz.network import Asked

if TYPE_CHECKING:
    from attnviz.evidence.several import PhotoScores
    from attnviz.photo.image import Photo

CELLS = [(0, 1), (2, 3), (3, 0)]
WORDS = ["sun", "moon", "star"]
TEXT = Asked("sun moon star")
FINE = Protocol(Settings(how="mean", steps=4, draws=2), blocks=16)


def all_of_them(known: Sequence[int]) -> Sequence[int]:
    return known


def examined(*networks: Any, photo: Photo | None = None, protocol: Protocol = FINE, **how: Any) -> list[PhotoScores]:
    subjects = [Subject.of(network) for network in networks]
    asked, choose = how.pop("asked", TEXT), how.pop("choose", all_of_them)
    found = examine(subjects, photo or lit(*CELLS), asked, choose, protocol, **how)
    assert all(one is not None for one in found)
    return [one for one in found if one is not None]


def rank(values: Sequence[float]) -> list[float]:
    return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]


@pytest.mark.parametrize("blocks", [16, 4])
def test_measures_are_those_of_plain_loops(blocks: int) -> None:
    photo, maps = lit(*CELLS), peaked(*CELLS)
    network = Planted(WORDS, CELLS, maps)
    (found,) = examined(network, protocol=Protocol(FINE.settings, blocks=blocks))

    def logp(gone: Sequence[int], word: int) -> float:
        return network.logprob(network.prepare(removed(photo, list(gone))).inputs, CELLS[word])

    def height(orders: list[list[int]], word: int) -> float:
        """The mean height of the curve through photos without more and more cells."""
        values = [np.exp(logp(gone, word)) for gone in orders]
        return float(sum((values[k] + values[k + 1]) / 2 for k in range(4)) / 4)

    side = 1 if blocks == 16 else 2
    parts: dict[tuple[int, int], list[int]] = {}
    for cell in range(16):
        parts.setdefault((cell // 4 // side, cell % 4 // side), []).append(cell)
    left = [[logp([], word) - logp(cells, word) for cells in parts.values()] for word in range(3)]
    drops = [[round(value, 3) for value in row] for row in left]
    for word, one in enumerate(found.words):
        order = sorted(range(16), key=lambda cell: (-np.float32(maps[word].flat[cell]), cell))
        removing = [order[: 4 * k] for k in range(5)]
        keeping = [order[4 * k :] for k in range(5)]
        assert one.deletion is not None
        assert one.insertion is not None
        assert one.deletion.area == pytest.approx(height(removing, word), abs=1e-6)
        assert one.insertion.area == pytest.approx(height(keeping, word), abs=1e-6)
        rng = np.random.default_rng(0)
        drawn = [list(rng.permutation(16)) for _ in range(2)]
        areas = [height([row[: 4 * k] for k in range(5)], word) for r in drawn for row in (r, r[::-1])]
        assert one.deletion.random == pytest.approx(areas, abs=1e-6)
        weight = [sum(float(maps[word].flat[cell]) for cell in cells) for cells in parts.values()]
        assert one.violation == pytest.approx(
            sum(w for w, drop in zip(weight, drops[word], strict=True) if drop < 0), abs=1e-3
        )
        for other, told in ((word - 1, one.shift.before), (word, one.shift.own), (word + 1, one.shift.after)):
            if not 0 <= other < 3 or len(set(drops[other])) == 1:
                assert told is None
            else:
                ranks = np.array([rank([float(np.float32(w)) for w in weight]), rank(drops[other])])
                expected = np.corrcoef(ranks)[0, 1]
                assert told == pytest.approx(expected, abs=1e-6)
        assert one.correlation == one.shift.own


def test_planted_networks_score_as_they_must() -> None:
    fine = Protocol(Settings(how="mean", steps=16, draws=5), blocks=16)
    (right,) = examined(Planted(WORDS, CELLS, peaked(*CELLS)), protocol=fine)
    (blind,) = examined(Planted(WORDS, [None] * 3, peaked(*CELLS)), protocol=fine)
    assert [one.verdict.kind for one in right.words if one.verdict] == ["supported"] * 3
    assert [one.verdict.kind for one in blind.words if one.verdict] == ["no photo needed"] * 3
    for one in blind.words:
        assert one.deletion is not None
        assert {one.deletion.area, one.deletion.centre, *one.deletion.random} == {one.deletion.area}
        assert (one.correlation, one.violation) == (None, 0)


def test_several_networks_that_see_alike_find_what_each_finds_alone_and_what_check_finds() -> None:
    networks = [Captioner.tiny(mode) for mode in ("concat", "channel-general", "dot")]
    assert len({network.eyes() for network in networks}) == 1
    asked, photo = Asked("a dog runs on grass"), lit((0, 1), (1, 3), size=(40, 60))
    protocol = Protocol(Settings(steps=3, draws=2), blocks=4)
    together = examined(*networks, photo=photo, protocol=protocol, asked=asked, second=True)
    for network, found in zip(networks, together, strict=True):
        (alone,) = examined(network, photo=photo, protocol=protocol, asked=asked, second=True)
        whole = check(network, photo, asked, protocol.settings)
        fine = {name for name in whole.words[0].randomised if not name.startswith("encoder")}
        for one, other, word in zip(found.words, alone.words, whole.words, strict=True):
            assert one.deletion is not None
            assert other.deletion is not None
            for a, b in (
                (one.deletion, word.deletion),
                (one.insertion, word.insertion),
                (other.deletion, word.deletion),
            ):
                assert a is not None
                assert a.values == pytest.approx(b.values, rel=1e-4)
                assert (a.area, a.centre, a.uniform) == pytest.approx((b.area, b.centre, b.uniform), rel=1e-4)
                assert a.random == pytest.approx(b.random, rel=1e-4)
                assert a.second == pytest.approx(b.second, rel=1e-4)
            assert (one.probability, one.without) == pytest.approx((word.probability, word.without), rel=1e-4)
            assert (one.entropy, one.effective_cells) == pytest.approx((word.entropy, word.effective_cells), rel=1e-4)
            assert word.unfocused is not None
            assert one.log_unfocused == pytest.approx(np.log(word.unfocused), abs=1e-4)
            assert {name: one.randomised[name] for name in fine} == {name: word.randomised[name] for name in fine}
            assert set(one.randomised) == {*fine, "encoder"}
        assert found.passes == 2 + 2 * (2 * 2 + 2 + 1) + 4 + 5 * 2 * 2 * 2 + 1 + len(fine) + 1 + 1


def test_only_chosen_words_get_curves_and_unknown_ones_no_scores() -> None:
    network = Captioner.tiny("general")
    seen: list[Sequence[int]] = []

    def choose(known: Sequence[int]) -> Sequence[int]:
        seen.append(known)
        return [3]

    (found,) = examined(network, asked=Asked("a zebra runs on grass"), choose=choose, photo=lit((0, 0), size=(40, 60)))
    assert seen == [[0, 2, 3, 4]]
    assert [one.token for one in found.words] == ["a", "runs", "on", "grass"]
    assert [one.deletion is not None for one in found.words] == [False, False, True, False]
    assert [one.verdict is not None for one in found.words] == [False, False, True, False]
    told = found.words[2].to_dict()
    assert set(told["deletion"]) == {"area", "random", "centre", "uniform", "second"}
    assert told["verdict"] == found.words[2].verdict.kind if found.words[2].verdict else False


def test_a_text_that_is_read_as_other_words_is_not_tested() -> None:
    subject = Subject.of(Planted(WORDS, CELLS, peaked(*CELLS)))
    assert examine([subject], lit(*CELLS), Asked("sun moon"), all_of_them, FINE, count=2) == [None]


@pytest.mark.parametrize("change", [{"blocks": 0}, {"content": 0}, {"function": 1.5}, {"second": True}], ids=str)
def test_protocols_that_make_no_sense_are_told(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        Protocol(**change)
