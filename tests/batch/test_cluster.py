"""The engine on a cluster of Ray: two nodes on this machine, photos that are bad, workers and nodes that are lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray.data", reason="the extra ray is not installed")
pytest.importorskip("moto", reason="moto is not installed")
if sys.platform != "linux":
    pytest.skip("needs /proc", allow_module_level=True)

from s3server import CREDENTIALS, door, server

import attnviz
from attnviz.batch import Outcome, Progress, run
from attnviz.batch.cluster import afar, joining, stages
from attnviz.cli.network import Opening
from attnviz.errors import AttnvizError, ConfigError
from attnviz.network import NOTHING_ASKED

pytestmark = pytest.mark.filterwarnings("default")  # Ray and what it brings warn of each other
Make = Callable[..., Path]
Tree = Callable[[Path], dict[str, bytes | None]]
Run = Callable[..., Any]

OPTIONS: dict[str, Any] = {"beam": 1, "size": 48, "formats": ("png",), "text": "a dog"}
FLAGS = ("--beam", "1", "--size", "48", "-f", "png", "--text", "a dog")
COUNT = int(os.environ.get("CLUSTER_PHOTOS", "30"))
"""Photos that are good; with CLUSTER_PHOTOS=488 there are 500, a dozen of them bad."""
BAD = 3 if COUNT < 100 else 12
STORE = 100 * 2**20  # bytes for photos under way, of each node


class Nodes:
    """A cluster of two nodes on this machine, each with one CPU; the second can be lost, and comes back."""

    def __init__(self) -> None:
        joining.ray()  # quiet
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        with joining.hushed():
            self.cluster = Cluster(initialize_head=True, head_node_args=head)
            self.second: Any = None
            self.complete()

    def complete(self) -> None:
        if self.second is None:
            with joining.hushed():
                self.second = self.cluster.add_node(num_cpus=1, object_store_memory=STORE)

    def lose_node(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = None

    def workers(self, name: str) -> list[int]:
        """The process numbers of this cluster's workers whose title holds a name."""
        raylets = {node.all_processes["raylet"][0].process.pid for node in self.cluster.list_all_nodes()}
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                title = (path / "cmdline").read_bytes().decode(errors="replace")
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent in raylets and name in title:
                found.append(int(path.name))
        return found


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, Any]]:
    """A server that speaks S3; `fault` says how its door fails."""
    state: dict[str, Any] = {"fault": None, "met": []}

    def fault(number: int, method: str, path: str) -> str | None:
        every = state["fault"] or {}
        found = next((what for each, what in every.items() if number % each == 3), None)
        state["met"].extend([found] if found else [])
        return found

    with server() as port, door(port, fault) as (url, _):
        state["url"] = url
        yield state


@pytest.fixture(scope="module")
def nodes(bucket: dict[str, Any]) -> Iterator[Nodes]:
    patch = pytest.MonkeyPatch()
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": bucket["url"], "OMP_NUM_THREADS": "1"}.items():
        patch.setenv(name, value)  # the workers inherit it
    made = Nodes()
    patch.setenv("RAY_ADDRESS", made.cluster.address)
    yield made
    made.cluster.shutdown()
    patch.undo()


@pytest.fixture
def folder(tmp_path: Path, photos: Make) -> Path:
    made = photos(tmp_path / "photos", [f"t{number % 3}/{number:03d}.jpg" for number in range(COUNT)])
    for number in range(BAD):
        (made / f"bad-{number}.jpg").write_bytes(b"no photo" * number)
    return made


def opening(checkpoint: Path) -> Opening:
    return Opening(((str(checkpoint), None),), "cpu")


