"""The summary.json of an earlier run, in a folder that is drawn into again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fuzz import mutate
from fuzz.target import Target


def seeds(folder: Path) -> Sequence[bytes]:
    import numpy as np

    from attnviz.render import draw
    from attnviz.trace import Trace

    trace = Trace(np.full((2, 2, 2), 0.25, np.float32), ("a", "dog"))
    draw(trace, np.zeros((8, 8, 3), np.uint8), folder / "results", formats="png")
    trace.save(folder / "trace.npz")
    short = (
        b'{"caption": "a dog", "attnviz": "0.1.0", "files": ["step-00-a.png", "summary.json"], "steps": [{"index": 0}]}'
    )
    return [short, (folder / "results" / "summary.json").read_bytes()]


def read(path: Path) -> None:
    """As the gallery does, and then as the next run."""
    from attnviz.batch import outs
    from attnviz.batch.gallery import tiles
    from attnviz.render.folder import Folder

    inner = path.parent / "results"
    (inner / "summary.json").write_bytes(path.read_bytes())
    (inner / "notes.txt").write_text("mine")
    tiles.read(outs.Folder(path.parent).read, "results", ["trace.npz"])
    with Folder(inner) as folder:
        folder.write("attention.gif", lambda stream: None)
        folder.commit({"attnviz": "x"})
    assert (inner / "notes.txt").exists()
    assert (inner / "trace.npz").exists() or b"trace.npz" in path.read_bytes()
    (inner / "trace.npz").write_bytes((path.parent / "trace.npz").read_bytes())


TARGET = Target(".json", seeds, read, mutate.json_tree, names=False)
