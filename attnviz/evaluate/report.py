"""One call that measures a model on a split: captions and localization, each beside its baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.errors import DataError
from attnviz.evaluate.bias import bias
from attnviz.evaluate.calibration import Calibration
from attnviz.evaluate.captions import bleu, bleu_intervals, words_of
from attnviz.evaluate.grounded import Classes, Grounded
from attnviz.evaluate.objects import intervals, score
from attnviz.evaluate.reading import Measures, Readings
from attnviz.explain import BATCH, chunked
from attnviz.network import Asked

if TYPE_CHECKING:
    from attnviz.data import Record, Split
    from attnviz.evaluate.figures import Figure
    from attnviz.network import Network
    from attnviz.photo.frame import Frame
    from attnviz.trace import Trace

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """Figures of one model on one split.

    Attributes:
        bleu: `BLEU-1` ... `BLEU-4` in percent; empty for a split without captions.
        localization: who -> `correctness` and `pointing` in [0, 1] and the number of `phrases`; who is the `model`, or
            one of the baselines `uniform`, `centre` and `random` (the same network, its attention's parameters drawn
            anew; only of a `Baseline`). Empty where the network reads no given words.
        objects: how many captions name an object of their photo, see `objects.score`; empty for data without objects.
        calibration: `error`, the expected calibration error of a word's probability in [0, 1], the same before the
            network's `temperature` (`uncalibrated error`), and over how many `words`, see `calibration.expected_error`;
            empty for a network that does not tell (`Guesser`).
        bias: what the captions say of women, of men and of colours, beside what people said, see `bias.bias`.
        captions: photo -> the caption written.
        mode: None of a network that has no such thing.
        beam: None where the network does not tell.
        unread: captions with boxes that were left out, since the network splits their words in another way.
        intervals: the 95 % intervals of the figures of `bleu` and `objects`.
        measures: measure -> category of phrases -> who -> figure with its 95 % interval, in [0, 1]. The measures are
            `correctness`, `pointing`, `iou` and `box accuracy` while given captions are read (see `localization`), and
            `pointing alone` while each phrase is read by itself (see `alone`); categories are `all` and the data's;
            who is as in `localization`, or `corrected` and `beyond centre`, the model's figure corrected for chance
            (see `figures`).
        phrases: measure -> category -> of how many phrases its figures are means.
        shares: `iou` and `box accuracy` -> who -> the share of the peak at which maps are cut off, chosen on the split.
        grounded: who -> `F1_all`, `F1_loc` and the `precision_...` and `recall_...` they are made of, of the object
            words in the network's own captions (see `grounded`); who is the `model`, or `uniform`, whose boxes are the
            whole frame. Empty where the network reads no given words, which tell where its maps are to be cut off.
        classes: how many classes of objects `grounded` has.
    """

    model: str
    mode: str | None
    data: str
    photos: int
    beam: int | None
    bleu: dict[str, float]
    localization: dict[str, dict[str, float]]
    objects: dict[str, float | str]
    calibration: dict[str, float]
    bias: dict[str, dict[str, float]]
    captions: dict[str, str]
    unread: int = 0
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    measures: Measures = field(default_factory=dict)
    phrases: dict[str, dict[str, int]] = field(default_factory=dict)
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    grounded: dict[str, dict[str, Figure]] = field(default_factory=dict)
    classes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def figures(self) -> dict[str, float]:
        """The few that a model card shows: BLEU-4 in percent, the model's own correctness and pointing, and
        the expected calibration error."""
        own = self.localization.get("model", {})
        chosen = {"BLEU-4": round(self.bleu["BLEU-4"], 1)} if self.bleu else {}
        chosen |= {key: round(own[key], 3) for key in ("correctness", "pointing") if key in own}
        return chosen | ({"calibration": round(self.calibration["error"], 3)} if self.calibration else {})


def evaluate(
    model: Network, split: Split, *, beam: int | None = None, seed: int = 0, progress: Progress | None = None
) -> Report:
    """Measures `model` on `split`.

    Args:
        model: any network; one that reads no given words is measured by its captions alone.
        beam: sentences kept in the search for the captions; None for the network's own choice.
        seed: of the random baseline.
        progress: called with (photos done, photos in all).

    Raises:
        DataError: for a split without captions.
        ImageError: for a photo that cannot be read.
        ConfigError: when sacrebleu is not installed.
        ModelError: for what the network cannot do, such as so many beams.
    """
    if not any(record.captions for record in split):
        raise DataError(f"{split.lines}: has no captions to measure against")
    bleu([["a"]], [[["a"]]])  # fails now, not after minutes, where sacrebleu is missing
    asked = Asked(beam=beam)
    model.check(asked)
    classes, readings = Classes.of(split), Readings(model, seed)
    own, calibration = _Own(classes), Calibration(model)
    written, done = dict[str, tuple[str, ...]](), 0
    for chunk in chunked(zip(split, split.photos(), strict=True), BATCH):
        prepared = [model.prepare(photo, asked) for _, photo in chunk]
        traces = [trace.joined() for trace in model.describe(prepared, asked)]
        for number, ((record, _), one, trace) in enumerate(zip(chunk, prepared, traces, strict=True), done):
            written[record.image] = words_of(trace.tokens, classes.known)
            own.add(record, trace, trace.frame or one.frame, number)
            readings.add(record, one)
            calibration.add(record, one)
            beam = beam or trace.settings.get("beam")
        done += len(chunk)
        if progress:
            progress(done, len(split))
    spoken = [record for record in split if record.captions]
    said, given = [written[r.image] for r in spoken], [[c.words for c in r.captions] for r in spoken]
    things = [written[r.image] for r in split], [r.objects for r in split]
    return Report(
        model=model.name,
        mode=model.mode,
        data=split.name,
        photos=len(split),
        beam=beam,
        bleu=bleu(said, given),
        localization=readings.localization(),
        objects=score(*things),
        calibration=calibration.result(),
        bias=bias(said, given),
        captions={name: " ".join(words) for name, words in written.items()},
        unread=readings.unread,
        intervals=bleu_intervals(said, given) | intervals(*things),
        measures=readings.measures(),
        phrases=readings.phrases(),
        shares=readings.shares(),
        grounded=own.result(readings.box_share(), len(split)),
        classes=len(classes.names),
    )


class _Own:
    """Where the network looks at the object words of its own captions, and the same for maps that are even."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        self._found = {who: Grounded(classes) for who in ("model", "uniform")}

    def add(self, record: Record, trace: Trace, frame: Frame, number: int) -> None:
        """Counts one photo's caption."""
        words = ["".join(words_of((token,), self._classes.known)[:1]) for token in trace.tokens]
        self._found["model"].add(record, words, trace.weights, frame, number)
        self._found["uniform"].add(record, words, np.ones_like(trace.weights), frame, number)

    def result(self, share: int | None, photos: int) -> dict[str, dict[str, Figure]]:
        """See `Report.grounded`."""
        if share is None:
            return {}
        found = {who: one.result(share, photos) for who, one in self._found.items()}
        return {who: figures for who, figures in found.items() if figures}
