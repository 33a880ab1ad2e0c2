"""A folder of photos: found, described, drawn and kept account of, so that a run can be stopped and taken up again."""

from __future__ import annotations

from attnviz.batch.run import Outcome, Progress, run

__all__ = ["Outcome", "Progress", "run"]
