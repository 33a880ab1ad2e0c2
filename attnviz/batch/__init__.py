"""Folders of photos: found, described, drawn and kept account of, so that a run can be stopped and taken up again.

run         the whole run: settings, what is left to do, the engine, the gallery; outcome: what it tells
sources     where photos come from: folders, and of stores, see cloud; enumerated: lists (of paths and URLs) and tars
listing     which photos a folder has; catalogue: all of them, in order, as they are listed; tables: what stands on the
            disk, so that memory does not grow with their number; names: which folder each result has; plan: which are
            still to be done
engines     who does the work: this machine, or a cluster of Ray, see the package cluster
pipeline    this machine: decoding in threads, describing in batches, drawing in processes; flow: the channels between
            them; work: what is done with a photo, whoever does it
drawers     the drawing processes, which run worker; jobs: what passes between
outs        where results go; place: put where they belong on a disk, and of stores, see cloud
manifest    the account of them: a line, or record, for each; ledger: where they lie in it; lock: one run at a time
report      the gallery and the table at the end
"""

from __future__ import annotations

from attnviz.batch.outcome import Outcome, Progress
from attnviz.batch.run import run

__all__ = ["Outcome", "Progress", "run"]
