"""The engine on a cluster of Ray: two nodes on this machine, photos that are bad, workers and nodes that are lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
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
from attnviz.batch.cluster.engine import Cluster
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
        state["url"], state["behind"] = url, f"http://127.0.0.1:{port}"
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


class Place:
    """Where the results of a run go: a folder, or a bucket behind a door that fails now and then while it is open."""

    def __init__(self, out: str) -> None:
        self.out = out

    def done(self) -> int:
        """How many photos have all their results."""
        return sum(name.endswith("/summary.json") for name in self.files())

    def lines(self) -> list[dict[str, Any]]:
        """Those of the manifest, and of its parts."""
        names = sorted(name for name in self.files() if re.match(r"manifest.*\.jsonl", name))
        return [one for name in names for one in lines(self.read(name))]

    def tree(self) -> dict[str, bytes]:
        """All files; of manifests, the lines without the seconds."""
        return {name: told(self.read(name)) if "manifest" in name else self.read(name) for name in self.files()}

    def files(self) -> list[str]:
        return [path.relative_to(self.out).as_posix() for path in Path(self.out).rglob("*") if path.is_file()]

    def read(self, name: str) -> bytes:
        return (Path(self.out) / name).read_bytes()


class Bucket(Place):
    """In one, looked at by the back door."""

    def __init__(self, out: str, behind: str) -> None:
        import s3fs

        super().__init__(out)
        self.root = out.removeprefix("s3://")
        self.fs = s3fs.S3FileSystem(endpoint_url=behind, use_listings_cache=False, skip_instance_cache=True)
        if not self.fs.exists("losses"):
            self.fs.mkdir("losses")

    def files(self) -> list[str]:
        return [name.removeprefix(f"{self.root}/") for name in self.fs.find(self.root)]

    def read(self, name: str) -> bytes:
        data: bytes = self.fs.cat_file(f"{self.root}/{name}")
        return data


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, nodes: Nodes, bucket: dict[str, Any], tmp_path: Path) -> Iterator[Place]:
    nodes.complete()
    if request.param == "folder":
        yield Place(str(tmp_path / "there"))
        return
    import fsspec

    fsspec.filesystem("s3").__class__.clear_instance_cache()  # that of another test had another server
    bucket["fault"], bucket["met"] = {17: "busy", 23: "cut", 29: "lost"}, []
    yield Bucket(f"s3://losses/{request.node.name}", bucket["behind"])
    bucket["fault"] = None
    assert {"busy", "cut"} <= set(bucket["met"])


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


def told(manifest: bytes) -> bytes:
    records = sorted(lines(manifest), key=lambda record: record["path"])
    return json.dumps([{**record, "seconds": 0} for record in records]).encode()


def here(folder: Path, out: Path, checkpoint: Path, **more: Any) -> dict[str, bytes]:
    """What the local engine makes of it."""
    run(opening(checkpoint), folder, out, threads=1, **OPTIONS, **more)
    return Place(str(out)).tree()


def lines(manifest: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.splitlines()]


def test_workers_and_nodes_may_be_lost(
    nodes: Nodes, place: Place, folder: Path, tmp_path: Path, checkpoint: Path
) -> None:
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

    outcome = run(opening(checkpoint), folder, place.out, report=True, engine="ray", progress=progress, **OPTIONS)
    assert counts(outcome) == (COUNT, BAD, 0)
    assert lost == ["worker", "node"]
    assert set(outcome.failures) == {f"bad-{number}.jpg" for number in range(BAD)}
    assert place.tree() == here(folder, tmp_path / "here", checkpoint, report=True)


def start(*args: object) -> subprocess.Popen[str]:
    """A batch on the cluster, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "attnviz", "batch", *map(str, args), "--engine", "ray", *FLAGS],
        env={**os.environ, "PYTHONPATH": str(Path(attnviz.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait(driver: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not ready():
        time.sleep(0.05)
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline


def kill(driver: subprocess.Popen[str]) -> None:
    driver.kill()
    driver.communicate()


def finish(driver: subprocess.Popen[str], known: set[str]) -> None:
    """A driver that goes on after another was killed does all photos but those that the manifest knows as done."""
    printed, said = driver.communicate(timeout=300 + COUNT)
    assert driver.returncode == 1, said
    found = json.loads(printed)
    assert (found["done"] + found["skipped"], found["failed"], found["left"]) == (COUNT, BAD, 0)
    assert found["skipped"] == len(known)
    assert not re.search("Traceback|Warning|ray log level", said), said


def known(place: Place) -> set[str]:
    return {one["path"] for one in place.lines() if one["state"] == "done"}


def test_a_driver_that_is_killed_is_taken_up_again(
    place: Place, folder: Path, tmp_path: Path, checkpoint: Path
) -> None:
    command = (folder, "-o", place.out, "--model", checkpoint)
    first = start(*command, "-q")
    wait(first, lambda: place.done() >= max(5, COUNT // 4) and (COUNT < 100 or len(known(place)) > 1))
    kill(first)
    finish(start(*command, "--json"), known(place))
    assert place.tree() == here(folder, tmp_path / "here", checkpoint)


@pytest.mark.parametrize("place", ["bucket"], indirect=True)
def test_a_worker_a_node_and_the_driver_may_be_lost_in_one_run(
    nodes: Nodes, place: Place, folder: Path, tmp_path: Path, checkpoint: Path
) -> None:
    command = (folder, "-o", place.out, "--model", checkpoint)
    first = start(*command, "-q")
    wait(first, lambda: place.done() >= COUNT // 8)
    for worker in nodes.workers("Describer")[:1]:
        os.kill(worker, signal.SIGKILL)
    wait(first, lambda: place.done() >= COUNT // 4)
    nodes.lose_node()
    wait(first, lambda: place.done() >= COUNT // 2)
    kill(first)
    nodes.complete()
    finish(start(*command, "--json"), known(place))
    assert place.tree() == here(folder, tmp_path / "here", checkpoint)


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


def test_a_plug_in_works_on_a_cluster(
    nodes: Nodes, photos: Make, tmp_path: Path, tree: Tree, process: Run, plugin_installed: Path
) -> None:
    """Installed in the folder where the command is given, where Ray has the workers look, too; paths are from there."""
    nodes.complete()
    shutil.copytree(plugin_installed, tmp_path, dirs_exist_ok=True)
    photos(tmp_path / "photos", ["a.jpg", "t/b.png", "c.jpg"])
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"")
    for engine in ("local", "ray"):
        options = ("--model", "colours:12", "--engine", engine, "--size", 64, "-f", "png,html")
        found = process("batch", "photos", "-o", engine, *options)
        assert (found.status, "3 done, 1 failed" in found.err) == (1, True), found.err
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")
    assert tree(tmp_path / "ray")["t/b.png-attention/trace.npz"]


def test_a_model_of_transformers_works_on_a_cluster(
    nodes: Nodes, photos: Make, tmp_path: Path, tree: Tree, process: Run
) -> None:
    """All names are paths from where the command is given, which is not where the workers are."""
    pytest.importorskip("transformers")
    from tinyhf.models import save

    nodes.complete()
    save("vit_gpt2", tmp_path / "model")
    photos(tmp_path / "photos", ["a.jpg", "t/b.png", "c.jpg"])
    for engine in ("local", "ray"):
        options = ("--model", "hf:model", "--engine", engine, "--size", 64, "-f", "png", "--text", "a dog on grass")
        found = process("batch", "photos", "-o", engine, *options)
        assert (found.status, "3 done, 0 failed" in found.err) == (0, True), found.err
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")
    assert len([name for name in tree(tmp_path / "ray") if name.endswith("trace.npz")]) == 3


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
        (["--engine", "ray://127.0.0.1:9", "-o", "out"], 1, ["out: with ray://127.0.0.1:9 paths are the cluster's"]),
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
    found = cli("batch", tmp_path / "photos", "-o", tmp_path / "out", "--model", checkpoint, *args)
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


ALONE = """
import ray, sys
head = ray.init("local", num_cpus=1, include_dashboard=False, object_store_memory=10**8, log_to_driver=False)
print(head.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


def test_an_attnviz_of_another_version_on_the_cluster_is_one_line(
    photos: Make, process: Run, checkpoint: Path, tmp_path: Path
) -> None:
    """A cluster whose workers find a copy of the package that differs in its version."""
    photos(tmp_path / "photos", ["a.jpg"])
    package, other = Path(attnviz.__file__).parent, tmp_path / "site" / "attnviz"
    other.mkdir(parents=True)
    for path in package.iterdir():
        if path.name not in ("_version.py", "__pycache__"):
            (other / path.name).symlink_to(path)
    (other / "_version.py").write_text('__version__ = "0.0.7"\n')
    paths = os.pathsep.join((str(other.parent), str(package.parent)))
    env = {**os.environ, "PYTHONPATH": paths, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-c", ALONE]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=env, cwd=tmp_path / "site", text=True, **pipes) as head:
        try:
            assert head.stdin
            assert head.stdout
            address = head.stdout.readline().strip()
            args = ("batch", "photos", "-o", "out", "--model", checkpoint, "--engine", "ray", "-q")
            found = process(*args, env={"RAY_ADDRESS": address})
        finally:
            head.communicate("")
    assert (found.status, found.out, found.err.count("\n")) == (1, "", 1), found.err
    told = f"the cluster's workers have attnviz 0.0.7, and this machine {attnviz.__version__}; install one on all"
    assert told in found.err


@pytest.mark.parametrize("hidden", [[], ["print_to_stdstream"], ["worker"], ["_private"]])
def test_what_a_cluster_says_of_its_nodes_is_silenced_where_this_ray_can(hidden: list[str]) -> None:
    """By a name that is not Ray's public one, so that it may be gone some day: then nothing is changed."""
    worker = SimpleNamespace(print_to_stdstream=print)
    found = SimpleNamespace(_private=SimpleNamespace(worker=worker))
    for holder in (worker, found._private, found):
        for name in hidden:
            if hasattr(holder, name):
                delattr(holder, name)
    joining._hush(found)
    assert not hasattr(worker, "print_to_stdstream") or (worker.print_to_stdstream is print) == bool(hidden)
    import ray._private.worker

    joining.ray()
    assert ray._private.worker.print_to_stdstream.__module__ == joining.__name__  # the name is this Ray's


@pytest.mark.parametrize(
    ("gpus", "workers"),
    [((0, 0), "the cluster has 0 GPUs"), ((1, 1), "no node of the cluster has more than 1;"), ((2, 3), 2), ((4, 5), 4)],
)
def test_a_worker_takes_its_gpus_from_one_node(gpus: tuple[int, ...], workers: int | str) -> None:
    """As many in all are not enough: Ray would wait for such a node for ever."""
    there = [{"Alive": True, "Resources": {"CPU": 4.0, "GPU": float(count)}} for count in gpus]
    gone = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 64.0}}
    made = Cluster.__new__(Cluster)
    made._ray, made._workers, made._gpus = SimpleNamespace(nodes=lambda: [*there, gone]), None, 2
    if isinstance(workers, str):
        with pytest.raises(joining.ClusterError, match=f"--gpus-per-worker 2: {workers}"):
            made._check()
    else:
        made._check()
        assert made._count() == workers


def test_a_clean_address_is_asked_for() -> None:
    for address in ("ray://:10001", "ray://a b:1", "ray://host:10001/path"):
        with pytest.raises(ConfigError, match="write ray://HOST:PORT"):
            joining.connect(address)
    assert issubclass(joining.ClusterError, AttnvizError)
