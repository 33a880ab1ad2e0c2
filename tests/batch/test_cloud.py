"""Photos and results in object stores: moto's S3 server behind a door that fails now and then, and memory://."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("s3fs", reason="the extra cloud is not installed")
pytest.importorskip("moto", reason="moto is not installed")

import fsspec
from s3server import CREDENTIALS, door, server

from attnviz.batch import Outcome, run
from attnviz.batch.cloud import lease as leases, parts, store as stores
from attnviz.batch.cloud.lease import Lease
from attnviz.batch.cloud.place import Bucket
from attnviz.batch.cloud.store import Store
from attnviz.batch.record import Record
from attnviz.captioner import Captioner
from attnviz.errors import AttnvizError, DataError, OutputError

pytestmark = pytest.mark.filterwarnings("default")  # moto and botocore warn of each other
Make = Callable[..., Path]
Tree = Callable[[Path], dict[str, bytes | None]]
Run = Callable[..., Any]

OPTIONS: dict[str, Any] = {"beam": 1, "size": 48, "threads": 1, "formats": ("png",), "text": "a dog"}
NAMES = [f"t{number % 3}/{number:02d}.jpg" for number in range(9)]


@pytest.fixture(scope="module")
def model() -> Captioner:
    return Captioner.tiny(seed=4)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with server() as port:
        yield port


@pytest.fixture
def s3(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Opens a door to a new bucket, bkt: `s3(fault)` gives the requests that came through."""
    opened: list[Any] = []
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)

    def open_(fault: Any = lambda number, method, path: None) -> list[tuple[str, str]]:
        through = door(port, fault)
        url, seen = through.__enter__()
        opened.append(through)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        fsspec.filesystem("s3").__class__.clear_instance_cache()
        return seen

    fresh = open_()
    assert fresh is not None
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    if fs.exists("bkt"):
        fs.rm("bkt", recursive=True)
    fs.mkdir("bkt")
    yield open_
    for one in opened:
        one.__exit__(None, None, None)
    fs.__class__.clear_instance_cache()


