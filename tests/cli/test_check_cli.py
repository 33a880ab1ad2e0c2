"""`attnviz check`: what it prints, what it keeps beside the trace, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attnviz
from attnviz.evidence import KINDS

Run = Callable[..., Any]
TEXT = ("--text", "a dog runs")
FAST = ("--parts", 3, "--draws", 2)


@pytest.fixture
def check(cli: Run, checkpoint: Path, photo: Path) -> Run:
    def run(*args: object) -> Any:
        return cli("check", *FAST, "--model", checkpoint, *args)

    return run


def test_a_table_of_verdicts_and_the_numbers_beside_the_trace(check: Run, tmp_path: Path) -> None:
    status, out, err = check("photo.png", *TEXT)
    assert status == 0
    title, heading, *rows = out.splitlines()
    assert title == "photo.png: a dog runs"
    assert heading.split()[:3] == ["word", "verdict", "p"]
    assert [row.split()[0] for row in rows[:3]] == ["a", "dog", "runs"]
    assert err == f"attnviz: photo.png: evidence.json, trace.npz in {Path('photo-attention')}/\n"
    told = json.loads((tmp_path / "photo-attention" / "evidence.json").read_text())
    trace = attnviz.Trace.load(tmp_path / "photo-attention" / "trace.npz")
    assert trace.verdicts is not None
    for word, (kind, reason), row in zip(told["words"], trace.verdicts, rows, strict=False):
        assert kind in KINDS
        assert word["verdict"]["kind"] == kind
        assert word["verdict"]["reason"] == reason
        assert kind in row
        assert len(word["deletion"]["values"]) == 3 + 1
        assert len(word["deletion"]["random"]) == 2 * 2
    # The layers of a network of ours, from the attention down, and uniform attention.
    assert list(told["words"][0]["randomised"])[:2] == ["attention", "query LSTM"]
    assert told["words"][0]["unfocused"] == pytest.approx(1, abs=0.5)


def test_pictures_of_the_same_words_stay_and_those_of_other_words_go(
    check: Run, cli: Run, checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photo-attention"
    assert cli("render", "photo.png", *TEXT, "--model", checkpoint).status == 0
    before = {path.name for path in folder.iterdir()}
    assert check("photo.png", *TEXT, "-q").status == 0
    assert {path.name for path in folder.iterdir()} == before | {"evidence.json"}
    steps = json.loads((folder / "summary.json").read_text())["trace"]["steps"]
    assert all(step["verdict"] in KINDS for step in steps)
    assert check("photo.png", "--text", "a cat", "-q").status == 0
    assert {path.name for path in folder.iterdir()} == {"evidence.json", "trace.npz", "summary.json"}
    # A new rendering has not been tested: the old verdicts go.
    assert cli("render", "photo.png", *TEXT, "--model", checkpoint).status == 0
    assert {path.name for path in folder.iterdir()} == before


def test_json_and_several_photos_one_of_them_bad(check: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no photo")
    status, out, err = check("photo.png", "bad.png", *TEXT, "--json", "-q")
    assert status == 1
    assert err.startswith("attnviz: error: bad.png: ")
    assert err.count("\n") == 1
    (result,) = json.loads(out)["results"]
    assert (result["source"], len(result["words"])) == ("photo.png", 3)


def test_a_report_on_paper_is_the_same_bytes_each_time(check: Run, tmp_path: Path) -> None:
    assert check("photo.png", *TEXT, "-f", "pdf", "-q", "-o", "one").out == ""
    assert check("photo.png", *TEXT, "-f", "pdf", "-q", "-o", "two").status == 0
    data = (tmp_path / "one" / "evidence.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert data == (tmp_path / "two" / "evidence.pdf").read_bytes()
    assert check("photo.png", *TEXT, "-f", "html", "-q", "-o", "one").status == 0
    assert (tmp_path / "one" / "evidence.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("args", "status", "told"),
    [
        (["--remove", "black"], 2, "black"),
        (["--parts", "1"], 2, "--parts"),
        (["-f", "table,odt"], 2, "odt"),
        (["--text", "..."], 1, "no word"),
    ],
)
def test_wrong_input_is_one_line(check: Run, tmp_path: Path, args: list[str], status: int, told: str) -> None:
    found = check("photo.png", *args)
    assert (found.status, found.out, found.err.count("\n")) == (status, "", 1)
    assert told in found.err
    assert not (tmp_path / "photo-attention").exists()


def test_json_can_be_read_whatever_the_terminals_encoding(process: Run, checkpoint: Path, photo: Path) -> None:
    asked = (
        "check",
        photo.name,
        "--model",
        checkpoint,
        "--text",
        "caf\u00e9",
        "--parts",
        2,
        "--draws",
        1,
        "-q",
        "--json",
    )
    status, out, err = process(*asked, env={"PYTHONIOENCODING": "koi8-r"})
    assert (status, err) == (0, "")
    assert json.loads(out)["results"][0]["caption"] == "caf\u00e9"
