"""Evidence of networks whose right answer is known, against loops that know nothing of batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from planted import Planted, lit, peaked, removed

from attnviz.errors import ConfigError, GradientError, ModelError
from attnviz.evidence import Evidence, Settings, check
from attnviz.evidence.maps import interference, sinks, without_cells
from attnviz.evidence.table import remarks
from attnviz.network import Asked, Network, Prepared
from attnviz.photo.frame import Frame

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
    from attnviz.trace import Trace

CELLS = [(0, 1), (2, 3), (3, 0)]
WORDS = ["sun", "moon", "star"]
MEAN = Settings(how="mean", steps=4, draws=3)
FINE = Settings(how="mean", steps=16, draws=5)  # a cell a step


def examined(cells: Any = CELLS, maps: Any = None, photo: Photo | None = None, settings: Settings = MEAN) -> Evidence:
    network = Planted(WORDS[: len(cells)], cells, peaked(*CELLS[: len(cells)]) if maps is None else maps)
    assert isinstance(network, Network)
    return check(network, photo or lit(*CELLS), settings=settings)


def away(maps: np.ndarray) -> np.ndarray:
    """The maps, hardly any of a word's weight left on the cell that it hangs on."""
    for row, cell in zip(maps, CELLS, strict=True):
        row[cell] = 1e-6
    found: np.ndarray = maps / maps.sum(axis=(1, 2), keepdims=True)
    return found


