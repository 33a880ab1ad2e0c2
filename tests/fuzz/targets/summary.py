"""The summary.json of an earlier run, in a folder that is drawn into again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fuzz import mutate
from fuzz.target import Target


def seeds(folder: Path) -> Sequence[bytes]:
    return [
        b'{"caption": "a dog", "attnviz": "0.1.0", "files": ["step-00-a.png", "summary.json"], "steps": [{"index": 0}]}'
    ]


def read(path: Path) -> None:
    from attnviz.render.folder import Folder

    inner = path.parent / "results"
    inner.mkdir(exist_ok=True)
    (inner / "summary.json").write_bytes(path.read_bytes())
    (inner / "notes.txt").write_text("mine")
    with Folder(inner) as folder:
        folder.write("attention.gif", lambda stream: None)
        folder.commit({"attnviz": "x"})
    assert (inner / "notes.txt").exists()


TARGET = Target(".json", seeds, read, mutate.json_tree, names=False)
