"""`attnviz evaluate --evidence` as a user sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attnviz

Run = Callable[..., Any]

PHOTOS = 4


@pytest.fixture
def split(tmp_path: Path, photo: Path) -> Path:
    lines = []
    with zipfile.ZipFile(tmp_path / "dev.zip", "w") as archive:
        for number in range(PHOTOS):
            archive.write(photo, f"{number}.png")
            caption = {"tokens": ["A", "dog", "runs", "."], "phrases": [[0, 2, "1", ["animals"]]]}
            boxes = {"1": [[0, 0, 0.5, 1]]}
            lines.append(json.dumps({"image": f"{number}.png", "captions": [caption], "boxes": boxes}))
    (tmp_path / "dev.jsonl").write_text("\n".join(lines))
    return tmp_path / "dev"


@pytest.fixture
def others(tmp_path: Path) -> list[Path]:
    from attnviz.captioner import Captioner, save_checkpoint

    paths = []
    for mode in ("concat", "dot"):
        paths.append(tmp_path / f"{mode}.safetensors")
        save_checkpoint(Captioner.tiny(mode), paths[-1])
    return paths


def test_tables_and_files_of_two_networks(cli: Run, split: Path, others: list[Path]) -> None:
    names = ",".join(path.name for path in others)
    status, out, err = cli("evaluate", names, "dev", "--evidence", "--photos", 3)
    assert status == 0
    assert out.startswith("3 photos of dev; figures with their 95 % intervals\n\ncontent words: 6, 6 of them with")
    assert "function words: 3, 3 of them" in out
    for title in ("verdicts, in percent", "rank correlation with the map once layers", "own captions", "sinks"):
        assert title in out
    assert all(sum(line.startswith(f"tiny {mode}  ") for line in out.splitlines()) >= 12 for mode in ("concat", "dot"))
    assert "nan" not in out
    folder = split.parent / "dev-evidence"
    assert sorted(path.name for path in folder.iterdir()) == ["evidence.json", "tiny-concat.jsonl", "tiny-dot.jsonl"]
    assert "measured 3 photos of dev in 0:" in err
    assert "all figures in dev-evidence/" in err
    before = (folder / "tiny-dot.jsonl").read_bytes()
    found = cli("evaluate", names, "dev", "--evidence", "--photos", 4, "--json", "-q")
    assert (found.status, found.err) == (0, "")
    report = json.loads(found.out)
    assert report == json.loads((folder / "evidence.json").read_text())
    assert [(one["model"], one["mode"], one["photos"]) for one in report["models"]] == [
        ("tiny", "concat", 4),
        ("tiny", "dot", 4),
    ]
    assert report["protocol"]["settings"] == {"how": "blur", "steps": 5, "draws": 3, "seed": 0}
    assert (folder / "tiny-dot.jsonl").read_bytes().startswith(before)  # it went on


def test_wrong_usage_is_told_before_anything_is_measured(cli: Run, split: Path, others: list[Path]) -> None:
    names = ",".join(path.name for path in others)
    for args, told in (
        ((names, "dev"), "several models or modes are measured together with --evidence alone; name one"),
        (("dot.safetensors", "dev", "-m", "all"), "several models or modes"),
        (("dot.safetensors", "dev", "--photos", 3), "--photos goes with --evidence"),
        (("dot.safetensors", "dev", "-o", "x"), "--out goes with --evidence"),
        (("dot.safetensors", "dev", "--evidence", "--card"), "leave out --card"),
        (("dot.safetensors", "dev", "--evidence", "--photos", 1), "--photos"),
        (("dot.safetensors,nosuch", "dev", "--evidence"), "no bundled model is called 'nosuch'"),
    ):
        found = cli("evaluate", *args)
        assert found.status == 2, args
        assert told in found.err
        assert found.err.count("\n") <= 2
        assert not (split.parent / "dev-evidence").exists()


def test_a_folder_of_other_numbers_is_one_line(cli: Run, split: Path, others: list[Path]) -> None:
    assert cli("evaluate", "dot.safetensors", "dev", "--evidence", "--photos", 2, "-q").status == 0
    found = cli("evaluate", "dot.safetensors", "dev", "--evidence", "--photos", 2, "--seed", 1)
    assert (found.status, found.out, found.err.count("\n")) == (1, "", 1)
    assert "tiny-dot.jsonl: was measured with another seed or protocol; give another folder with -o" in found.err
    (split.parent / "taken").write_text("")
    found = cli("evaluate", "dot.safetensors", "dev", "--evidence", "-o", "taken")
    assert (found.status, found.out, found.err.count("\n")) == (1, "", 1)
    found = cli("evaluate", "dot.safetensors,dot.safetensors", "dev", "--evidence")
    assert (found.status, found.out, found.err.count("\n")) == (1, "", 1)
    assert "two networks are called tiny-dot" in found.err
    found = cli("evaluate", "dot.safetensors", "nowhere", "--evidence")
    assert (found.status, found.err.count("\n")) == (1, 1)
    assert "nowhere.jsonl" in found.err


def test_a_killed_run_goes_on_to_the_same_figures(cli: Run, split: Path, others: list[Path]) -> None:
    words = ["evaluate", "dot.safetensors", "dev", "--evidence", "--photos", str(PHOTOS), "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "attnviz", *words],
        cwd=split.parent,
        env={**os.environ, "PYTHONPATH": str(Path(attnviz.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    kept, until = split.parent / "dev-evidence" / "tiny-dot.jsonl", time.monotonic() + 120
    while not (kept.exists() and kept.read_bytes().count(b"\n") > 1) and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.wait()
    whole = kept.read_bytes()[: kept.read_bytes().rfind(b"\n") + 1]
    assert whole.count(b"\n") > 1
    assert cli(*words).status == 0
    assert kept.read_bytes().startswith(whole)
    assert cli(*words, "-o", "again").status == 0
    assert (split.parent / "again" / kept.name).read_bytes() == kept.read_bytes()
    figures = [(split.parent / name / "evidence.json").read_bytes() for name in ("dev-evidence", "again")]
    assert figures[0] == figures[1]


def test_modes_of_a_bundled_model() -> None:
    from attnviz.cli.averages import networks

    assert [one.mode for one in networks(["flickr8k-plain", "flickr8k"], ["all"], "cpu")] == [
        "concat",
        "dot",
        "general",
        "concat",
        "channel-dot",
        "channel-general",
        "flat-concat",
    ]
    assert [one.mode for one in networks(["flickr8k"], ["dot", "general"], "cpu")] == ["dot", "general"]
    assert [one.mode for one in networks(["flickr8k"], None, "cpu")] == ["concat"]
