"""The guides on Python and on the trace file: their tables are those of the code. (documents/ runs their blocks.)"""

from __future__ import annotations

import json
from pathlib import Path

from test_docs import table

import attnviz
from attnviz import Trace
from attnviz.trace.meta import Meta

GUIDE = Path(attnviz.__file__).parent / "guide"


def test_the_tables_of_the_trace_file(tmp_path: Path) -> None:
    rows = table((GUIDE / "trace-file.md").read_text(encoding="utf-8"))
    arrays = {row[0].strip("`") for row in rows if len(row) == 3 and row[0].startswith("`")}
    fields = {name.strip("`") for row in rows if len(row) == 2 for name in row[0].split(", ")}
    assert arrays == {*attnviz.trace.file.ARRAYS, "tokens", "meta"}
    saved = json.loads(Meta(verdicts=()).dumps())
    assert fields == set(saved)


def test_the_table_of_a_trace() -> None:
    rows = table((GUIDE / "python.md").read_text(encoding="utf-8"))
    for row in rows:
        for name in row[0].replace("`", "").split(", "):
            owner, attribute = (Trace, name.removeprefix("trace.")) if name.startswith("trace.") else (Trace, "load")
            assert hasattr(owner, attribute.partition("(")[0]) or attribute in Trace.__dataclass_fields__, name
