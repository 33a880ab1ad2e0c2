"""What was measured of each photo, kept as it comes: a line of JSON a photo, so that a run that was ended goes on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnviz.errors import DataError, OutputError
from attnviz.files import fitting

Facts = Mapping[str, Any]


DIFFERENCES = {
    "attnviz": "another version of attnviz",
    "data": "another split",
    "protocol": "another seed or protocol",
    "beam": "another number of beams",
    "network": "another network of that name",
}
"""What to say where facts are others than those in a file."""


class Kept:
    """The photos of one network that are done, in `FOLDER/NAME.jsonl`; the first line says how they were measured.

    Args:
        folder: made where it is missing.
        name: of the network.
        facts: what the numbers depend on, JSON-ready.

    Raises:
        DataError: the file is none of these, or was measured in another way.
        OutputError: it cannot be read or written.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str, facts: Facts) -> None:
        self.path = Path(folder) / fitting(re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "network", ".jsonl")
        self.photos: dict[str, dict[str, Any]] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            whole = self._read(json.loads(json.dumps(facts))) if self.path.exists() else 0
            with self.path.open("ab") as file:
                file.truncate(whole)  # the half of a line that an end without notice left
            if not whole:
                self._write(facts)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def add(self, image: str, found: Facts) -> None:
        """Keeps what was measured of a photo. Raises OutputError when it cannot be written."""
        try:
            self._write({"image": image, **found})
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from error
        self.photos[image] = json.loads(json.dumps(found))

    def _write(self, line: Facts) -> None:
        data = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        with self.path.open("ab") as file:
            file.write(data.encode("utf-8", "backslashreplace") + b"\n")

    def _read(self, facts: Facts) -> int:
        """Takes what is there, and says how many bytes of it are whole lines."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        try:
            first, *lines = [json.loads(line) for line in data[:whole].splitlines()] or [facts]
            photos = {str(line.pop("image")): line for line in lines}
            other = sorted(key for key in {*first, *facts} if first.get(key) != facts.get(key))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{self.path}: not a file of measured photos; give another folder with -o") from error
        if other:
            told = DIFFERENCES.get(other[0], f"another {other[0]}")
            raise DataError(f"{self.path}: was measured with {told}; give another folder with -o, or remove the file")
        self.photos = photos
        return whole
