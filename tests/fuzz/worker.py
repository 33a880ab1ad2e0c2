"""Reads damaged files in a process of its own, and tells what came of each: a line of JSON before and after.

`python -m fuzz.worker TARGET SEED FIRST COUNT`, with tests/ on the path. Only AttnvizError is a fair answer, on one
line that is fit to be read; a warning, or anything printed, is a failure.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from attnviz.errors import AttnvizError
from fuzz.targets import target as target_named

if TYPE_CHECKING:
    from fuzz.target import Target

SECONDS = 10.0
"""An input may take so long, by the processor's clock, so that other work on the machine does not count."""

BYTES = 2 * 2**30
"""An input may take so much memory beyond what the process holds."""

LONGEST = 1000
"""Characters that a message may have and still be one clear line."""


def data_of(name: str, target: Target, seeds: list[bytes], seed: int, number: int) -> bytes:
    """Input `number`: the seeds themselves come first, then damaged ones."""
    if number < len(seeds):
        return seeds[number]
    random = Random(f"{name} {seed} {number}")
    return target.mutate(random, random.choice(seeds))


def prepared(name: str, folder: Path) -> tuple[Target, list[bytes]]:
    """A target and its seeds; what has to lie beside the files is made in `folder`."""
    target = target_named(name)
    return target, list(target.seeds(folder))


def examine(target: Target, path: Path, said: Path) -> dict[str, Any]:
    """Reads a file: what came of it, in how many seconds, with how many bytes of memory."""
    gc.collect()
    before = _reset_peak()
    start = time.process_time()
    outcome, told = "accepted", ""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            target.read(path)
        except AttnvizError as error:
            outcome, told = "refused", str(error)
        except BaseException:
            outcome, told = "traceback", traceback.format_exc()
    seconds, size = time.process_time() - start, max(0, _peak() - before)
    if outcome == "refused" and (len(told) > LONGEST or "\n" in told or (target.names and path.name not in told)):
        outcome, told = "message", f"too long, of several lines or without the file's name: {told[:300]}"
    if heard:
        outcome, told = "warning", f"{heard[0].category.__name__}: {heard[0].message} ({heard[0].filename})"
    _flush()
    if said.stat().st_size:
        outcome, told = "printed", said.read_text(errors="replace")[:300]
        os.truncate(said, 0)
    if size > BYTES:
        outcome, told = "memory", f"{size:,} bytes"
    if seconds > SECONDS:
        outcome, told = "time", f"{seconds:.1f} s"
    return {"outcome": outcome, "told": told, "seconds": seconds, "bytes": size}


def main(name: str, seed: int, first: int, count: int) -> None:
    lines, errors = os.fdopen(os.dup(1), "w", encoding="utf-8"), os.dup(2)
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.NamedTemporaryFile() as printed,
        contextlib.ExitStack() as end,
    ):
        end.callback(os.dup2, errors, 2)  # what is wrong with the fuzzer itself is told
        for number in (1, 2):
            os.dup2(printed.fileno(), number)
        target, seeds = prepared(name, Path(folder))
        _flush()
        os.truncate(printed.name, 0)
        gc.collect()
        gc.freeze()  # the libraries are not gone through again each time
        for number in range(first, first + count):
            path = Path(folder, f"input{number}{target.suffix}")
            path.write_bytes(data_of(name, target, seeds, seed, number))
            _say(lines, {"begun": number})
            _say(lines, {"number": number, **examine(target, path, Path(printed.name))})
            path.unlink()


def _say(lines: Any, line: dict[str, Any]) -> None:
    lines.write(json.dumps(line) + "\n")
    lines.flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()


def _reset_peak() -> int:
    """Forgets the most memory held so far, where the system can; the memory held now, in bytes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
