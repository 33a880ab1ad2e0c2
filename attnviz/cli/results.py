"""What `attnviz draw` draws again: a trace, or a folder of results with its traces and the way to its photo."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.errors import ImageError, TraceError
from attnviz.files import absent, is_file, spelled

if TYPE_CHECKING:
    from attnviz.trace import Trace


@dataclass(frozen=True)
class Results:
    """Traces of one photo.

    Attributes:
        traces: their files; the first wrote the words. None of another program's weights.
        folder: of results; None for a trace alone.
        way: from the folder to the photo, where its summary tells it.
    """

    traces: tuple[Path, ...] = ()
    folder: Path | None = None
    way: str | None = None

    @classmethod
    def read(cls, name: str) -> Results:
        """A trace file, or a folder of results. Raises TraceError for neither, or a folder that holds none."""
        path = spelled(name)
        if not lexists(path):
            raise TraceError(f"{name}: {absent(name)}")
        if not path.is_dir():
            return cls((path,))
        from attnviz.render.folder import read_summary

        summary = read_summary(path)
        files = [name for name in summary.get("files", ()) if isinstance(name, str)]
        others = [path / name for name in files if re.fullmatch(r"trace-[^/\\:\0]+\.npz", name)]
        if not (path / "trace.npz").is_file():
            raise TraceError(f"{path}: holds no trace.npz, so it is no folder of results; name one, or a trace")
        way = summary.get("photo")
        near = isinstance(way, str) and not Path(way).is_absolute()
        return cls((path / "trace.npz", *others), path, way if near else None)

    def load(self) -> list[Trace]:
        """The traces. Raises TraceError for one that cannot be read, or has no steps."""
        from attnviz.trace import Trace

        traces = [Trace.load(file) for file in self.traces]
        for file, trace in zip(self.traces, traces, strict=True):
            if not len(trace):
                raise TraceError(f"{file}: the trace has no steps, so there is nothing to draw; give another")
        return traces

    def find_photo(self, trace: Trace) -> Path:
        """The photo that the trace names: where the summary says, beside the trace, a folder up, or in the current one.

        Raises:
            ImageError: it is not there.
        """
        file = self.traces[0]
        if self.folder is not None and self.way is not None:
            known = spelled(self.folder / self.way)
            if is_file(known):
                return known
        if trace.image is None:
            raise ImageError(f"{file}: does not name its photo; give it with --image")
        name = Path(trace.image.name).name
        for folder in (file.parent, file.parent.parent, Path()):
            if is_file(found := spelled(folder / name)):
                return found
        raise ImageError(f"{file}: its photo {name} is not beside it; give it with --image")