def counts(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.done, outcome.failed, outcome.skipped


def lines(manifest: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.splitlines()]


def test_workers_and_nodes_may_be_lost(
    nodes: Nodes, folder: Path, tmp_path: Path, checkpoint: Path, tree: Tree
) -> None:
    nodes.complete()
    run(opening(checkpoint), folder, tmp_path / "here", report=True, threads=1, **OPTIONS)
    lost: list[str] = []

    def progress(now: Any) -> None:
        finished = now.done + now.failed
        if finished >= COUNT // 8 and not lost:
            lost.append("worker")
            for worker in nodes.workers("Describer")[:1]:
                os.kill(worker, signal.SIGKILL)
        if finished >= COUNT // 3 and len(lost) == 1:
            lost.append("node")
            nodes.lose_node()

    outcome = run(
        opening(checkpoint), folder, tmp_path / "there", report=True, engine="ray", progress=progress, **OPTIONS
    )
    assert counts(outcome) == (COUNT, BAD, 0)
    assert lost == ["worker", "node"]
    assert set(outcome.failures) == {f"bad-{number}.jpg" for number in range(BAD)}
    assert tree(tmp_path / "there") == tree(tmp_path / "here")


def start(*args: object) -> subprocess.Popen[str]:
    """A batch on the cluster, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "attnviz", "batch", *map(str, args), "--engine", "ray", *FLAGS],
        env={**os.environ, "PYTHONPATH": str(Path(attnviz.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_driver_that_is_killed_is_taken_up_again(
    nodes: Nodes, folder: Path, tmp_path: Path, checkpoint: Path, tree: Tree
) -> None:
    nodes.complete()
    out = tmp_path / "there"
    command = (folder, "-o", out, "--model", checkpoint)
    first = start(*command, "-q")
    deadline = time.monotonic() + 300
    while not (out / "manifest.jsonl").exists() or len(lines((out / "manifest.jsonl").read_bytes())) < 5:
        time.sleep(0.02)
        assert first.poll() is None
        assert time.monotonic() < deadline
    first.kill()
    first.communicate()
    again = start(*command, "--json")
    printed, said = again.communicate(timeout=300 + COUNT)
    assert again.returncode == 1, said
    told = json.loads(printed)
    assert told["done"] + told["skipped"] == COUNT
    assert (told["failed"], told["left"]) == (BAD, 0)
    assert told["skipped"] >= 2
    assert not re.search("Traceback|Warning|ray log level", said), said
    run(opening(checkpoint), folder, tmp_path / "here", threads=1, **OPTIONS)
    assert tree(out) == tree(tmp_path / "here")


def test_a_bucket_that_fails_now_and_then(
    nodes: Nodes, bucket: dict[str, Any], folder: Path, tmp_path: Path, checkpoint: Path, tree: Tree
) -> None:
    import fsspec

    nodes.complete()
    fsspec.filesystem("s3").__class__.clear_instance_cache()  # that of another test had another server
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    fs.mkdir("cluster")
    for path in folder.rglob("*.jpg"):
        fs.pipe_file(f"cluster/photos/{path.relative_to(folder).as_posix()}", path.read_bytes())
    bucket["fault"] = {17: "busy", 23: "cut", 29: "lost"}
    outcome = run(opening(checkpoint), "s3://cluster/photos", "s3://cluster/out", engine="ray", **OPTIONS)
    bucket["fault"] = None
    assert counts(outcome) == (COUNT, BAD, 0)
    assert set(bucket["met"]) == {"busy", "cut", "lost"}
    run(opening(checkpoint), folder, tmp_path / "here", threads=1, **OPTIONS)
    here = {name: data for name, data in tree(tmp_path / "here").items() if data is not None}
    there = {name.removeprefix("cluster/out/"): fs.cat_file(name) for name in fs.find("cluster/out")}
    assert set(there) == set(here)
    assert [one["path"] for one in lines(there["manifest.jsonl"])] == sorted(
        one["path"] for one in json.loads(here["manifest.jsonl"])
    )
    for name, data in here.items():
        assert name == "manifest.jsonl" or there[name] == data, name


def test_what_no_worker_can_do_ends_the_run_in_one_line(nodes: Nodes, folder: Path, cli: Run, checkpoint: Path) -> None:
    nodes.complete()
    for args, words in (
        (["--model", "missing.safetensors"], "missing.safetensors"),
        (["--model", checkpoint, "--prompt", "what is it?"], "prompt"),
        (["--model", checkpoint, "--gpus-per-worker", 1], "the cluster has 0 GPUs"),
    ):
        found = cli("batch", folder, "-o", "out", "--engine", "ray", "-q", *args)
        assert (found.status, found.out, found.err.count("\n")) == (1, "", 1), found.err
        assert words in found.err


def test_a_run_that_the_cluster_holds_tells_how_far_it_is(
    nodes: Nodes, photos: Make, tmp_path: Path, checkpoint: Path
) -> None:
    """What `ray://HOST:PORT` makes an actor of; here in this process."""
    nodes.complete()
    folder = photos(tmp_path / "photos", ["a.jpg", "b.jpg"])
    (folder / "bad.jpg").write_bytes(b"")
    given = {"models": opening(checkpoint), "folder": folder, "out": tmp_path / "out", **OPTIONS}
    conductor, seen, outcome = afar.Conductor(attnviz.__version__, given), list[Progress](), None
    while outcome is None:
        told, outcome = conductor.look()
        seen += told
        time.sleep(0.05)
    assert isinstance(outcome, Outcome)
    assert counts(outcome) == (2, 1, 0)
    assert [now.done + now.failed for now in seen] == [0, 1, 2, 3]
    _, other = afar.Conductor("0.0.1", given).look()
    assert isinstance(other, stages.Fatal)
    assert "this machine 0.0.1; install one on both" in other.message


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["--engine", "ray://127.0.0.1:9"], 1, ["ray://127.0.0.1:9", "cannot be reached"]),
        (["--engine", "ray://127.0.0.1:99999"], 1, ["ray://127.0.0.1:99999", "is no address"]),
        (["--engine", "ray://nowhere"], 2, ["'ray://nowhere' is no engine", "ray://HOST:PORT"]),
        (["--engine", "spark"], 2, ["'spark' is no engine"]),
        (["--workers", "2"], 2, ["--engine ray"]),
        (["--engine", "ray", "--workers", "0"], 2, ["--workers"]),
    ],
)
def test_one_line_says_what_is_wrong(
    cli: Run, tmp_path: Path, photos: Make, checkpoint: Path, args: list[str], status: int, words: list[str]
) -> None:
    photos(tmp_path / "photos", ["a.jpg"])
    found = cli("batch", "photos", "-o", "out", "--model", checkpoint, *args)
    assert (found.status, found.out, found.err.count("\n")) == (status, "", 1), found.err
    for word in words:
        assert word in found.err


def test_other_versions_are_told_in_one_line(checkpoint: Path) -> None:
    told = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.51.0\n    Python: 3.12.3\n"
        "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )

    def call() -> None:
        raise RuntimeError(told)

    with pytest.raises(joining.ClusterError) as error:
        joining.connected(call, "10.0.0.1:6379")
    assert str(error.value) == (
        "10.0.0.1:6379: Ray or Python is of another version there; the cluster has Ray 2.51.0 and Python 3.12.3, this "
        "machine 2.60.0 and 3.11.7"
    )
    found = stages.identified(opening(checkpoint), NOTHING_ASKED, "0.0.1")
    assert isinstance(found, stages.Fatal)
    assert "this machine 0.0.1; install one on all of them" in found.message


def test_a_clean_address_is_asked_for() -> None:
    for address in ("ray://:10001", "ray://a b:1", "ray://host:10001/path"):
        with pytest.raises(ConfigError, match="write ray://HOST:PORT"):
            joining.connect(address)
    assert issubclass(joining.ClusterError, AttnvizError)
