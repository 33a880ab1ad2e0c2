"""The layer that tells kinds: planted things, each in one cell, and runs with lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from toy import config, quiet

from attnviz.captioner import load_checkpoint
from attnviz.captioner.vocabulary import SPECIAL, Vocabulary
from attnviz.errors import ConfigError
from attnviz.train import DataConfig, fit, read_config
from attnviz.train.kinds import fit_kinds, kinds_in

if TYPE_CHECKING:
    from conftest import Outcome

NAMES = ("dog", "horse", "cow")


def planted(count: int, seed: int) -> tuple[torch.Tensor, list[tuple[str, ...]], np.ndarray]:
    """Maps (count, 8, 3, 3) of noise in which each thing of a photo's list lights up a channel of its own in one cell;
    the lists; and where each is, (count, 3), -1 for one that is not there."""
    draw = np.random.default_rng(seed)
    maps = draw.normal(5, 1, (count, 8, 9)) * np.linspace(0.1, 30, 8)[:, None]
    place = np.where(draw.random((count, 3)) < 0.3, draw.integers(0, 9, (count, 3)), -1)
    for photo, kind in np.argwhere(place >= 0):
        maps[photo, kind, place[photo, kind]] += 6 * np.linspace(0.1, 30, 8)[kind]
    lists = [tuple(NAMES[kind] for kind in np.flatnonzero(row >= 0)) for row in place]
    return torch.from_numpy(maps).float().reshape(count, 8, 3, 3), lists, place


def test_it_learns_which_and_where_from_lists_of_whole_photos() -> None:
    maps, lists, _ = planted(1500, 0)
    layer = fit_kinds(lambda rows: maps[rows], lists, NAMES, 150, 0)
    held, _, place = planted(300, 1)
    with torch.inference_mode():
        odds = layer(held).flatten(2)  # (300, 3, 9)
    there = place >= 0
    told = odds.logsumexp(-1).numpy()
    for kind in range(3):
        shown, not_shown = told[there[:, kind], kind], told[~there[:, kind], kind]
        assert (shown[:, None] > not_shown).mean() > 0.9  # the area under the curve
        right = odds[:, kind].argmax(-1).numpy()[there[:, kind]] == place[there[:, kind], kind]
        assert right.mean() > 0.9
    # The same photos in the same order give the same layer, and photos without a list teach nothing.
    again = fit_kinds(lambda rows: maps[rows], lists, NAMES, 150, 0)
    assert torch.equal(layer.weight, again.weight)
    more = torch.cat([maps, torch.full((5, 8, 3, 3), 1e3)])
    listed = [*lists, *[()] * 5]
    assert torch.equal(fit_kinds(lambda rows: more[rows], listed, NAMES, 150, 0).weight, layer.weight)
    assert not layer.weight.requires_grad


def test_kinds_are_named_by_single_words_of_the_vocabulary() -> None:
    words = Vocabulary((*SPECIAL, "a", "dog", "puppy", "mug", "orange", "hot", "light", "person", "table"))
    lists = [("person", "dog", "cup"), ("hot dog", "traffic light", "orange"), ("dining table", "zebra"), ()]
    assert kinds_in(lists, words) == {"cup": ("mug",), "dining table": ("table",), "dog": ("dog", "puppy")}


@pytest.fixture
def listed(data: DataConfig, tmp_path: Path) -> DataConfig:
    """The toy split, with lists in which a red square is a dog and a blue one a cat; captions name them."""
    lines = [json.loads(line) for line in (tmp_path / "toy.jsonl").read_text().splitlines()]
    for number, line in enumerate(lines):
        name = ("dog", "cat")[number % 2]
        line["objects"] = [name]
        for caption in line["captions"]:
            caption["tokens"][2] = name
    (tmp_path / "toy.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return data


@pytest.mark.parametrize("encoder_rate", [0.0, 0.001])
def test_a_run_asks_for_them_and_the_next_keeps_them(listed: DataConfig, tmp_path: Path, encoder_rate: float) -> None:
    told: list[str] = []
    run = config(listed, tmp_path, epochs=1, kinds=4, encoder_rate=encoder_rate)
    model = load_checkpoint(fit(run, told.append))
    assert model.config.kinds == (("cat",), ("dog",))
    assert any(line.startswith("asks for 2 kinds of things: dev words") for line in told)
    assert model.describe_pixels(np.zeros((1, 64, 64, 3), np.uint8))
    # The same run without: all else is the same.
    plain = load_checkpoint(fit(replace(run, out=str(tmp_path / "p.safetensors"), train=replace(run.train, kinds=0))))
    own, other = model.state_dict(), plain.state_dict()
    assert own.keys() - other.keys() == {"fuse.kinds.weight", "fuse.kinds.bias"}
    assert all(torch.equal(own[key], value) for key, value in other.items())
    # A run that starts from it keeps the layer, whatever it learns.
    text = f"""out = "{tmp_path}/next.safetensors"\nstart = "{run.out}"
        [data]\ntrain = "{listed.train}"\ndev = "{listed.dev}"\ncache = "{listed.cache}"\nminimum = 1\ncaptions = 2
        [model]\nmode = "concat"\n[train]\nepochs = 1\nphotos = 2\nrate = 0.01\ndecay = 0.5"""
    (tmp_path / "next.toml").write_text(text)
    after = load_checkpoint(fit(read_config(tmp_path / "next.toml"), quiet))
    assert after.config.kinds == model.config.kinds
    assert torch.equal(after.state_dict()["fuse.kinds.weight"], own["fuse.kinds.weight"])
    assert not torch.equal(after.state_dict()["decoder.project.weight"], own["decoder.project.weight"])
    # With other words, kinds keep their places and lose their names.
    lines = (tmp_path / "toy.jsonl").read_text().replace('"dog"', '"hound"')
    (tmp_path / "toy.jsonl").write_text(lines)
    (tmp_path / "next.toml").write_text(text.replace("next.", "words."))
    assert load_checkpoint(fit(read_config(tmp_path / "next.toml"), quiet)).config.kinds == (("cat",), ())


def test_another_encoder_knows_nothing_of_them(listed: DataConfig, tmp_path: Path) -> None:
    run = config(listed, tmp_path, epochs=1, kinds=2)
    fit(run, quiet)
    other = replace(run, out=str(tmp_path / "o.safetensors"), train=replace(run.train, kinds=0, seed=5))
    fit(replace(other, encoder=str(tmp_path / "e.safetensors")), quiet)  # writes its own, another one
    for kinds, left in ((0, 0), (2, 2)):
        told: list[str] = []
        text = f"""out = "{tmp_path}/k{kinds}.safetensors"\nstart = "{run.out}"\nencoder = "{tmp_path}/e.safetensors"
            [data]\ntrain = "{listed.train}"\ndev = "{listed.dev}"\ncache = "{listed.cache}"\nminimum = 1\ncaptions = 2
            [model]\nmode = "concat"\n[train]\nepochs = 1\nphotos = 2\nrate = 0.01\nkinds = {kinds}"""
        (tmp_path / "next.toml").write_text(text)
        model = load_checkpoint(fit(read_config(tmp_path / "next.toml"), told.append))
        assert len(model.config.kinds) == left
        assert any("kinds of things" in line and "are left out" in line for line in told) == (kinds == 0)


def test_a_run_may_ask_for_them_later(listed: DataConfig, tmp_path: Path) -> None:
    """The state of a finished run is gone on from: nothing is learned again but the layer."""
    fit(config(listed, tmp_path, epochs=1), quiet)
    told: list[str] = []
    model = load_checkpoint(fit(config(listed, tmp_path, epochs=1, kinds=2), told.append))
    assert len(model.config.kinds) == 2
    assert told[1] == "going on after epoch 1 of 1"


def test_wrong_settings_are_one_line_before_any_epoch(
    data: DataConfig, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    with pytest.raises(ConfigError, match="setting 'kinds': no photo to learn from has a list of objects"):
        fit(config(data, tmp_path, kinds=3), quiet)
    (tmp_path / "run.toml").write_text(
        f'out = "m.safetensors"\npretrained = ""\n[data]\ntrain = "{data.train}"\ndev = "{data.dev}"\nminimum = 1\n'
        '[model]\nbackbone = "efficientnet-lite0"\ninput = [64, 64]\nkinds = [["square"]]'
    )
    status, out, err = cli("train", tmp_path / "run.toml")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].endswith(
        "kinds are found in the data: leave them out of [model], and set 'kinds' under [train]"
    )
