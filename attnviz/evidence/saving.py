"""Evidence beside the trace: `evidence.json` and the trace with the verdicts in it, in a folder of results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz._version import __version__
from attnviz.render.folder import Folder, output_errors

if TYPE_CHECKING:
    import os

    from attnviz.evidence.run import Evidence

NAME = "evidence.json"


def save(evidence: Evidence, folder: str | os.PathLike[str], more: Mapping[str, bytes] | None = None) -> list[Path]:
    """Writes `evidence.json` and `trace.npz`, and the files in `more`, into a folder of results.

    Pictures of the same words, of the same network, that an earlier run left there stay; `attnviz draw FOLDER` draws
    them again, with the verdicts. Pictures of other words go.

    Returns:
        The files written.

    Raises:
        OutputError: the folder cannot be written, or is not one of ours.
    """
    text = json.dumps({"attnviz": __version__, **evidence.to_dict()}, indent=2, ensure_ascii=False, allow_nan=False)
    files = {NAME: text.encode("utf-8", "backslashreplace"), **(more or {})}
    summary = evidence.trace.summary()
    with Folder(folder) as out:
        for name, data in files.items():
            with output_errors(out.path / name):
                out.reserve(name).write_bytes(data)
        with output_errors(out.path / "trace.npz"):
            evidence.trace.save(out.reserve("trace.npz"))
        same = _same(out.earlier.get("trace"), summary)
        kept: dict[str, Any] = {
            name: out.earlier[name] for name in ("options", "photo") if same and name in out.earlier
        }
        return out.commit({"attnviz": __version__, "trace": summary, **kept}, keep=same)[: len(files) + 1]


def _same(earlier: Any, summary: Mapping[str, Any]) -> bool:
    """Whether an earlier summary is of the same words, photo and network."""
    names: Sequence[str] = ("caption", "model", "mode", "layers", "heads", "view", "image")
    return isinstance(earlier, dict) and all(earlier.get(name) == summary[name] for name in names)