def counts(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.done, outcome.failed, outcome.skipped


def stored(url: str) -> dict[str, bytes]:
    """What lies below a URL; of the manifest, the lines without what differs from run to run."""
    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    found = {name.removeprefix(f"{root}/"): fs.cat_file(name) for name in fs.find(root)}
    return {name: told(data) if name.endswith("jsonl") else data for name, data in found.items()}


def told(data: bytes) -> bytes:
    lines = sorted((json.loads(line) for line in data.splitlines()), key=lambda record: record["path"])
    apart = {"seconds": 0, "mtime_ns": 0, "etag": 0}
    return json.dumps([{**record, **apart} for record in lines]).encode()


def plain(tree: dict[str, bytes | None]) -> dict[str, bytes]:
    return {name: told_again(data) if "manifest" in name else data for name, data in tree.items() if data is not None}


def told_again(data: bytes) -> bytes:
    apart = {"seconds": 0, "mtime_ns": 0, "etag": 0}
    return json.dumps([{**record, **apart} for record in json.loads(data)]).encode()


def upload(folder: Path, url: str) -> None:
    fs, root = fsspec.core.url_to_fs(url)
    for path in folder.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.fixture
def folder(tmp_path: Path, photos: Make) -> Path:
    made = photos(tmp_path / "photos", NAMES)
    (made / "bad.jpg").write_bytes(b"")
    return made


def test_a_bucket_gives_and_takes_the_bytes_that_a_folder_does(
    model: Captioner, folder: Path, tmp_path: Path, s3: Any, tree: Tree
) -> None:
    upload(folder, "s3://bkt/photos")
    here = run(model, folder, tmp_path / "out", report=True, **OPTIONS)
    there = run(model, "s3://bkt/photos", "s3://bkt/out", report=True, **OPTIONS)
    assert counts(here) == counts(there) == (9, 1, 0)
    assert here.failures == there.failures
    assert stored("s3://bkt/out") == plain(tree(tmp_path / "out"))
    assert (there.manifest, there.report) == ("s3://bkt/out/manifest.jsonl", "s3://bkt/out/index.html")
    assert counts(run(model, "s3://bkt/photos", "s3://bkt/out", **OPTIONS)) == (0, 1, 9)
    fsspec.filesystem("s3").pipe_file("bkt/photos/t0/00.jpg", (folder / "t1/01.jpg").read_bytes())
    assert counts(run(model, "s3://bkt/photos", "s3://bkt/out", **OPTIONS)) == (1, 1, 8)
    assert counts(run(model, "s3://bkt/photos", "s3://bkt/out", **{**OPTIONS, "style": "contour"})) == (9, 1, 0)


def test_results_in_the_bucket_of_the_photos_are_no_photos(model: Captioner, folder: Path, s3: Any) -> None:
    upload(folder, "s3://bkt/photos")
    assert counts(run(model, "s3://bkt/photos", "s3://bkt/photos/out", **OPTIONS)) == (9, 1, 0)
    assert counts(run(model, "s3://bkt/photos", "s3://bkt/photos/out", **OPTIONS)) == (0, 1, 9)
    assert counts(run(model, "s3://bkt/photos", "s3://bkt/other bucket [1]", **OPTIONS)) == (9, 1, 0)
    with pytest.raises(DataError, match=r"s3://bkt/no bucket: holds no photos"):
        run(model, "s3://bkt/no bucket", "s3://bkt/other", **OPTIONS)
    with pytest.raises(AttnvizError, match="is the folder of the photos"):
        run(model, "s3://bkt/photos", "s3://bkt/photos/", **OPTIONS)


def test_a_busy_store_and_cut_lines_change_nothing(
    model: Captioner, folder: Path, tmp_path: Path, s3: Any, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every 7th request meets a busy store, every 11th a line that is cut, every 13th loses its answer."""
    monkeypatch.setattr(stores, "WAITS", (0.01, 0.02, 0.05, 0.1, 0.2, 0.4))
    upload(folder, "s3://bkt/photos")
    run(model, folder, tmp_path / "out", **OPTIONS)
    met: list[str] = []

    def fault(number: int, method: str, path: str) -> str | None:
        found = next((what for every, what in ((7, "busy"), (11, "cut"), (13, "lost")) if number % every == 3), None)
        met.extend([found] if found else [])
        return found

    s3(fault)
    assert counts(run(model, "s3://bkt/photos", "s3://bkt/out", **OPTIONS)) == (9, 1, 0)
    assert {"busy", "cut", "lost"} == set(met)
    s3()
    assert stored("s3://bkt/out") == plain(tree(tmp_path / "out"))


def test_a_run_that_dies_leaves_parts_that_the_next_one_goes_on_from(
    model: Captioner, folder: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(folder, "s3://bkt/photos")
    monkeypatch.setattr(parts, "PART_SECONDS", 0.0)
    monkeypatch.setattr("attnviz.batch.manifest.SAVED_EVERY", 0.05)
    monkeypatch.setattr(leases, "_is_gone", lambda lease: True)

    class Killed(BaseException):
        """As a signal would: nothing more is written, and the lease is left."""

    def progress(now: Any) -> None:
        if now.done == 4:
            time.sleep(0.4)  # until the parts are written
            monkeypatch.setattr(parts.Parts, "_sync", lambda self, closing: None)
            monkeypatch.setattr(Lease, "__exit__", lambda self, *_: self._over.set())
            raise Killed

    with pytest.raises(Killed):
        run(model, "s3://bkt/photos", "s3://bkt/out", progress=progress, **OPTIONS)
    names = set(stored("s3://bkt/out"))
    assert "manifest.jsonl" not in names
    assert any(name.startswith("manifest.parts/") for name in names)
    monkeypatch.undo()
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    s3()
    monkeypatch.setattr(leases, "_is_gone", lambda lease: True)
    outcome = run(model, "s3://bkt/photos", "s3://bkt/out", report=True, **OPTIONS)
    assert outcome.skipped >= 4 - outcome.failed
    assert outcome.done + outcome.skipped == 9
    after = stored("s3://bkt/out")
    records = json.loads(after["manifest.jsonl"])
    assert sorted(record["path"] for record in records) == sorted([*NAMES, "bad.jpg"])
    assert not [name for name in after if "parts" in name or "lease" in name]
    assert b">bad.jpg<" in after["index.html"]


def test_parts_are_read_in_order_and_the_last_line_counts(tmp_path: Path) -> None:
    here = Store("memory://parts-test")
    lines = [Record("a", "failed", error="x").to_line(), Record("a", "done", caption="c", folder="f").to_line()]
    here.write("manifest.jsonl", Record("b", "done", caption="old", folder="b").to_line())
    for number, line in enumerate(lines, 1):
        here.write(f"manifest.parts/{number:08d}-ab.jsonl", line)
    here.write("manifest-2-of-3.parts/00000001-ab.jsonl", Record("c", "failed", error="y").to_line())
    assert parts.names_of_manifests(here) == ["manifest-2-of-3.jsonl", "manifest.jsonl"]
    found = [
        json.loads(line) for line in parts.gather(here, "manifest.jsonl", tmp_path / "m").read_bytes().splitlines()
    ]
    assert [(one["path"], one["state"]) for one in found] == [("b", "done"), ("a", "failed"), ("a", "done")]


def test_of_two_runs_one_gets_the_lease(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    store = Store("s3://bkt/out", OutputError)
    with Lease(store, (1, 1), term=1.0) as held:
        with pytest.raises(OutputError, match=rf"another run \(process {os.getpid()} on .*\) is writing here"):
            Lease(store, (1, 1), term=1.0).__enter__()
        with pytest.raises(OutputError, match="--shard 1/1 is writing here"):
            Lease(store, (2, 3), term=1.0).__enter__()
        held.check()
    assert stored("s3://bkt/out") == {}
    with Lease(store, (1, 2)), Lease(store, (2, 2)):
        assert len(stored("s3://bkt/out")) == 2


def test_of_many_that_come_at_once_one_gets_the_lease(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the former holder was lost, and where answers are lost once the store has acted."""
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    monkeypatch.setattr(stores, "WAITS", (0.01, 0.02, 0.05, 0.1))
    s3(lambda number, method, path: "lost" if method == "PUT" and number % 3 == 1 else None)
    Store("s3://bkt/out").write(".attnviz/lease-1-of-1/00000001.json", b'{"process": 1}')
    got, refused, over = [], [], threading.Barrier(6)

    def contend() -> None:
        try:
            with Lease(Store("s3://bkt/out", OutputError), (1, 1), term=3.0):
                got.append(1)
                over.wait(30)
        except OutputError as error:
            refused.append(str(error))
            over.wait(30)

    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5), refused
    assert stored("s3://bkt/out") == {}


def test_a_lease_that_was_not_renewed_is_taken_over_and_its_holder_hears_of_it(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    store = Store("s3://bkt/out", OutputError)
    slow = Lease(store, (1, 1), term=0.4)
    monkeypatch.setattr(slow, "_renewer", threading.Thread(target=lambda: None))  # it sleeps, or its machine does
    with slow:
        with Lease(store, (1, 1), term=0.4) as taken:
            assert any("waited for the lease of another run" in remark for remark in taken.remarks)
            slow._term = 0.04
            slow._renew()
            with pytest.raises(OutputError, match="another run took over"):
                slow.check()
        assert stored("s3://bkt/out") == {}


DIES = """
import os
from attnviz.batch.cloud.lease import Lease
from attnviz.batch.cloud.store import Store
from attnviz.errors import OutputError

Lease(Store("s3://bkt/out", OutputError), (1, 1)).__enter__()
os._exit(9)
"""


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="needs /proc")
def test_the_lease_of_a_process_that_is_gone_is_taken_at_once(s3: Any) -> None:
    assert subprocess.run([sys.executable, "-c", DIES], timeout=60, check=False).returncode == 9
    began = time.monotonic()
    with Lease(Store("s3://bkt/out", OutputError), (1, 1)):
        assert time.monotonic() - began < 10


def test_what_is_not_ours_is_left_alone(s3: Any, tmp_path: Path) -> None:
    fs = fsspec.filesystem("s3")
    fs.pipe_file("bkt/out/a-attention/summary.json", b'{"mine": 1}')
    fs.pipe_file("bkt/out/b-attention/notes.txt", b"mine")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text('{"attnviz": "1", "files": []}')
    with pytest.raises(OutputError, match="was not written by attnviz"):
        Bucket("s3://bkt/out").place(tmp_path / "a", "a-attention", ["summary.json"])
    Bucket("s3://bkt/out").place(tmp_path / "b", "b-attention", ["summary.json"])
    assert set(stored("s3://bkt/out/b-attention")) == {"notes.txt", "summary.json"}
    assert stored("s3://bkt/out/a-attention") == {"summary.json": b'{"mine": 1}'}


def test_lists_and_shards(model: Captioner, folder: Path, tmp_path: Path, s3: Any, tree: Tree) -> None:
    """The same photos by a text file, by Parquet, and in tar shards, on the disk and in a bucket."""
    import pyarrow as pa
    import pyarrow.parquet

    upload(folder, "s3://bkt/photos")
    run(model, folder, tmp_path / "out", **OPTIONS)
    wanted = {Path(name).name: data for name, data in tree(tmp_path / "out").items() if name.endswith(".npz") and data}
    names = [*NAMES, "bad.jpg", "gone.jpg", NAMES[0]]
    (folder / "list.txt").write_text("# photos\n\n" + "\n".join(names))
    (tmp_path / "urls.txt").write_text("\n".join(f"s3://bkt/photos/{name}" for name in names))
    pyarrow.parquet.write_table(
        pa.table({"id": range(len(names)), "url": names, "caption": names}), folder / "list.parquet"
    )
    for number in range(2):
        with tarfile.open(tmp_path / f"shard-{number:03d}.tar", "w") as shard:
            for name in [*NAMES, "bad.jpg"][number::2]:
                shard.add(folder / name, name)
            shard.addfile(tarfile.TarInfo("t0/00.json"), io.BytesIO())
    upload(tmp_path, "s3://bkt/more")
    sources: dict[str | Path, int] = {
        folder / "list.txt": 2,
        tmp_path / "urls.txt": 2,
        folder / "list.parquet": 2,
        "s3://bkt/more/photos/list.txt": 2,
        "s3://bkt/more/photos/list.parquet": 2,
        tmp_path / "shard-{000..001}.tar": 1,
        "s3://bkt/more/shard-*.tar": 1,
    }
    for number, (source, failed) in enumerate(sources.items()):
        outcome = run(model, source, tmp_path / f"out-{number}", report=number > 4, **OPTIONS)
        assert counts(outcome) == (9, failed, 0), (source, outcome.failures)
        assert counts(run(model, source, tmp_path / f"out-{number}", **OPTIONS)) == (0, failed, 9), source
        found = tree(tmp_path / f"out-{number}")
        assert sorted(data for name, data in found.items() if name.endswith("trace.npz") and data) == sorted(
            data for name, data in tree(tmp_path / "out").items() if name.endswith("trace.npz") and data
        )
    assert wanted
    assert "shard-001.tar/t0/03.jpg-attention/trace.npz" in found


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["s3://bkt/nothing", "-o", "out"], ["s3://bkt/nothing", "holds no photos"]),
        (["s3://nobucket/x", "-o", "out"], ["s3://nobucket/x", "no such bucket"]),
        (["photos", "-o", "s3://nobucket/x"], ["s3://nobucket/x", "no such bucket"]),
        (["s3://", "-o", "out"], ["names no bucket"]),
        (["photos", "-o", "s4://b/x"], ["s4://b/x", "no URL that is known"]),
        (["photos", "-o", "http://127.0.0.1/x"], ["nothing is written to http"]),
        (["gs://b/x", "-o", "out"], ["gs://b/x", "pip install gcsfs"]),
        (["az://b/x", "-o", "out"], ["az://b/x", "pip install adlfs"]),
        (["photos", "-o", "gs://b/x", "--engine", "ray"], ["gs://b/x", "pip install gcsfs"]),
        (["photos/empty.txt", "-o", "out"], ["empty.txt", "is empty"]),
        (["missing.txt", "-o", "out"], ["missing.txt", "no such file"]),
        (["photos/no.parquet", "-o", "out"], ["no.parquet", "no Parquet"]),
        (["photos/no.tar", "-o", "out"], ["no.tar", "no tar file"]),
        (["photos/x-{3..1}.tar", "-o", "out"], ["counts nothing"]),
        (["photos/x-*.tar", "-o", "out"], ["no such shards"]),
        (["s3://bkt/x.tar.gz", "-o", "out"], ["is not read"]),
        (["photos", "-o", "memory://x", "--engine", "ray"], ["memory://x", "one process alone"]),
        (["photos", "-o", "file://other/x"], ["names another machine"]),
    ],
)
def test_one_line_says_what_is_wrong(
    cli: Run,
    tmp_path: Path,
    photos: Make,
    checkpoint: Path,
    s3: Any,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    words: list[str],
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # as where they are not installed
    monkeypatch.setitem(sys.modules, "adlfs", None)
    photos(tmp_path / "photos", ["a.jpg"])
    for name in ("empty.txt", "no.parquet", "no.tar"):
        (tmp_path / "photos" / name).write_bytes(b"" if name.endswith("txt") else b"no such thing" * 100)
    found = cli("batch", *args, "--model", checkpoint, "-q")
    assert (found.status, found.out, found.err.count("\n")) == (1, "", 1), found.err
    for word in words:
        assert word in found.err


def test_credentials_and_servers_that_are_not_there(
    cli: Run, tmp_path: Path, photos: Make, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(tmp_path / "photos", ["a.jpg"])
    fsspec.filesystem("s3").__class__.clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    found = cli("batch", "photos", "-o", "s3://bkt/x", "--model", checkpoint, "-q")
    assert (found.status, found.err.count("\n")) == (1, 1), found.err
    assert "s3://bkt/x: no credentials were found; set AWS_PROFILE" in found.err
    fsspec.filesystem("s3").__class__.clear_instance_cache()
    for name, value in {**CREDENTIALS, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    found = cli("batch", "photos", "-o", "s3://bkt/x", "--model", checkpoint, "-q")
    assert (found.status, found.err.count("\n")) == (1, 1), found.err
    assert "s3://bkt/x: the store cannot be reached" in found.err
    fsspec.filesystem("s3").__class__.clear_instance_cache()  # who comes next finds a server


def test_file_urls_are_paths_and_memory_is_a_store(
    cli: Run, model: Captioner, folder: Path, tmp_path: Path, checkpoint: Path
) -> None:
    options = ("--model", checkpoint, "--beam", 1, "--size", 48, "-f", "png", "--threads", 1)
    found = cli("batch", folder.as_uri(), "-o", (tmp_path / "o ut").as_uri(), *options)
    assert found.status == 1
    assert (tmp_path / "o ut" / "t0/00.jpg-attention/trace.npz").is_file()
    assert counts(run(model, folder, "memory://batch-test", **OPTIONS)) == (9, 1, 0)
    assert counts(run(model, folder, "memory://batch-test", **OPTIONS)) == (0, 1, 9)
    assert not [name for name in stored("memory://batch-test") if "lease" in name or "parts" in name]


def test_an_absent_extra_is_named(
    cli: Run, tmp_path: Path, photos: Make, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    photos(tmp_path / "photos", ["a.jpg"])
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.split(".")[0] in ("fsspec", "ray"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for args, extra in ((["s3://bkt/x"], "cloud"), (["photos", "--engine", "ray"], "ray")):
        found = cli("batch", *args, "-o", "out", "--model", checkpoint, "-q")
        assert (found.status, found.err.count("\n")) == (1, 1), found.err
        assert f"pip install 'attnviz[{extra}]'" in found.err
