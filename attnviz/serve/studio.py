"""What is done with photos, in the worker's thread: they are read, explained, drawn and checked."""

from __future__ import annotations

import io
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from attnviz.errors import ConfigError
from attnviz.network import Seeing, describe_rows
from attnviz.photo.image import Photo, load
from attnviz.render.options import SIZE, DrawOptions, options_from
from attnviz.render.pictures import Pictures, resized
from attnviz.serve.answers import RefusalError
from attnviz.serve.shelf import MOST_PREPARED, MOST_TRACES, Kept, Shelf, remember
from attnviz.trace.file import dumps

if TYPE_CHECKING:
    from attnviz.evidence import Evidence, Settings
    from attnviz.network import Asked, Network, Prepared
    from attnviz.serve.asks import Source, Wanted
    from attnviz.serve.line import Ticket
    from attnviz.serve.networks import Networks
    from attnviz.trace import Trace

TRACE = "npz"
EVIDENCE = ("evidence-html", "evidence-json", "evidence-pdf")


@dataclass(frozen=True)
class Given:
    """A photo as a request names it: its file, or the key of one that is kept.

    Attributes:
        name: of the file.
        data: its bytes; None where there is a key.
        key: of a kept photo; None where there are bytes.
    """

    name: str = "photo"
    data: bytes | None = None
    key: str | None = None


class Studio:
    """Photos and networks brought together.

    Args:
        networks: what is on offer.
        shelf: of the photos that are kept.
        max_pixels: larger photos are refused.
    """

    def __init__(self, networks: Networks, shelf: Shelf, max_pixels: int) -> None:
        self.networks, self.shelf, self._max_pixels = networks, shelf, max_pixels

    def take(self, given: Given) -> Desk:
        """A photo, ready to be worked on. Raises ImageError, or RefusalError for one that is not kept any more."""
        if given.data is None:
            return Desk(self, self.shelf.get(given.key or ""))
        key = self.shelf.key_of(given.data, given.name)
        if (kept := self.shelf.find(key)) is not None:
            return Desk(self, kept)
        photo = self.read(given.data, given.name)
        shown = Photo(resized(photo.pixels, SIZE), photo.name, photo.sha256, photo.remarks)
        return Desk(self, self.shelf.add(key, given.name, given.data, shown), photo)

    def read(self, data: bytes, name: str) -> Photo:
        """A photo's file at full size. Raises ImageError."""
        return load(data, max_pixels=self._max_pixels, name=name)


