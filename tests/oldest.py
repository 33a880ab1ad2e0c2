"""Prints the oldest version of each dependency that pyproject.toml allows, for pip's --constraint."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def main() -> None:
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]
    bounds = (re.match(r"([\w.-]+)>=([\w.]+)", one) for one in wanted)
    print(*sorted({f"{bound[1]}=={bound[2]}" for bound in bounds if bound}), sep="\n")


if __name__ == "__main__":
    main()
