"""A whole run over a folder."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from attnviz._version import __version__
from attnviz.batch.listing import find
from attnviz.batch.lock import Lock
from attnviz.batch.manifest import Manifest, Record, manifest_name
from attnviz.batch.pipeline import Pipeline
from attnviz.batch.place import Staging
from attnviz.batch.plan import left_to_do
from attnviz.batch.report import write_report
from attnviz.batch.work import Work
from attnviz.errors import ConfigError, OutputError
from attnviz.files import spelled, unfit
from attnviz.network import Asked, Network
from attnviz.photo.image import MAX_PIXELS
from attnviz.render import WRITERS, DrawOptions
from attnviz.render.drawing import FORMATS
from attnviz.render.folder import output_errors
from attnviz.render.writers import mp4

if TYPE_CHECKING:
    from attnviz.network import Hard, Map, View
    from attnviz.render.options import PictureKeywords

MOST_PROCESSES = 64

_OPTIONS = DrawOptions.__dataclass_fields__


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        total: the photos that there are, of this shard.
        skipped: done by an earlier run, with the same settings.
        done, failed: by this run.
        record: what became of the photo that is just finished; None at the beginning, and for the gallery.
        gallery: how many photos the gallery has by now, once all are finished.
        remarks: at the beginning, what should be known of the place, such as that its file system has no locks.
    """

    total: int
    skipped: int
    done: int = 0
    failed: int = 0
    record: Record | None = None
    gallery: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Photos still to come."""
        return self.total - self.skipped - self.done - self.failed


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        total, skipped, done, failed: numbers of photos, as in `Progress`.
        stopped: whether it was asked to stop before the end.
        seconds: how long it took.
        manifest: the file with a line for each photo.
        report: the gallery, where one was asked for.
        failures: photo -> why it failed.
        left_out: files that look like photos but are of kinds that a folder is not searched for.
    """

    total: int
    skipped: int
    done: int
    failed: int
    stopped: bool
    seconds: float
    manifest: Path
    report: Path | None
    failures: dict[str, str]
    left_out: tuple[str, ...] = ()


