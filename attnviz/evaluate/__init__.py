"""Measuring a model: how good its captions are, and whether it looks where the words are."""

from __future__ import annotations

from attnviz.evaluate.report import Report, evaluate

__all__ = ["Report", "evaluate"]