class Desk:
    """One photo while it is worked on, at full size if need be."""

    def __init__(self, studio: Studio, kept: Kept, photo: Photo | None = None) -> None:
        self._studio, self.kept, self._photo = studio, kept, photo

    @property
    def photo(self) -> Photo:
        """At full size."""
        if self._photo is None:
            self._photo = self._studio.read(self.kept.data, self.kept.name)
        return self._photo

    def traces(self, wanted: Wanted) -> list[Trace]:
        """One a row, the first of which wrote the words. Raises AttnvizError."""
        rows: list[Trace] = []
        asked = wanted.asked
        for source in wanted.sources:
            network = self._studio.networks.load(source)
            rows += self._described(source, network, asked, wanted.layers)
            if asked.text is None:
                asked = replace(asked, text=rows[0].caption)
        return rows if wanted.pieces else [trace.joined() for trace in rows]

    def explore(self, wanted: Wanted, look: Mapping[str, Any], picture: bool) -> dict[str, Any]:
        """What the page's explorer shows.

        Args:
            wanted: of whom, and what.
            look: options of DrawOptions.
            picture: whether the photo itself is in it.
        """
        from attnviz.render.writers.html import contents, photo_url

        pictures = self._pictures(wanted, look)
        found = {"photo": self.kept.key, "caption": pictures.trace.caption, "explorer": contents(pictures)}
        return found | ({"picture": photo_url(pictures)} if picture else {})

    def draw(self, wanted: Wanted, look: Mapping[str, Any], kind: str) -> tuple[bytes, str]:
        """A file of a format, and the ending of its name. Raises AttnvizError."""
        from attnviz.render import WRITERS
        from attnviz.render.drawing import single_job

        if kind == TRACE:
            return dumps(vars(self.traces(wanted)[0])), "trace.npz"
        if kind in EVIDENCE:
            return self._report(wanted, kind), kind.replace("-", ".")
        if kind not in WRITERS:
            raise ConfigError(f"no format is called {kind!r}; there are {', '.join((*WRITERS, TRACE, *EVIDENCE))}")
        WRITERS[kind].require()
        job, out = single_job(self._pictures(wanted, look), kind), io.BytesIO()
        job.write(out)
        return out.getvalue(), job.name

    def check(self, wanted: Wanted, settings: Settings, ticket: Ticket) -> Evidence:
        """Tests the first row's maps, and keeps what is found. Raises AttnvizError, or CancelledError."""
        from attnviz.evidence import check

        source = wanted.sources[0]
        own = self.traces(replace(wanted, sources=(source,), layers=()))[0]
        network = self._studio.networks.load(source)
        asked = replace(wanted.asked, text=own.caption)
        found = check(network, self.photo, asked, settings, progress=ticket.note)
        if len(self.kept.evidence) >= MOST_TRACES:
            self.kept.evidence.clear()
        self.kept.evidence[self._question(source, asked)] = found
        return found

    def _pictures(self, wanted: Wanted, look: Mapping[str, Any]) -> Pictures:
        first, *others = self.traces(wanted)
        options = options_from(DrawOptions, {**look, "pieces": wanted.pieces}, "the page")
        return Pictures(options.shown(first), self.kept.shown, options, [options.shown(other) for other in others])

    def _described(self, source: Source, network: Network, asked: Asked, layers: Sequence[str]) -> list[Trace]:
        traces, key = self.kept.traces, (source, asked, tuple(layers))
        if key not in traces:
            network.check(asked)
            (found,) = describe_rows(network, [self._prepared(source, network, asked)], asked, layers)
            remember(traces, key, found, MOST_TRACES)
        return [self._judged(source, asked, trace) for trace in traces[key]]

    def _judged(self, source: Source, asked: Asked, trace: Trace) -> Trace:
        """The trace with the verdicts of its tests, where there have been any."""
        found = self.kept.evidence.get(self._question(source, replace(asked, text=trace.caption)))
        if found is None or found.trace.tokens != trace.joined().tokens:
            return trace
        return replace(trace.joined(), verdicts=found.trace.verdicts)

    @staticmethod
    def _question(source: Source, asked: Asked) -> Hashable:
        return source, replace(asked, beam=None, hard=None, seed=0)

    def _prepared(self, source: Source, network: Network, asked: Asked) -> Prepared:
        some, key = self.kept.prepared, (self._studio.networks.eyes(source), replace(asked, text=None, beam=None))
        if key not in some:
            prepared = network.prepare(self.photo, asked)
            remember(some, key, network.see([prepared])[0] if isinstance(network, Seeing) else prepared, MOST_PREPARED)
        return some[key]

    def _report(self, wanted: Wanted, kind: str) -> bytes:
        """What `check` found, as a page, a figure or numbers. Raises RefusalError before it has been run."""
        own = self.traces(replace(wanted, layers=()))[0]
        asked = replace(wanted.asked, text=own.caption)
        found = self.kept.evidence.get(self._question(wanted.sources[0], asked))
        if found is None:
            raise RefusalError(422, "these words have not been tested yet; ask for /api/check first")
        if kind == "evidence-html":
            from attnviz.evidence.page import page

            return page(found, self.photo).encode()
        if kind == "evidence-pdf":
            from attnviz.evidence.report import pdf

            return pdf(found, self.photo)
        return json.dumps(found.to_dict(), indent=2, allow_nan=False).encode()
