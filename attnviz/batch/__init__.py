"""A folder of photos: found, described, drawn and kept account of, so that a run can be stopped and taken up again.

run        the whole run: settings, what is left to do, the pipeline, the gallery
listing    which photos there are; names: which folder each has; plan: which are still to be done
pipeline   decoding in threads, describing in batches, drawing in processes; flow: the channels between them;
           work: what is done with a photo, whoever does it
drawers    the drawing processes, which run worker; jobs: what passes between
place      finished results put where they belong; manifest: the account of them; lock: one run at a time
report     the gallery and the table at the end
"""

from __future__ import annotations

from attnviz.batch.run import Outcome, Progress, run

__all__ = ["Outcome", "Progress", "run"]
