"""Splits from photos and a table of captions; the guide's minimal training, run as it stands with fewer steps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz.data import Split
from attnviz.data.table import make_splits, read_table
from attnviz.errors import DataError

GUIDE = Path(__file__).parents[2] / "attnviz" / "guide" / "training.md"
Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dozen photos, and nothing said of them yet."""
    random, place = np.random.default_rng(0), tmp_path / "photos"
    place.mkdir()
    for number in range(12):
        low = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(low).resize((50 + number, 40)).save(place / f"{number}.jpg")
    return place


TABLES = {
    "commas": 'image,caption\n0.jpg,"A dog, brown, runs."\n0.jpg,It runs\n1.jpg,Two cats\n',
    "no quotes": "image,caption\n0.jpg,A dog, brown, runs.\n0.jpg,It runs\n1.jpg,Two cats\n",
    "semicolons": "photo;text\r\n0.jpg;A dog, brown, runs.\r\n0.jpg;It runs\r\n1.jpg;Two cats\r\n",
    "tabs, no heading": "0.jpg\tA dog, brown, runs.\n0.jpg\tIt runs\n\n1.jpg\tTwo cats\n",
    "bars, as Flickr30k": "image_name| comment_number| comment\n0.jpg| 0| A dog, brown, runs .\n"
    "0.jpg|1|It runs\n1.jpg|0|Two cats\n",
    "several in a row": '\ufeffFile,Caption 1,Caption 2\n0.jpg,"A dog, brown, runs.",It runs\n1.jpg,Two cats,\n',
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_all_kinds_say_the_same(kind: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(TABLES[kind], encoding="utf-8", newline="")
    texts, chosen = read_table(tmp_path / "c.csv")
    assert {name: len(found) for name, found in texts.items()} == {"0.jpg": 2, "1.jpg": 1}
    assert chosen == {}
    assert make_splits(folder, tmp_path / "c.csv", tmp_path / "out") == {"train": 1, "dev": 1}
    records = {one.image: one for name in ("train", "dev") for one in Split(tmp_path / "out" / name)}
    assert [one.words for one in records["0.jpg"].captions] == [("a", "dog", "brown", "runs"), ("it", "runs")]
    assert records["1.jpg"].captions[0].words == ("two", "cats")
    assert records["1.jpg"].size == (40, 51)


def test_words_are_told_apart_from_signs(folder: Path, tmp_path: Path) -> None:
    rows = ["0.jpg,train,\"The dog's well-known 'friend' (a cat) — 3.5 kg!\"", "1.jpg,val,Ein Café; über dem Fluß…"]
    (tmp_path / "c.csv").write_text("image,split,caption\n" + "\n".join(rows), encoding="utf-8")
    make_splits(folder, tmp_path / "c.csv", tmp_path / "out")
    (first,), (second,) = (Split(tmp_path / "out" / name) for name in ("train", "dev"))
    assert first.captions[0].words == ("the", "dog's", "well-known", "friend", "a", "cat", "3.5", "kg")
    assert second.captions[0].words == ("ein", "café", "über", "dem", "fluß")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("image,caption\n", "names no photo"),
        ("image,words\n0.jpg,a dog\n", "has no captions"),
        ("id,caption\n0.jpg,a dog\n", "no column is called image; the first row names id, caption"),
        ("image,caption\n0.jpg,\n", "line 2: has no caption"),
        ("image,caption\n0.jpg,...\n", "line 2: has no caption"),
        ("image,caption\n,a dog\n", "line 2: has no photo"),
        ("image,caption\n../x.jpg,a dog\n", "line 2: '../x.jpg' is not the name of a photo"),
        ("image,caption\n0.jpg,a dog\n", "tells of 1 photo, too few"),
        ("image,caption\n0.jpg,a dog\nnone.jpg,a cat\n", "lacks 1 of the photos, none.jpg first"),
        ("image,split,caption\n0.jpg,train,a dog\n0.jpg,dev,a cat\n", "line 3: 0.jpg is in both splits"),
        ("image,split,caption\n0.jpg,train,a dog\n1.jpg,train,a cat\n", "leaves no photo to dev"),
        ("0.jpg\n1.jpg\n", "has no captions"),
        (f'image,caption\n0.jpg,"{"a" * 2**21}"\n', "line 2: is no table of columns"),
    ],
)
def test_tables_that_are_none_are_one_line(text: str, said: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        make_splits(folder, tmp_path / "c.csv", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_guides_training_runs_as_it_stands(
    folder: Path, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two epochs, and a small network in the place of the bundled one."""
    from attnviz.captioner import Captioner, save_checkpoint

    text = GUIDE.read_text(encoding="utf-8")
    (config,) = re.findall(r"```toml mine\.toml\n(.*?)```", text, re.S)
    commands = [line.split() for line in re.findall(r"^attnviz (.*)$", text, re.M)][:3]
    rows = [f"{number}.jpg,A {'dog' if number % 2 else 'cat'} on the grass." for number in range(12)]
    (tmp_path / "captions.csv").write_text("image,caption\n" + "\n".join(rows))
    (tmp_path / "photo.jpg").write_bytes((folder / "3.jpg").read_bytes())
    save_checkpoint(Captioner.tiny(seed=1), tmp_path / "tiny.safetensors")
    small = config.replace('"flickr8k"', '"tiny.safetensors"').replace("epochs = 20", "epochs = 2")
    assert small.count("tiny") == 1
    (tmp_path / "mine.toml").write_text(small)
    said = [cli(*command) for command in commands]
    assert [one.status for one in said] == [0, 0, 0], said
    assert said[0].out == "data/mine/train.jsonl: 11 photos\ndata/mine/dev.jsonl: 1 photo\n"
    assert said[1].out == "mine.safetensors\n"
    assert said[2].out.startswith("photo.jpg: ")
    (tmp_path / "mine.toml").write_text(small.replace("epochs = 2", "epochs = 3"))
    assert "going on after epoch 2 of 3" in cli(*commands[1]).err
    log = [json.loads(line) for line in (tmp_path / "mine.log").read_text().splitlines()]
    assert len(log) == 3
    assert log[-1]["words"] < log[0]["words"]
