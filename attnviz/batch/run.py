"""A whole run over a folder."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from attnviz._version import __version__
from attnviz.batch.engines import Local
from attnviz.batch.manifest import manifest_name
from attnviz.batch.outcome import Outcome, Progress
from attnviz.batch.outs import out_of
from attnviz.batch.plan import left_to_do
from attnviz.batch.report import write_report
from attnviz.batch.sources import is_whole, source_of
from attnviz.batch.work import Work
from attnviz.errors import ConfigError
from attnviz.network import Asked
from attnviz.photo.image import MAX_PIXELS
from attnviz.render import WRITERS, DrawOptions
from attnviz.render.drawing import FORMATS
from attnviz.render.writers import mp4

if TYPE_CHECKING:
    from attnviz.batch.catalogue import Found
    from attnviz.batch.engines import Engine, Models
    from attnviz.batch.outs import Out
    from attnviz.batch.sources import Source
    from attnviz.network import Hard, Map, View
    from attnviz.render.options import PictureKeywords

_OPTIONS = DrawOptions.__dataclass_fields__

LOCAL = "local"


def run(
    models: Models,
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
    engine: str = LOCAL,
    workers: int | None = None,
    gpus_per_worker: float = 0,
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
            it. Or a function that gives them, called when the photos are found; with Ray, by each worker, so it must
            be one that can be pickled.
        folder: of the photos, and the folders in it; a list of paths or URLs (.txt, .parquet), tar shards (.tar), or
            a URL of one of these.
        out: for the results, a folder or a URL such as s3://bucket/results; made if it is not there.
        formats, drawing: as for `attnviz.draw`.
        text, prompt, beam, hard, seed, layers, heads, view, map, max_pixels: as for `attnviz.explain`.
        layer_rows: choices of layers that are shown side by side, as several networks are.
        glob: which files to take, such as "*.jpg" or "2024/**/*.{jpg,png}"; all images by default.
        shard: (I, N): only the I-th of N parts, which may run side by side, each with a manifest of its own.
        force: do all photos anew.
        report: write a gallery, `index.html`, and `captions.csv`.
        threads: how many processes draw on this machine; by default as many as there are CPUs.
        engine: "local"; "ray" for the cluster that this machine is part of, or a new one on it alone; or
            "ray://HOST:PORT", where the run itself is on the cluster: all paths are then the cluster's.
        workers: with Ray, how many processes have a network; by default one for each GPU, or each CPU.
        gpus_per_worker: with Ray, of each of them.
        progress: called at the beginning, after each photo, and as the gallery grows.
        stop: when it is set, the photos under way are finished (with Ray, left) and the run ends.

    Raises:
        AttnvizError: wrong settings, no photos, an output folder that cannot be written or that another run is writing
            to, or a full disk. What is done by then counts in the next run.
    """
    given = {name: value for name, value in locals().items() if name not in ("drawing", "progress", "stop", "engine")}
    stop = stop or threading.Event()
    if engine == "ray" and os.environ.get("RAY_ADDRESS", "").startswith("ray://"):
        engine = os.environ["RAY_ADDRESS"]
    if engine.startswith("ray://"):
        from attnviz.batch.cluster.afar import run_afar

        for path in (folder, out):
            if not is_whole(path):
                raise ConfigError(f"{path}: with {engine} paths are the cluster's; give a whole path, or a URL")
        return run_afar(engine, {**given, **drawing}, progress, stop)
    options = _checked(formats, dict(drawing))
    asked = Asked(text, prompt, beam, hard, seed, layers, heads, view, map)
    start = time.monotonic()
    if engine == "ray":  # its workers are at home in other folders
        folder, out = (path if is_whole(path) else Path(path).absolute() for path in (folder, out))
    source, target = source_of(folder), out_of(out)
    by = _engine(engine, models, threads, workers, gpus_per_worker, source, target)
    with closing(by):
        found = source.find(target, glob, shard)
        settings = _settings_hash(by.identified(asked), options, formats, asked, layer_rows)
        work = Work(
            models=(),
            source=source,
            out=target,
            asked=asked,
            layer_rows=tuple(layer_rows),
            formats=tuple(formats),
            drawing=dict(drawing),
            size=options.size if isinstance(options.size, int) else None,
            settings=settings,
            max_pixels=max_pixels,
        )
        plan = _Plan(shard, force, report, threads)
        now, failures, page = _run(by, work, found, plan, progress, stop)
    manifest = target.at(manifest_name(shard))
    seconds = time.monotonic() - start
    return Outcome(
        now.total, now.skipped, now.done, now.failed, now.left > 0, seconds, manifest, page, failures, found.left_out
    )


