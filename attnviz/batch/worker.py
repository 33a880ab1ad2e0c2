"""A drawing process: reads jobs from standard input, draws, and answers on standard output. Knows no torch.

A process rather than a thread, because painting and packing are many short calls that would wait for each other at the
interpreter's lock: on two cores, two processes draw a fifth more than two threads.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import queue
import sys
import threading
import time
from typing import BinaryIO

from attnviz.batch.jobs import Answer, Job, errno_of, reason
from attnviz.photo.image import Photo
from attnviz.render import draw


def main() -> None:
    """Draws until standard input ends; then nobody waits for an answer any more, and the process ends at once."""
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    threading.Thread(target=_read, args=(sys.stdin.buffer, jobs), daemon=True).start()
    while True:
        answer = answered(jobs.get())
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except OSError:
            os._exit(1)


def _read(stream: BinaryIO, jobs: queue.SimpleQueue[Job]) -> None:
    """The next job is read while one is drawn."""
    try:
        while True:
            jobs.put(pickle.load(stream))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)


def answered(job: Job) -> Answer:
    """Draws, and tells what came of it."""
    start = time.perf_counter()
    try:
        photo = Photo(job.pixels, job.name, None)
        first, *others = job.traces
        files = draw(first, photo, job.folder, formats=job.formats, compare=others, **job.options, threads=1)
        summary = hashlib.sha256(files[-1].read_bytes()).hexdigest()
    except Exception as error:
        return Answer(error=reason(error), errno=errno_of(error))
    return Answer(tuple(file.name for file in files), summary, time.perf_counter() - start)


if __name__ == "__main__":
    main()