def test_deletion_and_insertion_are_those_of_plain_loops() -> None:
    photo, maps = lit(*CELLS), peaked(*CELLS)
    network = Planted(WORDS, CELLS, maps)
    found = check(network, photo, settings=MEAN)

    def p(gone: list[int], word: int) -> float:
        return float(np.exp(network.logprob(network.prepare(removed(photo, gone)).inputs, CELLS[word])))

    for word in range(3):
        order = sorted(range(16), key=lambda cell: (-np.float32(maps[word].flat[cell]), cell))
        deletion = [p(order[: 16 * k // 4], word) for k in range(5)]
        insertion = [p(order[16 * k // 4 :], word) for k in range(5)]
        evidence = found.words[word]
        np.testing.assert_allclose(evidence.deletion.values, deletion, atol=1e-6)
        np.testing.assert_allclose(evidence.insertion.values, insertion, atol=1e-6)
        for curve, values in ((evidence.deletion, deletion), (evidence.insertion, insertion)):
            assert curve.area == pytest.approx(sum((values[k] + values[k + 1]) / 2 for k in range(4)) / 4, abs=1e-6)
        assert (evidence.probability, evidence.without) == pytest.approx((deletion[0], deletion[-1]), abs=1e-6)
        drops = [np.log(deletion[0]) - np.log(p([cell], word)) for cell in range(16)]
        against = sum(float(maps[word].flat[cell]) for cell in range(16) if drops[cell] < -5e-4)
        assert evidence.violation == pytest.approx(against, abs=1e-3)


def test_a_word_that_hangs_on_one_cell_scores_as_well_as_can_be() -> None:
    for word in examined(settings=FINE).words:
        # Its cell is the first of sixteen to go, and the first to come back.
        assert word.probability > 0.95
        assert word.deletion.values[1:].max() < 0.05
        assert word.insertion.values[1:].min() > 0.95
        assert word.deletion.area == pytest.approx(word.probability / 32, abs=0.03)
        assert word.insertion.area == pytest.approx(max(word.insertion.area, *word.insertion.random), abs=1e-3)
        assert word.correlation is not None
        assert word.correlation > 0.3
        assert word.verdict.kind == "supported"
        assert word.verdict.reason
        assert word.verdict.otherwise


def test_a_network_that_ignores_the_photo_scores_as_its_baselines_do_and_is_told_so() -> None:
    for word in examined(cells=[None, None, None]).words:
        for curve in (word.deletion, word.insertion):
            assert {curve.area, *curve.random, curve.centre, curve.uniform} == {curve.area}
        assert word.correlation is None
        assert word.violation == 0
        assert word.verdict.kind == "no photo needed"


def test_maps_that_are_the_previous_words_are_told_so() -> None:
    late = examined(maps=away(peaked((1, 1), CELLS[0], CELLS[1])))
    assert [word.verdict.kind for word in late.words[1:]] == ["late", "late"]
    assert "the word before" in late.words[1].verdict.reason
    early = examined(maps=away(peaked(CELLS[1], CELLS[2], (1, 1))))
    assert [word.verdict.kind for word in early.words[:2]] == ["early", "early"]


def test_a_map_that_points_away_from_what_matters_is_contradicted() -> None:
    maps = np.ones((1, 4, 4))
    maps[0, 0, 1] = 0.01  # the one cell that matters comes last
    maps[0] += np.linspace(0.1, 0, 16).reshape(4, 4)
    found = examined(cells=CELLS[:1], maps=maps / maps.sum(), photo=lit(CELLS[0]))
    assert found.words[0].verdict.kind == "contradicted"


def test_the_same_photo_gives_the_same_evidence_and_the_cost_is_told() -> None:
    seen: list[tuple[int, int]] = []
    network = Planted(WORDS, CELLS, peaked(*CELLS))
    first = check(network, lit(*CELLS), settings=MEAN, progress=lambda done, total: seen.append((done, total)))
    assert first.to_dict() == check(network, lit(*CELLS), settings=MEAN).to_dict()
    # Whole and nothing; 3 inner steps of 3 own orders, 3 random ones and the centre's, each both ways, and the fading;
    # 16 cells left out.
    assert first.passes == 2 + 3 * (2 * (3 + 3 + 1) + 1) + 16
    assert seen[0] == (0, first.passes)
    assert seen[-1] == (first.passes, first.passes)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_second_map_is_compared_with_the_first() -> None:
    class Two(Planted):
        """Its second map is the one that is right."""

        def check(self, asked: Asked) -> None: ...

        def describe(self, prepared: Sequence[Prepared], asked: Asked) -> list[Trace]:
            maps = self.maps if asked.map == "attention" else peaked(*CELLS).astype(np.float32)
            return [replace(trace, weights=maps) for trace in super().describe(prepared, asked)]

    found = check(Two(WORDS, CELLS, away(peaked((1, 1), (1, 2), (2, 2)))), lit(*CELLS), settings=FINE)
    right = check(Planted(WORDS, CELLS, peaked(*CELLS)), lit(*CELLS), settings=FINE)
    for word, alone in zip(found.words, right.words, strict=True):
        assert word.deletion.second == pytest.approx(alone.deletion.area)
        assert word.insertion.second == pytest.approx(alone.insertion.area)
        assert word.deletion.area > 0.3
        assert alone.deletion.second is None
        assert word.deletion.random == pytest.approx(alone.deletion.random)
    assert "better than the attention at 3 of 3 words in deletion and at 3 in insertion" in " ".join(remarks(found))


@pytest.mark.parametrize("how", ["blur", "mean"])
def test_large_photos_are_read_no_larger_than_the_network_sees(how: Any) -> None:
    large, small = lit(*CELLS, size=(1600, 2400)), lit(*CELLS)
    found = [examined(photo=photo, settings=Settings(how=how, steps=4, draws=2)) for photo in (large, small)]
    for one, other in zip(found[0].words, found[1].words, strict=True):
        assert one.deletion.area == pytest.approx(other.deletion.area, abs=0.02)
        assert one.verdict.kind == other.verdict.kind


@pytest.mark.parametrize(
    "change", [{"how": "black"}, {"steps": 1}, {"draws": 0}, {"seed": -1}, {"steps": 2.5}], ids=str
)
def test_settings_that_make_no_sense_are_told(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Settings(**change)


def test_networks_without_probabilities_or_words_are_told() -> None:
    silent = Planted([], [], np.zeros((0, 4, 4)))
    with pytest.raises(ModelError, match="no word"):
        check(silent, lit(), settings=MEAN)


def test_sinks_are_cells_that_are_strong_at_nearly_every_word() -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((10, 20, 20))
    weights[:9, 3, 4] += 5  # nine of ten words
    weights[:7, 8, 8] += 5  # seven of ten: not enough
    weights /= weights.sum(axis=(1, 2), keepdims=True)
    assert sinks(weights) == [(3, 4)]
    clean = without_cells(weights, [(3, 4)])
    assert (clean[:, 3, 4] == 0).all()
    np.testing.assert_allclose(clean.sum(axis=(1, 2)), 1)
    assert sinks(np.full((10, 20, 20), 1 / 400)) == []
    assert sinks(weights[:3]) == []


def test_interference_names_the_earlier_map_that_is_most_alike() -> None:
    rng = np.random.default_rng(1)
    maps = rng.random((4, 5, 5))
    maps[3] = maps[1] * 2 + 0.1  # the same but for scale and level
    found = interference(maps)
    assert found[0] is None
    assert found[3] is not None
    assert found[3].word == 1
    assert found[3].correlation == pytest.approx(1)
    expected = max(np.corrcoef(maps[2].ravel(), maps[i].ravel())[0, 1] for i in range(2))
    assert found[2] is not None
    assert found[2].correlation == pytest.approx(expected)


def test_padding_is_never_removed() -> None:
    from attnviz.evidence.curves import cell_list
    from attnviz.evidence.leaving import blocks, in_blocks

    frame = Frame.letterbox((30, 120), (64, 64), (4, 4))
    assert cell_list(frame).tolist() == list(range(4, 12))
    parts = blocks(frame)
    assert (parts[[0, 3]] == -1).all()
    assert sorted(parts[1:3].ravel()) == list(range(8))
    coarse = blocks(Frame.stretch((100, 100), (64, 64), (6, 6)), most=9)
    assert coarse[0].tolist() == [0, 0, 1, 1, 2, 2]
    weights = np.random.default_rng(0).random((2, 6, 6))
    expected = weights.reshape(2, 3, 2, 3, 2).sum(axis=(2, 4)).reshape(2, 9)
    np.testing.assert_allclose(in_blocks(weights, coarse), expected)


def test_an_even_map_is_not_taken_for_the_order_of_the_grid() -> None:
    """The word hangs on the grid's first cell, so the order of an even map's cells, which is the grid's, looks best."""
    flat = np.full((1, 4, 4), 1 / 16) * (1 + 1e-6 * np.random.default_rng(0).normal(size=(1, 4, 4)))
    (word,) = examined([(0, 0)], flat, lit((0, 0))).words
    assert word.verdict.kind == "undecided"
    assert "the map is even" in word.verdict.reason
    (word,) = examined([None], flat, lit((0, 0))).words
    assert word.verdict.kind == "no photo needed"


class Stuck(Planted):
    """Has a map by gradient in principle, and no gradient."""

    asked: list[str]

    def check(self, asked: Asked) -> None:
        pass

    def describe(self, prepared: Sequence[Prepared], asked: Asked) -> list[Trace]:
        self.asked.append(asked.map)
        if asked.map == "gradient" and self.stuck:
            raise GradientError("it ends at a wall; leave out --map")
        return super().describe(prepared, asked)

    stuck = True


def test_why_there_is_no_second_map_is_told_and_words_are_read_with_the_map_that_costs_least() -> None:
    network = Stuck(WORDS, CELLS, peaked(*CELLS))
    network.asked = []
    found = check(network, lit(*CELLS), settings=MEAN)
    assert found.lacking == "it ends at a wall; leave out --map"
    assert "not compared with a map by gradient: it ends at a wall; leave out --map." in remarks(found)
    network.stuck, network.asked = False, []
    found = check(network, lit(*CELLS), Asked(map="gradient"), settings=MEAN)
    assert found.lacking is None
    assert network.asked.count("gradient") <= 2
    assert network.asked.count("attention") > 3