def run(
    models: Network | Sequence[Network] | Callable[[], Sequence[Network]],
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    formats: Sequence[str] = FORMATS,
    text: str | None = None,
    prompt: str | None = None,
    beam: int | None = None,
    hard: Hard | None = None,
    seed: int = 0,
    layers: str = "all",
    heads: str = "mean",
    view: View = "all",
    map: Map = "attention",
    layer_rows: Sequence[str] = (),
    max_pixels: int = MAX_PIXELS,
    glob: str | None = None,
    shard: tuple[int, int] = (1, 1),
    force: bool = False,
    report: bool = False,
    threads: int | None = None,
    progress: Callable[[Progress], None] = lambda now: None,
    stop: threading.Event | None = None,
    **drawing: Unpack[PictureKeywords],
) -> Outcome:
    """Describes and draws all photos below a folder; what an earlier run has done is skipped.

    The results of `trip/a.jpg` are in `OUT/trip/a.jpg-attention/`, as `attnviz.draw` writes them, and are the same
    bytes whatever other photos there are. The manifest in `OUT` has a line for each photo, see `Record`. A photo that
    fails is in it with its reason, and the others are done.

    Args:
        models: the network, or several: the first one writes the words, and a page ("html") compares the others with
            it. Or a function that gives them, called when the photos are found.
        folder: of the photos, and the folders in it.
        out: for the results; made if it is not there.
        formats, drawing: as for `attnviz.draw`.
        text, prompt, beam, hard, seed, layers, heads, view, map, max_pixels: as for `attnviz.explain`.
        layer_rows: choices of layers that are shown side by side, as several networks are.
        glob: which files to take, such as "*.jpg" or "2024/**/*.{jpg,png}"; all images by default.
        shard: (I, N): only the I-th of N parts, which may run side by side, each with a manifest of its own.
        force: do all photos anew.
        report: write a gallery, `index.html`, and `captions.csv`.
        threads: how many processes draw; by default as many as there are CPUs.
        progress: called at the beginning, after each photo, and as the gallery grows.
        stop: when it is set, the photos under way are finished and the run ends.

    Raises:
        AttnvizError: wrong settings, no photos, an output folder that cannot be written or that another run is writing
            to, or a full disk. What is done by then counts in the next run.
    """
    start = time.monotonic()
    top, target = spelled(folder), Path(out)
    if (reason := unfit(target)) is not None:
        raise OutputError(f"{target}: {reason}; choose another folder")
    options = _checked(formats, dict(drawing))
    asked = Asked(text, prompt, beam, hard, seed, layers, heads, view, map)
    listed, left_out, present = find(top, target, glob, shard)
    networks = _networks(models)
    for network in networks:
        network.check(asked)  # says so once, and not for each photo
    settings = _settings_hash(networks, options, formats, asked, layer_rows)
    stop = stop or threading.Event()
    with ExitStack() as stack:
        with output_errors(target):
            target.mkdir(parents=True, exist_ok=True)
        lock = stack.enter_context(Lock(target, shard))
        staging = stack.enter_context(Staging(target / ".attnviz-{}-of-{}.tmp".format(*shard)))
        path = target / manifest_name(shard)
        manifest = stack.enter_context(closing(Manifest(path, staging.replace)))
        todo = listed if force else left_to_do(listed, top, target, settings, manifest)
        work = Work(
            models=networks,
            top=top,
            out=target,
            staging=staging.path,
            asked=asked,
            layer_rows=tuple(layer_rows),
            formats=tuple(formats),
            drawing=dict(drawing),
            size=options.size if isinstance(options.size, int) else None,
            settings=settings,
            max_pixels=max_pixels,
            processes=min(threads or _cpus(), MOST_PROCESSES, max(1, len(todo))),
        )
        pipeline = Pipeline(work, todo, manifest.append, stop, lock.descriptor)
        now = Progress(len(listed), len(listed) - len(todo), remarks=tuple(lock.remarks))
        now, failures = _follow(pipeline, now, progress)
        if now.left == 0:
            manifest.finish(present)
        page = None
        if report:

            def in_gallery(count: int) -> None:
                progress(replace(now, record=None, gallery=count))

            page = write_report(target, top, staging.replace, threads, in_gallery)
    seconds = time.monotonic() - start
    return Outcome(now.total, now.skipped, now.done, now.failed, now.left > 0, seconds, path, page, failures, left_out)


def _follow(pipeline: Pipeline, now: Progress, progress: Callable[[Progress], None]) -> tuple[Progress, dict[str, str]]:
    """Runs the pipeline to its end; where it stands then, and which photos failed."""
    failures: dict[str, str] = {}
    progress(now)
    if not now.left:
        return now, failures
    with closing(pipeline.run()) as records:
        for record in records:
            if record.error is not None:
                failures[record.path] = record.error
            done, failed = now.done + (record.error is None), now.failed + (record.error is not None)
            now = replace(now, done=done, failed=failed, record=record, remarks=())
            progress(now)
    return now, failures


def _checked(formats: Sequence[str], drawing: dict[str, Any]) -> DrawOptions:
    """Raises ConfigError at once for what would fail with every photo."""
    known: tuple[tuple[Iterable[str], Collection[str]], ...] = ((formats, WRITERS), (drawing, _OPTIONS))
    for names, among in known:
        for name in names:
            if name not in among:
                raise ConfigError(f"{name!r} is none of {', '.join(among)}")
    if "mp4" in formats:
        mp4.require()
    return DrawOptions(**drawing)


def _networks(models: Network | Sequence[Network] | Callable[[], Sequence[Network]]) -> list[Network]:
    if isinstance(models, Sequence):
        return list(models)
    if isinstance(models, Network):  # it could be called too
        return [models]
    return list(models())


def _settings_hash(
    networks: Sequence[Network], options: DrawOptions, formats: Sequence[str], asked: Asked, layer_rows: Sequence[str]
) -> str:
    """A hash of all that decides what a photo's results are."""
    settings = {
        "version": __version__,
        "models": [[model.name, model.fingerprint()] for model in networks],
        "formats": list(dict.fromkeys(formats)),
        "drawing": options.to_dict(),
        **asked.to_dict(),
        "layer_rows": list(layer_rows),
        "seed": asked.seed if asked.hard == "sample" else None,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
