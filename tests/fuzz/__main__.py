"""`make fuzz`, or `python -m fuzz` with tests/ on the path."""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz.driver import run
from fuzz.targets import TARGETS
from fuzz.worker import data_of, examine, prepared


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description="Has every reader read damaged files.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--inputs", type=int, default=20_000, help="in all, shared evenly (20000)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (1)")
    parser.add_argument("--processes", type=int, default=2, help="workers side by side (2)")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="read this input of one target, in this process")
    parser.add_argument("--keep", metavar="FILE", help="with --show: write the input there")
    given = parser.parse_args()
    names = given.targets or TARGETS
    if given.show is not None:
        return _show(names[0], given.seed, given.show, given.keep)
    share = -(-given.inputs // len(names))
    failed = 0
    with ThreadPoolExecutor(given.processes) as pool:
        for result in pool.map(lambda name: run(name, share, given.seed), names):
            print(result, flush=True)
            for failure in result.failures:
                print(failure, flush=True)
            failed += len(result.failures)
    return 1 if failed else 0


def _show(name: str, seed: int, number: int, keep: str | None) -> int:
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as said:
        target, seeds = prepared(name, Path(folder))
        data = data_of(name, target, seeds, seed, number)
        if keep:
            Path(keep).write_bytes(data)
        path = Path(folder, f"input{number}{target.suffix}")
        path.write_bytes(data)
        print(f"{len(data)} bytes: {data[:1000]!r}")
        for key, value in examine(target, path, Path(said.name)).items():
            print(f"{key}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
