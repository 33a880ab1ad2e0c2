"""The version: one string, read by the package, by pyproject.toml and by the traces that are written."""

from __future__ import annotations

__version__ = "0.2.0"
