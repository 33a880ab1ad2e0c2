"""`attnviz render` and `attnviz draw`, in this process, with a tiny network."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz import Trace

Run = Callable[..., Any]


@pytest.fixture
def render(cli: Run, checkpoint: Path) -> Run:
    """`attnviz render --model TINY` and what is given."""
    return lambda *args: cli("render", "--model", checkpoint, *args)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_one_photo_gives_a_folder_with_a_picture_per_word(render: Run, photo: Path, tmp_path: Path) -> None:
    status, out, err = render("photo.png")
    folder = tmp_path / "photo-attention"
    trace = Trace.load(folder / "trace.npz")
    assert (status, out) == (0, f"photo.png: {trace.caption}\n")
    assert f"photo.png: {len(trace) + 4} files in photo-attention" in err
    assert len(trace) > 0
    pictures = {f"step-{index:02d}-{token}.png" for index, token in enumerate(trace.tokens)}
    assert names(folder) == pictures | {"attention.gif", "overview.png", "trace.npz", "summary.json"}
    assert trace.image is not None
    assert (trace.image.name, trace.image.size, trace.mode) == ("photo.png", (40, 60), "concat")
    with Image.open(folder / min(pictures)) as first:
        assert first.size == (60, 40)


def test_out_is_the_folder_of_one_photo_and_holds_a_folder_for_each_of_several(
    render: Run, photo: Path, tmp_path: Path
) -> None:
    shutil.copy(photo, tmp_path / "other.png")
    assert render("photo.png", "-o", "one", "-f", "png").status == 0
    assert "trace.npz" in names(tmp_path / "one")
    status, out, _ = render("photo.png", "other.png", "-o", "two", "-f", "gif")
    assert status == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["photo.png", "other.png"]
    assert names(tmp_path / "two") == {"photo-attention", "other-attention"}


def test_a_photo_that_fails_is_named_and_the_others_are_done(render: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    status, out, err = render("missing.png", "broken.jpg", "photo.png", "-q", "-f", "gif")
    assert status == 1
    assert out.startswith("photo.png: ")
    assert [line.split(": ")[2] for line in err.splitlines()] == ["missing.png", "broken.jpg"]
    assert {name for name in names(tmp_path) if name.endswith("-attention")} == {"photo-attention"}


def test_json_holds_results_and_failures(render: Run, photo: Path, tmp_path: Path) -> None:
    status, out, _ = render("photo.png", "missing.png", "--json", "-q", "-f", "gif")
    found = json.loads(out)
    assert (status, found["failed"]) == (1, 1)
    done, failed = sorted(found["results"], key=lambda result: "error" in result)
    assert "missing.png: " in failed["error"]
    assert done["source"] == "photo.png"
    assert done["caption"] == " ".join(step["token"] for step in done["steps"])
    assert {done["folder"] + "/" + name for name in done["files"]} == {
        "photo-attention/attention.gif",
        "photo-attention/trace.npz",
        "photo-attention/summary.json",
    }


def test_quiet_says_nothing_but_the_caption(render: Run, photo: Path) -> None:
    status, out, err = render("photo.png", "-q", "-f", "gif")
    assert (status, out.count("\n"), err) == (0, 1, "")


def test_standard_input_and_output(
    render: Run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: Run, checkpoint: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": BytesIO(photo.read_bytes())}))
    assert render("-", "-f", "gif").out.startswith("stdin: ")
    piped = tmp_path / "stdin-attention" / "attention.gif"
    render("photo.png", "-f", "gif", "-o", "filed")
    with Image.open(piped) as one, Image.open(tmp_path / "filed" / "attention.gif") as other:
        assert one.n_frames == other.n_frames  # type: ignore[attr-defined]


def test_one_file_goes_to_standard_output_and_the_caption_to_standard_error(
    checkpoint: Path,
    photo: Path,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from attnviz.cli import run

    monkeypatch.chdir(tmp_path)
    before = names(tmp_path)
    assert run(["render", "--model", str(checkpoint), "photo.png", "-o", "-"]) == 0
    sys.stdout.flush()
    out, err = capfdbinary.readouterr()
    assert Image.open(BytesIO(out)).format == "GIF"
    assert err.startswith(b"photo.png: ")
    assert names(tmp_path) == before
    assert run(["render", "--model", str(checkpoint), "photo.png", "--text", "a dog", "-o", "-", "-f", "png"]) == 1
    out, err = capfdbinary.readouterr()
    assert (out, err.count(b"attnviz: error: ")) == (b"", 1)


def test_given_words_are_read_and_unknown_ones_are_told(render: Run, photo: Path, tmp_path: Path) -> None:
    status, out, err = render("photo.png", "--text", "A zebra runs", "-f", "gif")
    assert (status, out) == (0, "photo.png: A zebra runs\n")
    assert "zebra" in err
    assert Trace.load(tmp_path / "photo-attention" / "trace.npz").tokens == ("A", "zebra", "runs")


def test_drawing_options_reach_the_pictures(render: Run, photo: Path, tmp_path: Path) -> None:
    words = ("--text", "a dog runs on grass", "-f", "png", "-q")
    assert render("photo.png", *words, "--steps", "1-2,4", "--size", "30", "-o", "some").status == 0
    pictures = {name for name in names(tmp_path / "some") if name.endswith(".png")}
    assert pictures == {"step-01-dog.png", "step-02-runs.png", "step-04-grass.png"}
    with Image.open(tmp_path / "some" / "step-01-dog.png") as half:
        assert half.size == (30, 20)
    status, _, err = render("photo.png", *words, "--steps", "9", "-o", "none")
    assert status == 1
    assert err.startswith("attnviz: error: photo.png: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_threads_are_set(render: Run, photo: Path, monkeypatch: pytest.MonkeyPatch, asked: int) -> None:
    import torch

    from attnviz.captioner import Captioner

    seen = []
    describe = Captioner.describe

    def watched(*args: Any, **more: Any) -> Any:
        seen.append(torch.get_num_threads())
        return describe(*args, **more)

    monkeypatch.setattr(Captioner, "describe", watched)
    before = torch.get_num_threads()
    try:
        assert render("photo.png", "--threads", asked, "-f", "gif").status == 0
    finally:
        torch.set_num_threads(before)
    assert seen == [asked]


def test_a_mode_that_the_checkpoint_does_not_hold_is_one_line(render: Run, photo: Path) -> None:
    status, out, err = render("photo.png", "-m", "general")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "concat" in err
    assert "general" in err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "name", ["a\nb.png", "\x1b[31mred.png", b"\xff\xfe.png".decode(errors="surrogateescape"), "-x.png"]
)
def test_odd_file_names_break_no_line_and_no_terminal(render: Run, photo: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(photo, tmp_path / name)
    status, out, err = render("-f", "gif", "--", name)
    assert (status, out.count("\n")) == (0, 1)
    assert all(char.isprintable() for line in (out + err).splitlines() for char in line)
    assert "trace.npz" in names(tmp_path / f"{Path(name).stem}-attention")
    assert json.loads(render("-f", "gif", "--json", "-q", "--", name).out)["results"][0]["source"] == name


def test_options_come_from_a_file_and_the_command_line_wins(render: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'text = "a dog runs"\nformat = ["png"]\nsteps = [0, 2]\nmax-pixels = 3000\nquiet = true\n'
    )
    assert render("photo.png", "--config", "mine.toml") == (0, "photo.png: a dog runs\n", "")
    folder = tmp_path / "photo-attention"
    assert names(folder) == {"step-00-a.png", "step-02-runs.png", "trace.npz", "summary.json"}
    assert render("photo.png", "--config", "mine.toml", "--steps", "1", "-f", "png").status == 0
    assert names(folder) == {"step-01-dog.png", "trace.npz", "summary.json"}
    status, _, err = render("photo.png", "--config", "mine.toml", "--max-pixels", "2000")
    assert status == 1
    assert "photo.png" in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stile = 'heat'", ["unknown key 'stile'", "did you mean style"]),
        ("image = 'x'", ["unknown key 'image'"]),
        ("config = 'x'", ["unknown key 'config'"]),
        ("style = 'heet'", ["style", "'heet'", "did you mean heat?"]),
        ("cells = 1", ["cells must be true or false"]),
        ("opacity = true", ["opacity"]),
        ("opacity = 7", ["opacity", "7"]),
        ("beam = {a = 1}", ["beam"]),
        ("= nothing", ["TOML"]),
    ],
)
def test_a_wrong_config_is_one_line_that_names_file_and_key(
    cli: Run, photo: Path, tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "mine.toml").write_text(text)
    status, out, err = cli("render", "photo.png", "--config", "mine.toml")
    assert (status, out, err.count("\n")) == (1, "", 1)
    for word in ["mine.toml", *words]:
        assert word in err


def test_presets_are_found_by_name_and_are_valid(render: Run, cli: Run, photo: Path) -> None:
    from attnviz.cli.config import IN_SOURCE_TREE, presets

    assert presets()
    for name in presets():
        assert render("photo.png", "--config", name, "--size", "60", "-q").status == 0
    if IN_SOURCE_TREE.is_dir():
        assert set(presets()) == {path.stem for path in (IN_SOURCE_TREE / "render").glob("*.toml")}
    assert "did you mean paper?" in cli("render", "photo.png", "--config", "papr").err


def test_draw_makes_the_same_pictures_as_render(render: Run, cli: Run, photo: Path, tmp_path: Path) -> None:
    render("photo.png", "-q")
    made = tmp_path / "photo-attention"
    status, out, _ = cli("draw", made / "trace.npz", "-o", "again")
    assert (status, out) == (0, f"{made / 'trace.npz'}: {Trace.load(made / 'trace.npz').caption}\n")
    assert names(tmp_path / "again") == names(made)
    for name in names(made):
        if name.endswith((".png", ".gif")):
            assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()


def test_draw_names_its_folder_after_the_photo_and_replaces_an_earlier_run(
    render: Run, cli: Run, photo: Path, tmp_path: Path
) -> None:
    render("photo.png", "-q")
    (tmp_path / "photo-attention" / "mine.txt").write_text("kept")
    assert cli("draw", "photo-attention/trace.npz", "-f", "gif", "-q").status == 0
    assert names(tmp_path / "photo-attention") == {"attention.gif", "trace.npz", "summary.json", "mine.txt"}


def test_draw_asks_for_a_photo_that_is_not_there_and_notes_another_one(
    cli: Run, photo: Path, pixels: np.ndarray, tmp_path: Path, render: Run
) -> None:
    render("photo.png", "-q")
    (tmp_path / "elsewhere").mkdir()
    photo.rename(tmp_path / "elsewhere" / "renamed.png")
    status, out, err = cli("draw", "photo-attention/trace.npz")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "photo.png" in err
    assert "--image" in err
    assert "not the file" not in cli("draw", "photo-attention/trace.npz", "--image", "elsewhere/renamed.png").err
    Image.fromarray(pixels[:, ::-1]).save(tmp_path / "photo.png")
    status, _, err = cli("draw", "photo-attention/trace.npz")
    assert status == 0
    assert "photo.png: not the file that the trace was made from" in err


def test_draw_takes_a_trace_of_another_program_and_needs_no_torch(process: Run, photo: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "foreign.npz", weights=np.full((2, 3, 4), 1 / 12, np.float32), tokens=np.array(["une", "fête"]))
    status, out, err = process("draw", "foreign.npz", "--image", "photo.png", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert (status, out) == (0, "foreign.npz: une fête\n")
    assert "step-01-fête.png" in names(tmp_path / "photo-attention")
    assert "| torch" not in err
    assert "| matplotlib" not in err
    assert "--image" in process("draw", "foreign.npz").err
