"""`attnviz evaluate`: its progress, its tables and its JSON, on a terminal and elsewhere."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import attnviz
from attnviz.cli.tables import print_table

Run = Callable[..., Any]

PHOTOS = 18  # more than `evaluate` measures at once


@pytest.fixture
def split(tmp_path: Path, photo: Path) -> Path:
    """`dev`: photos with a caption whose one phrase is the left half."""
    lines = []
    with zipfile.ZipFile(tmp_path / "dev.zip", "w") as archive:
        for number in range(PHOTOS):
            name = f"{number}.png"
            archive.write(photo, name)
            caption = {"tokens": ["A", "dog", "runs", "."], "phrases": [[0, 2, "1", ["animals"]]]}
            boxes = {"1": [[0, 0, 0.5, 1]]}
            lines.append(json.dumps({"image": name, "width": 60, "height": 40, "captions": [caption], "boxes": boxes}))
    (tmp_path / "dev.jsonl").write_text("\n".join(lines))
    return tmp_path / "dev"


def without_colours(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)


def test_tables_and_remarks_where_there_is_no_terminal(cli: Run, split: Path, checkpoint: Path) -> None:
    status, out, err = cli("evaluate", checkpoint, "dev")
    assert status == 0
    title, _, captions, scores, between, _, attention, *lines = out.splitlines()
    rows, (heading, animals), (own, _, calibration) = lines[:5], lines[6:8], lines[9:]
    assert title == f"tiny, concat, on {PHOTOS} photos of dev, 5 beams"
    assert captions.split() == ["captions", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]
    assert scores.split()[0] == "model"
    assert between.split()[:2] == ["95", "%"]
    assert all(re.fullmatch(r"\d+\.\d-\d+\.\d", told) for told in between.split()[2:])
    columns = re.split(r" {2,}", attention)
    assert columns == ["attention", "model", "95 %", "uniform", "centre", "random", "corrected", "phrases"]
    names = [row[: row.index("  ")] for row in rows]
    assert names == ["correctness", "pointing", "pointing alone", "iou", "box accuracy"]
    # The box is the left half: a uniform map puts half of its weight there, and each photo has one phrase.
    assert re.split(r" {2,}", rows[0])[3::4] == ["0.5000", str(PHOTOS)]
    assert max(map(len, (attention, *rows, heading, animals))) <= 80
    assert {len(line) for line in (attention, *rows)} == {len(attention)}  # flush right
    assert re.split(r" {2,}", heading) == ["phrases of", "number", "correctness", "pointing", "pointing alone"]
    assert animals.split()[:2] == ["animals", str(PHOTOS)]
    assert re.fullmatch(
        r"object words of its own captions, 1 class: F1_all \d\.\d{3} \(.*\), F1_loc \d\.\d{3} \(.*\)", own
    )
    assert re.fullmatch(r"calibration error 0\.\d{3} \(0\.\d{3} before its temperature of 1; \d+ words\)", calibration)
    assert re.search(rf"^attnviz: measured {PHOTOS} photos in \d+:\d\d\n\Z", err, re.MULTILINE)


def test_json_is_all_there_is_on_standard_output(cli: Run, split: Path, checkpoint: Path) -> None:
    found = cli("evaluate", checkpoint, "dev", "--json")
    report = json.loads(found.out)
    assert "measured" in found.err
    assert report["localization"]["uniform"]["correctness"] == pytest.approx(0.5)
    own = report["measures"]["pointing alone"]["animals"]["model"]
    assert 0 <= own["low"] <= own["value"] <= own["high"] <= 1
    assert set(report["captions"]) == {f"{number}.png" for number in range(PHOTOS)}
    quiet = cli("evaluate", checkpoint, "dev", "--json", "-q")
    assert (json.loads(quiet.out), quiet.err) == (report, "")


def test_a_card_keeps_the_figures(cli: Run, tmp_path: Path, split: Path, checkpoint: Path) -> None:
    from attnviz.captioner.header import read_meta

    shutil.copy(checkpoint, tmp_path / "m.safetensors")
    report = json.loads(cli("evaluate", "m.safetensors", "dev", "--json", "--card", "-q").out)
    figures = read_meta(tmp_path / "m.safetensors")["card"]["figures"]
    assert figures["correctness"] == round(report["localization"]["model"]["correctness"], 3)
    assert figures["BLEU-4"] == round(report["bleu"]["BLEU-4"], 1)


def test_what_a_model_knows_of_its_limits_is_fitted_and_kept(
    cli: Run, tmp_path: Path, split: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attnviz.captioner.header import read_meta

    shutil.copy(checkpoint, tmp_path / "m.safetensors")
    found = cli("evaluate", "m.safetensors", "dev", "--json", "--calibrate")
    report = json.loads(found.out)["calibration"]
    assert read_meta(tmp_path / "m.safetensors")["temperature"] == report["temperature"] != 1
    assert f"m.safetensors: temperature {report['temperature']:g}, before 1\n" in found.err
    assert "figures" not in read_meta(tmp_path / "m.safetensors")["card"]
    again = json.loads(cli("evaluate", "m.safetensors", "dev", "--json", "-q").out)
    assert again["calibration"] == report
    assert "familiar" not in read_meta(tmp_path / "m.safetensors")
    found = cli("evaluate", "m.safetensors", "dev", "--calibrate", "--seen", "dev", "-q")
    assert (found.status, found.err.count("\n")) == (1, 1)
    monkeypatch.setattr("attnviz.captioner.familiar.FEWEST", 9)
    assert cli("evaluate", "m.safetensors", "dev", "--calibrate", "--seen", "dev", "-q").status == 0
    assert read_meta(tmp_path / "m.safetensors")["familiar"]["threshold"] > 0
    found = cli("evaluate", "m.safetensors", "dev", "--seen", "dev")
    assert (found.status, found.err.count("--seen needs --calibrate")) == (2, 1)


def test_what_cannot_be_measured_is_one_line(cli: Run, split: Path, checkpoint: Path) -> None:
    found = cli("evaluate", checkpoint, "nowhere")
    assert (found.status, found.out, found.err.count("\n")) == (1, "", 1)
    assert found.err.startswith("attnviz: error: nowhere.jsonl: ")
    split.with_suffix(".jsonl").write_text('{"image": "0.png"}')
    found = cli("evaluate", checkpoint, "dev")
    assert (found.status, found.out, found.err.count("\n")) == (1, "", 1)
    assert "dev.jsonl: has no captions" in found.err


def test_a_bar_and_drawn_tables_on_a_terminal(split: Path, checkpoint: Path) -> None:
    (out, out_of_process), (err, err_of_process) = pty.openpty(), pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "attnviz", "evaluate", str(checkpoint), "dev"],
        cwd=split.parent,
        stdout=out_of_process,
        stderr=err_of_process,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(attnviz.__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
            "TERM": "xterm",
            "COLUMNS": "80",
            "PYTHONUTF8": "1",
        },
    )
    os.close(out_of_process)
    os.close(err_of_process)
    with ThreadPoolExecutor() as pool:  # side by side: one that nobody reads is full after 4 kB, and all would wait
        shown, told = pool.map(everything, (out, err))
    assert process.wait(60) == 0
    assert f" 0/{PHOTOS}" in told
    assert f"{PHOTOS}/{PHOTOS}" in told
    assert f"measured {PHOTOS} photos in 0:" in told
    assert told.count("\x1b[?25l") == told.count("\x1b[?25h") == 1  # the cursor is back
    assert "photos" not in shown.splitlines()[-1]
    assert "────" in shown
    assert re.search(rf"correctness +0\.\d{{4}} +[\d.-]+ +0\.5000 .* {PHOTOS}", without_colours(shown))


def everything(terminal: int) -> str:
    """What was shown on a terminal until all have let go of it."""
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            os.close(terminal)
            return shown.decode(errors="replace")


def test_a_drawn_table_shows_brackets_and_folds_what_is_too_wide(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    print_table([("mode", "score"), ("dot", "tanh(Wc [E_i ; d]) and [bold]more[/bold]")])
    lines = without_colours(capsys.readouterr().out).splitlines()
    assert len(lines) > 3
    assert all(len(line) <= 30 for line in lines)
    assert " ".join(line[5:].strip() for line in lines[2:]) == "tanh(Wc [E_i ; d]) and [bold]more[/bold]"