class _Plan(NamedTuple):
    """What of a run does not concern a single photo."""

    shard: tuple[int, int]
    force: bool
    report: bool
    threads: int | None


def _engine(
    name: str,
    models: Models,
    threads: int | None,
    workers: int | None,
    gpus_per_worker: float,
    source: Source,
    out: Out,
) -> Engine:
    """Raises ConfigError for an engine that there is not, and for what its workers could not see."""
    if name == LOCAL:
        return Local(models, threads)
    if name != "ray":
        raise ConfigError(f"engine: {name!r} is none of local, ray and ray://HOST:PORT")
    for told, shared in ((source.name, source.shared), (str(out), out.shared)):
        if not shared:
            raise ConfigError(f"{told}: is seen by one process alone; with --engine ray give a folder or a bucket")
    from attnviz.batch.cluster.engine import Cluster

    return Cluster(models, workers, gpus_per_worker)


def _run(
    by: Engine, work: Work, found: Found, plan: _Plan, progress: Callable[[Progress], None], stop: threading.Event
) -> tuple[Progress, dict[str, str], Any]:
    """The run itself, while no other may write to the output folder: where it stands then, failures, the gallery."""
    out, listed = work.out, found.photos
    with ExitStack() as stack:
        out.make()
        lock = stack.enter_context(out.lock(plan.shard))
        staging = stack.enter_context(out.staging(plan.shard))
        manifest = stack.enter_context(closing(out.manifest(plan.shard, staging)))
        todo = listed if plan.force else left_to_do(listed, work.source, out, work.settings, manifest)
        now = Progress(len(listed), len(listed) - len(todo), remarks=(*lock.remarks, *by.remarks))
        failures: dict[str, str] = {}
        progress(now)
        if now.left:
            work = replace(work, staging=staging.path)
            with closing(by.records(work, todo, stop, lock.descriptor)) as records:
                for record in records:
                    lock.check()
                    manifest.append(record)
                    now = _counted(now, record, failures)
                    progress(now)
        if now.left == 0:
            manifest.finish(lambda path: path in failures or path in found.present)
        page = None
        if plan.report:
            if now.left:
                manifest.close()

            def in_gallery(count: int) -> None:
                progress(replace(now, record=None, gallery=count))

            page = write_report(out, work.source.finder(), plan.threads, in_gallery)
    return now, failures, page


def _counted(now: Progress, record: Any, failures: dict[str, str]) -> Progress:
    """Where a run stands with one photo more."""
    if record.error is not None:
        failures[record.path] = record.error
    done, failed = now.done + (record.error is None), now.failed + (record.error is not None)
    return replace(now, done=done, failed=failed, record=record, remarks=())


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


def _settings_hash(
    networks: Sequence[tuple[str, str]],
    options: DrawOptions,
    formats: Sequence[str],
    asked: Asked,
    layer_rows: Sequence[str],
) -> str:
    """A hash of all that decides what a photo's results are."""
    settings = {
        "version": __version__,
        "models": [list(network) for network in networks],
        "formats": list(dict.fromkeys(formats)),
        "drawing": options.to_dict(),
        **asked.to_dict(),
        "layer_rows": list(layer_rows),
        "seed": asked.seed if asked.hard == "sample" else None,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
