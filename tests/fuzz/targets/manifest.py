"""The manifest of a batch, and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fuzz import mutate
from fuzz.target import Target


def seeds(folder: Path) -> Sequence[bytes]:
    from attnviz.batch.manifest import DONE, FAILED, Record

    done = Record(
        "trip/a.jpg", DONE, "a dog", "trip/a.jpg-attention", ("step-00-a.png", "attention.gif", "summary.json"),
        0.5, 2.5, "0" * 64, 1000, 17 * 10**17, "1" * 64, "2" * 16, 0.2,
    )  # fmt: skip
    records = (done, Record("b.png", FAILED, error="is empty", settings="2" * 16, seconds=0.0))
    return [b"".join(record.to_line() for record in records), done.to_line()]


def read(path: Path) -> None:
    """As the next run and the gallery do."""
    from attnviz.batch import manifest, report
    from attnviz.batch.listed import Listed
    from attnviz.batch.outs import Folder
    from attnviz.batch.plan import still_true
    from attnviz.batch.sources import Files

    records, _ = manifest.read(path)
    for record in records.values():
        assert asdict(record)
        if still_true(record, Listed(record.path, str(record.folder)), Files(path.parent), "2" * 16):
            Folder(path.parent).is_there(record)
    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    (out / "manifest.jsonl").write_bytes(manifest.lines(records))
    report.write_report(Folder(out), Files(path.parent).finder(), 1)
    path.write_bytes(manifest.lines(records))
    assert manifest.read(path) == (records, True)


TARGET = Target(".jsonl", seeds, read, mutate.json_lines)
