"""Measuring a model: how good its captions are, and whether it looks where the words are."""

from attnviz.evaluate.report import Report, evaluate

__all__ = ["Report", "evaluate"]
