"""A folder from end to end, in this process: results, manifest, what is skipped and what is done anew."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnviz
from attnviz.batch import Outcome, run
from attnviz.captioner import Captioner
from attnviz.errors import AttnvizError, ConfigError, DataError, ModelError, OutputError
from attnviz.photo.image import load

Make = Callable[..., Path]
Tree = Callable[[Path], dict[str, bytes | None]]

OPTIONS: dict[str, Any] = {"beam": 2, "size": 48, "threads": 1, "formats": ("png", "gif")}


@pytest.fixture(scope="module")
def model() -> Captioner:
    return Captioner.tiny(seed=4)


def manifest(out: Path, name: str = "manifest.jsonl") -> dict[str, dict[str, Any]]:
    records = [json.loads(line) for line in (out / name).read_text().splitlines()]
    assert len({record["path"] for record in records}) == len(records), "a line for each photo"
    return {record["path"]: record for record in records}


def counts(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.done, outcome.failed, outcome.skipped


@pytest.fixture
def folder(tmp_path: Path, photos: Make) -> Path:
    return photos(tmp_path / "photos", ["a.jpg", "a.png", "trip/b.jpg", "trip/deep/c.jpg"])


def test_results_mirror_the_tree_and_are_those_of_draw(
    model: Captioner, folder: Path, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "out"
    outcome = run(model, folder, out, **OPTIONS)
    assert counts(outcome) == (4, 0, 0)
    assert outcome.failures == {}
    assert {str(path.parent.relative_to(out)) for path in out.rglob("summary.json")} == {
        "a.jpg-attention",
        "a.png-attention",
        "trip/b.jpg-attention",
        "trip/deep/c.jpg-attention",
    }
    for path, record in manifest(out).items():
        results = out / record["folder"]
        assert sorted(record["files"]) == sorted(file.name for file in results.iterdir())
        (trace,) = attnviz.explain(model, folder / path, beam=2)
        saved = attnviz.Trace.load(results / "trace.npz")
        assert saved.tokens == trace.tokens
        assert saved.logprobs is not None
        assert saved.caption == record["caption"]
        np.testing.assert_allclose(saved.weights, trace.weights, atol=1e-5)
        # Of a photo without a path, as the drawing processes get it: nothing tells the way to it.
        attnviz.draw(saved, load(folder / path), tmp_path / "drawn", size=48, formats=OPTIONS["formats"])
        assert tree(tmp_path / "drawn") == tree(results)
        shutil.rmtree(tmp_path / "drawn")
        assert record["sha256"] == hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert record["probability"] == pytest.approx(float(np.exp(saved.logprobs.mean())), abs=1e-5)
        assert record["entropy"] == pytest.approx(np.mean([step.entropy for step in trace.steps]), abs=1e-4)
    assert sorted(path.name for path in out.iterdir()) == [
        "a.jpg-attention",
        "a.png-attention",
        "manifest.jsonl",
        "trip",
    ]


def test_a_photos_files_are_the_same_bytes_whatever_its_neighbours(
    model: Captioner, tmp_path: Path, photos: Make, tree: Tree
) -> None:
    everybody = photos(tmp_path / "all", [f"{number:02d}.jpg" for number in range(11)])
    run(model, everybody, tmp_path / "out", **OPTIONS)
    expected = tree(tmp_path / "out")
    for few in (["07.jpg"], ["01.jpg", "07.jpg", "10.jpg"]):
        part = tmp_path / f"part-{len(few)}"
        part.mkdir()
        for name in few:
            shutil.copy(everybody / name, part / name)
        run(model, part, tmp_path / f"out-{len(few)}", **{**OPTIONS, "threads": 2})
        for name, data in tree(tmp_path / f"out-{len(few)}").items():
            if "manifest" not in name:
                assert data == expected[name], name


def test_what_is_done_is_skipped_and_what_has_changed_is_done_anew(
    model: Captioner, folder: Path, tmp_path: Path, photos: Make, tree: Tree
) -> None:
    out = tmp_path / "out"
    run(model, folder, out, **OPTIONS)
    before = tree(out)
    assert counts(run(model, folder, out, **OPTIONS)) == (0, 0, 4)
    assert tree(out) == before
    os.utime(folder / "a.jpg")  # touched, with the same bytes
    assert counts(run(model, folder, out, **OPTIONS)) == (0, 0, 4)
    assert manifest(out)["a.jpg"]["mtime_ns"] == (folder / "a.jpg").stat().st_mtime_ns
    shutil.copy(folder / "trip/b.jpg", folder / "a.jpg")
    assert counts(run(model, folder, out, **OPTIONS)) == (1, 0, 3)
    assert (out / "a.jpg-attention/attention.gif").read_bytes() == before["trip/b.jpg-attention/attention.gif"]
    (out / "a.png-attention" / "attention.gif").unlink()
    assert counts(run(model, folder, out, **OPTIONS)) == (1, 0, 3)
    assert (out / "a.png-attention" / "attention.gif").is_file()
    photos(folder, ["new.jpg"])
    assert counts(run(model, folder, out, **OPTIONS)) == (1, 0, 4)
    assert counts(run(model, folder, out, force=True, **OPTIONS)) == (5, 0, 0)
    assert len(manifest(out)) == 5


@pytest.mark.parametrize(
    "change", [{"style": "contour"}, {"formats": ("png",)}, {"text": "a dog"}, {"beam": 1}, {"hard": "sample"}]
)
def test_other_settings_do_all_anew(
    model: Captioner, tmp_path: Path, change: dict[str, Any], photos: Make, tree: Tree
) -> None:
    folder, out = photos(tmp_path / "photos", ["a.jpg"]), tmp_path / "out"
    run(model, folder, out, **OPTIONS)
    (out / "a.jpg-attention" / "mine.txt").write_text("mine")
    assert counts(run(model, folder, out, **{**OPTIONS, **change})) == (1, 0, 0)
    run(model, folder, tmp_path / "fresh", **{**OPTIONS, **change})
    assert (out / "a.jpg-attention" / "mine.txt").read_text() == "mine"
    (out / "a.jpg-attention" / "mine.txt").unlink()
    assert tree(out) == tree(tmp_path / "fresh")


def test_another_model_does_all_anew_and_so_does_coming_back(model: Captioner, tmp_path: Path, photos: Make) -> None:
    folder, out = photos(tmp_path / "photos", ["a.jpg"]), tmp_path / "out"
    for which in (model, Captioner.tiny(seed=5), model):
        assert counts(run(which, folder, out, **OPTIONS)) == (1, 0, 0)
    # A shard has a manifest of its own. The first one must not trust its line any more.
    assert counts(run(Captioner.tiny(seed=5), folder, out, shard=(1, 1), **OPTIONS)) == (1, 0, 0)


def test_bad_photos_are_named_and_the_others_done(model: Captioner, folder: Path, tmp_path: Path, photos: Make) -> None:
    out = tmp_path / "out"
    whole = (folder / "a.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no photo")
    (folder / "link.jpg").symlink_to("nowhere.jpg")
    outcome = run(model, folder, out, **OPTIONS)
    assert counts(outcome) == (4, 4, 0)
    assert set(outcome.failures) == {"cut.jpg", "empty.jpg", "text.png", "link.jpg"}
    assert "link to a file that is not there" in outcome.failures["link.jpg"]
    for path, why in outcome.failures.items():
        record = manifest(out)[path]
        assert (record["state"], record["error"], record["folder"]) == ("failed", why, None)
        assert str(folder) not in why
    photos(folder, ["cut.jpg"])  # mended
    assert counts(run(model, folder, out, **OPTIONS)) == (1, 3, 4)
    (folder / "empty.jpg").unlink()
    assert counts(run(model, folder, out, **OPTIONS)) == (0, 2, 5)
    assert "empty.jpg" not in manifest(out)


def test_failures_of_photos_that_were_not_asked_for_are_kept(model: Captioner, tmp_path: Path, photos: Make) -> None:
    """They are in the manifest, the table and the gallery until they are done or gone, whatever a later run is for."""
    folder, out = photos(tmp_path / "photos", ["trip/a.jpg", "b.jpg"]), tmp_path / "out"
    for name in ("bad.jpg", "trip/worse.jpg", "gone.jpg"):
        (folder / name).write_bytes(b"")
    assert counts(run(model, folder, out, **OPTIONS)) == (2, 3, 0)
    (folder / "gone.jpg").unlink()
    assert counts(run(model, folder, out, glob="trip/*", report=True, **OPTIONS)) == (0, 1, 1)
    assert {path: record["state"] for path, record in manifest(out).items()} == {
        "b.jpg": "done",
        "bad.jpg": "failed",
        "trip/a.jpg": "done",
        "trip/worse.jpg": "failed",
    }
    assert "bad.jpg" in (out / "captions.csv").read_text()
    assert ">bad.jpg<" in (out / "index.html").read_text()


def test_a_file_in_the_way_of_one_photo_is_that_photos_failure(model: Captioner, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jpg-attention").write_text("mine")
    (out / "a.png-attention").mkdir()
    (out / "a.png-attention" / "summary.json").write_text("{}")
    outcome = run(model, folder, out, **OPTIONS)
    assert set(outcome.failures) == {"a.jpg", "a.png"}
    assert (out / "a.jpg-attention").read_text() == "mine"
    assert (out / "a.png-attention" / "summary.json").read_text() == "{}"


def test_a_full_disk_ends_the_run_and_leaves_a_state_to_go_on_from(
    model: Captioner, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree: Tree
) -> None:
    out = tmp_path / "out"
    run(model, folder, tmp_path / "fresh", **OPTIONS)
    real, written = os.write, []

    def full(descriptor: int, data: bytes) -> int:
        if data.startswith(b'{"path"'):
            written.append(data)
            if len(written) == 3:
                return real(descriptor, data[:20])  # so much was left
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match=r"manifest\.jsonl: cannot be written: No space left") as error:
        run(model, folder, out, **OPTIONS)
    assert "\n" not in str(error.value)
    assert len(manifest(out)) == 2
    assert not list(out.glob(".attnviz*"))
    assert counts(run(model, folder, out, **OPTIONS)) == (2, 0, 2)
    assert tree(out) == tree(tmp_path / "fresh")


def test_stopping_finishes_what_is_under_way(model: Captioner, tmp_path: Path, photos: Make) -> None:
    folder, out = photos(tmp_path / "photos", [f"{number:03d}.jpg" for number in range(80)]), tmp_path / "out"
    stop, seen = threading.Event(), []

    def progress(now: Any) -> None:
        seen.append(now)
        if now.done == 3:
            stop.set()

    outcome = run(model, folder, out, progress=progress, stop=stop, **OPTIONS)
    assert outcome.stopped
    assert 3 <= outcome.done < 80
    assert len(manifest(out)) == outcome.done == len(list(out.rglob("summary.json")))
    assert [now.done for now in seen] == list(range(outcome.done + 1))
    assert not list(out.glob(".attnviz*"))
    assert run(model, folder, out, **OPTIONS).skipped == outcome.done


def test_shards_are_parts_of_the_whole_and_go_on_from_each_other(
    model: Captioner, tmp_path: Path, photos: Make
) -> None:
    names = [f"{number}.jpg" for number in range(12)]
    folder, out = photos(tmp_path / "photos", names), tmp_path / "out"
    outcomes = [run(model, folder, out, shard=(part, 3), **OPTIONS) for part in (1, 2, 3)]
    assert sum(outcome.total for outcome in outcomes) == 12
    parts = [set(manifest(out, f"manifest-{part}-of-3.jsonl")) for part in (1, 2, 3)]
    assert set().union(*parts) == set(names)
    assert sum(map(len, parts)) == 12
    assert all(parts)
    assert counts(run(model, folder, out, **OPTIONS)) == (0, 0, 12)
    # Another style from the whole; then the shards' own lines are out of date.
    run(model, folder, out, **{**OPTIONS, "style": "spotlight"})
    assert counts(run(model, folder, out, shard=(1, 3), **OPTIONS))[0] == outcomes[0].total


def test_two_runs_at_once_do_not_meet(model: Captioner, folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from attnviz.batch import lock

    monkeypatch.setattr(lock, "PATIENCE", 0.2)
    out = tmp_path / "out"
    out.mkdir()
    with lock.Lock(out, (1, 1)):
        with pytest.raises(OutputError, match=rf"another run \(process {os.getpid()}\) is writing here"):
            run(model, folder, out, **OPTIONS)
        with pytest.raises(OutputError, match="--shard 1/1 is writing here"):
            run(model, folder, out, shard=(1, 2), **OPTIONS)
    with lock.Lock(out, (1, 2)):
        run(model, folder, out, shard=(2, 2), **OPTIONS)
        with pytest.raises(OutputError, match="--shard 1/2 is writing here"):
            run(model, folder, out, **OPTIONS)
    assert run(model, folder, out, **OPTIONS).failed == 0
    assert not list(out.glob(".attnviz*"))


def test_leftovers_of_a_crash_are_removed(model: Captioner, folder: Path, tmp_path: Path, tree: Tree) -> None:
    out = tmp_path / "out"
    run(model, folder, out, **OPTIONS)
    fresh = tree(out)
    (out / ".attnviz-1-of-1.tmp" / "3").mkdir(parents=True)
    (out / ".attnviz-1-of-1.tmp" / "3" / "step-00-a.png").write_bytes(b"half")
    (out / ".attnviz-1-of-1.lock").write_text("123\n")
    with (out / "manifest.jsonl").open("ab") as file:
        file.write(b'{"path": "a.jpg", "state": "do')
    assert counts(run(model, folder, out, **OPTIONS)) == (0, 0, 4)
    assert tree(out) == fresh


def test_a_line_cut_off_is_done_anew(model: Captioner, folder: Path, tmp_path: Path, tree: Tree) -> None:
    out = tmp_path / "out"
    run(model, folder, out, **OPTIONS)
    fresh, data = tree(out), (out / "manifest.jsonl").read_bytes()
    (out / "manifest.jsonl").write_bytes(data[:-1])
    assert counts(run(model, folder, out, **OPTIONS)) == (1, 0, 3)
    (out / "manifest.jsonl").write_bytes(data.replace(b'"state"', b"\0\0\0", 1))
    assert counts(run(model, folder, out, **OPTIONS)) == (1, 0, 3)
    assert tree(out) == fresh


def test_a_drawing_process_that_dies_takes_one_photo_with_it(
    model: Captioner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: Make
) -> None:
    from attnviz.batch import drawers

    folder = photos(tmp_path / "photos", [f"{number}.jpg" for number in range(6)])
    real, sent = drawers.Drawer.send, []

    def send(self: drawers.Drawer, job: Any) -> None:
        sent.append(job)
        if len(sent) == 3:
            self._process.kill()
            self._process.wait()
        real(self, job)

    monkeypatch.setattr(drawers.Drawer, "send", send)
    outcome = run(model, folder, tmp_path / "out", **OPTIONS)
    assert (outcome.done, outcome.failed) == (5, 1)
    assert "signal 9" in next(iter(outcome.failures.values()))


def test_several_models_share_a_page(model: Captioner, tmp_path: Path, photos: Make) -> None:
    folder, out = photos(tmp_path / "photos", ["a.jpg"]), tmp_path / "out"
    both = [model, Captioner.tiny("general", seed=4)]
    run(both, folder, out, **{**OPTIONS, "formats": ("html",)})
    traces = [attnviz.explain(model, folder / "a.jpg", beam=2)[0]]
    traces += attnviz.explain(both[1], folder / "a.jpg", text=traces[0].caption)
    assert b"general" in (out / "a.jpg-attention" / "attention.html").read_bytes()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"formats": ("pgn",)}, ConfigError, "'pgn' is none of png"),
        ({"stile": "heat"}, ConfigError, "'stile' is none of"),
        ({"style": "hot"}, ConfigError, "style"),
        ({"shard": (3, 2)}, ConfigError, "3/2"),
        ({"glob": "[a"}, ConfigError, r"\[ without \]"),
        ({"glob": "*.tif"}, DataError, r"holds no file that matches '\*.tif'"),
        ({"text": "..."}, ModelError, "no word"),
        ({"beam": 1000}, ConfigError, "beams"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_done(
    model: Captioner, folder: Path, tmp_path: Path, change: dict[str, Any], error: type[AttnvizError], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(model, folder, tmp_path / "out", **{**OPTIONS, **change})
    assert not list((tmp_path / "out").rglob("*.png"))


def test_an_error_of_the_network_ends_the_run(
    model: Captioner, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attnviz.batch import pipeline

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(pipeline, "described", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run(model, folder, tmp_path / "out", **OPTIONS)
    assert not list((tmp_path / "out").glob(".attnviz*"))
