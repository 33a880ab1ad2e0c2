"""File systems that refuse niceties, as network and object mounts do: a run goes on, with a remark where it matters."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnviz.batch import lock
from attnviz.errors import OutputError

Run = Callable[..., Any]
Make = Callable[..., Path]

# Answers as such a file system does to the calls that REFUSED names: chmod=EPERM,flock=ENOLCK.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static int refused(const char *call) {
    const char *list = getenv("REFUSED"), *found = list ? strstr(list, call) : NULL;
    if (!found) return 0;
    found += strlen(call) + 1;
    errno = !strncmp(found, "ENOLCK", 6) ? ENOLCK : !strncmp(found, "ENOSYS", 6) ? ENOSYS
        : !strncmp(found, "EOPNOTSUPP", 10) ? EOPNOTSUPP : !strncmp(found, "EINVAL", 6) ? EINVAL : EPERM;
    return 1;
}
#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))
int chmod(const char *p, mode_t m) {
    return refused("chmod") ? -1 : REAL("chmod", int (*)(const char *, mode_t))(p, m);
}
int fchmod(int d, mode_t m) { return refused("chmod") ? -1 : REAL("fchmod", int (*)(int, mode_t))(d, m); }
int fchmodat(int d, const char *p, mode_t m, int f) {
    return refused("chmod") ? -1 : REAL("fchmodat", int (*)(int, const char *, mode_t, int))(d, p, m, f);
}
int flock(int d, int o) { return refused("flock") ? -1 : REAL("flock", int (*)(int, int))(d, o); }
int fsync(int d) { return refused("fsync") ? -1 : REAL("fsync", int (*)(int))(d); }
int fdatasync(int d) { return refused("fsync") ? -1 : REAL("fdatasync", int (*)(int))(d); }
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if os.uname().sysname != "Linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    library = folder / "shim.so"
    made = subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "shim.c", "-ldl"], capture_output=True)
    if made.returncode:
        pytest.skip("the C compiler does not work here")
    return library


NO_LOCKS = "attnviz: out: this file system has no locks; let no other run write here"
NOT_TOLD = "attnviz: out: this file system does not tell when it has saved a file"


@pytest.mark.skipif(os.name == "nt", reason="LD_PRELOAD")
@pytest.mark.parametrize(
    ("refused", "remarks"),
    [
        ("chmod=EPERM", []),
        ("chmod=EPERM,flock=ENOLCK,fsync=EINVAL", [NO_LOCKS, NOT_TOLD]),
    ],
)
def test_a_batch_goes_on(
    process: Run, shim: Path, tmp_path: Path, photos: Make, checkpoint: Path, refused: str, remarks: list[str]
) -> None:
    photos(tmp_path / "photos", ["a.jpg", "b.png"])
    options = ["--model", checkpoint, "--threads", 1, "--beam", 1, "--size", 48, "-f", "png", "--report"]
    found = process("batch", "photos", "-o", "out", *options, env={"LD_PRELOAD": str(shim), "REFUSED": refused})
    assert (found.status, found.out) == (0, "")
    said = found.err.splitlines()
    assert [line for line in said if "file system" in line] == remarks
    assert "2 done, 0 failed" in said[-1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("a.jpg-attention", "b.png-attention"),
        *("captions.csv", "index.html", "index-files", "manifest.jsonl"),
    }


@pytest.mark.skipif(os.name == "nt", reason="flock")
@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EWOULDBLOCK", "EIO"])
def test_a_lock_that_is_refused_is_told_from_one_that_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    if name in ("EWOULDBLOCK", "EIO"):
        with pytest.raises(OutputError, match="another run" if name == "EWOULDBLOCK" else "Input/output error") as told:
            lock.Lock(tmp_path, (1, 1)).__enter__()
        assert ".lock" not in str(told.value)
        return
    (tmp_path / ".attnviz-1-of-2.lock").touch()  # of another run, held or not: nobody can say
    with lock.Lock(tmp_path, (1, 1)) as held:
        assert held.remarks == [f"{tmp_path}: this file system has no locks; let no other run write here"]
        assert (tmp_path / ".attnviz-1-of-2.lock").exists()


@pytest.mark.skipif(os.name == "nt", reason="LD_PRELOAD")
def test_single_files_are_written_too(process: Run, shim: Path, tmp_path: Path, photo: Path, checkpoint: Path) -> None:
    env = {"LD_PRELOAD": str(shim), "REFUSED": "chmod=EPERM,fsync=EINVAL"}
    options = ["--model", checkpoint, "--beam", 1, "-q"]
    for args in (["render", photo, "-o", "out", "-f", "png"], ["figure", photo, "-o", "fig.pdf"]):
        found = process(*args, *options, env=env)
        assert (found.status, found.err) == (0, "")
    assert (tmp_path / "fig.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "out" / "trace.npz").is_file()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full")  # noqa: PTH110
def test_no_message_names_a_hidden_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: Make) -> None:
    from attnviz.batch import run
    from attnviz.captioner import Captioner

    photos(tmp_path / "photos", ["a.jpg"])
    (tmp_path / "photos" / "b.jpg").write_bytes(b"")
    (tmp_path / "out" / "a.jpg-attention").mkdir(parents=True)
    (tmp_path / "out" / "a.jpg-attention" / "trace.npz").mkdir()
    failures = run(Captioner.tiny(), tmp_path / "photos", tmp_path / "out", beam=1, threads=1, size=48).failures
    assert len(failures) == 2
    for told in failures.values():
        assert not re.search(r"\.attnviz|\.tmp|\.lock", told), told
