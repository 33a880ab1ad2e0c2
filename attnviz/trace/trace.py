"""Traces: where the model looked at each step, as plain arrays, and their files, which numpy alone can read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from attnviz._version import __version__
from attnviz.errors import TraceError, counted
from attnviz.photo.frame import Frame
from attnviz.trace import file
from attnviz.trace.arrays import (
    SUM_TOLERANCE,
    check_distributions,
    floats,
    indices,
    over_mean,
    shares,
    texts,
    word_numbers,
)
from attnviz.trace.meta import ImageInfo, json_object, verdicts_of
from attnviz.trace.notes import notes
from attnviz.trace.of import fields_of
from attnviz.trace.regions import Region, regions_of
from attnviz.trace.step import Step, steps_of
from attnviz.trace.words import joined_means, joined_sums, joined_texts

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from attnviz.photo.sizes import Size
    from attnviz.trace.arrays import Floats, Ints
    from attnviz.trace.words import Pieces

__all__ = ["ImageInfo", "Step", "Trace"]


@dataclass(frozen=True, eq=False)
class Trace:
    """All steps of one image: its words, or a tokenizer's pieces.

    Attributes:
        weights: (T, h, w) float32, at least 0, each step's sum 1.
        tokens: T words; of pieces (where there are `words`), the text that each adds, leading space and all. The end of
            the sentence is no step.
        logprobs: (T,) float32, natural logarithms of the tokens' probabilities.
        scores: (T, h, w) float32, the scores before the softmax.
        channel_weights: (T, C) float32, each step's sum 1, of modes that attend to channels.
        frame: how photo and grid lie on each other.
        image: which photo this is.
        model: name of the network.
        mode: name of its score function.
        settings: whatever else made this trace, JSON-ready. A list of words under "unknown" is told by `summary`.
        version: the version of attnviz that made this; empty for the files of other programs.
        on_image: (T,) float32 in [0, 1], the share of each step's whole attention that lies on the picture's cells,
            before they were made to sum to 1.
        words: (T,) int32, of pieces the number of the word that each belongs to: from 0, rising by 0 or 1.
        layers: whose attention this is, of a network with several layers, such as "all", "last" or "10-20".
        heads: how its heads became one map: "mean", "max", or a head's number.
        view: of a photo that the network sees several times, which of the times: "all", "overview" or "tiles".
        prompt: the question or instruction that the network was given.
        text: the sentence as it was written; None where that is the tokens with spaces between.
        verdicts: T pairs (kind, reason), what `attnviz check` found of each step's map; None before it has run.

    Arrays may be numpy's or torch's, of any float type, requiring gradients or not.

    Raises:
        TraceError: parts that do not fit each other.
    """

    weights: Floats
    tokens: tuple[str, ...]
    logprobs: Floats | None = None
    scores: Floats | None = None
    channel_weights: Floats | None = None
    frame: Frame | None = None
    image: ImageInfo | None = None
    model: str | None = None
    mode: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__
    on_image: Floats | None = None
    words: Ints | None = None
    layers: str | None = None
    heads: str | None = None
    view: str | None = None
    prompt: str | None = None
    text: str | None = None
    verdicts: tuple[tuple[str, str], ...] | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "tokens", texts(self.tokens))
        set_field(self, "weights", floats("weights", self.weights, ("T", "h", "w")))
        steps, *grid = self.weights.shape
        if steps != len(self.tokens):
            raise TraceError(
                f"weights of {counted(steps, 'step')}, but {counted(len(self.tokens), 'token')}; give one token a step"
            )
        check_distributions("weights", self.weights)
        for name, axes in (("logprobs", ("T",)), ("scores", ("T", "h", "w")), ("channel_weights", ("T", "C"))):
            if getattr(self, name) is not None:
                set_field(self, name, floats(name, getattr(self, name), axes))
                shape = getattr(self, name).shape
                if shape[0] != steps or (name == "scores" and shape != self.weights.shape):
                    raise TraceError(f"{name} of shape {shape} do not fit weights of shape {self.weights.shape}")
        if self.logprobs is not None and not (self.logprobs <= SUM_TOLERANCE).all():
            raise TraceError("logprobs must be natural logarithms of probabilities: 0 or less")
        if self.scores is not None and np.isnan(self.scores).any():
            raise TraceError("scores must be numbers, not NaN")
        if self.channel_weights is not None:
            check_distributions("channel_weights", self.channel_weights)
        if self.on_image is not None:
            set_field(self, "on_image", shares("on_image", self.on_image, steps))
        if self.words is not None:
            set_field(self, "words", word_numbers(self.words, steps))
        if self.frame is not None and list(self.frame.grid) != grid:
            raise TraceError(f"weights on a grid of {tuple(grid)} do not fit a frame of {self.frame.grid} cells")
        if self.frame is not None and self.image is not None and self.frame.photo != self.image.size:
            raise TraceError(f"a frame of a {self.frame.photo} photo does not fit an image of {self.image.size}")
        if self.verdicts is not None:
            set_field(self, "verdicts", verdicts_of(self.verdicts, steps))
        set_field(self, "settings", json_object("settings", self.settings))

    @classmethod
    def of(
        cls,
        array: Any,
        tokens: Iterable[str] | Pieces,
        *,
        image: Any,
        grid: Size | int | None = None,
        skip: int | tuple[int, int] = 0,
        heads: str | int | Sequence[int] = "mean",
        layers: str | int | Sequence[int] = "mean",
        frame: Frame | None = None,
    ) -> Self:
        """A trace of attention as another program has it.

        Args:
            array: what each of T tokens looks at, after the softmax: (T, N) columns, (T, h, w) maps, (H, T, N) of
                heads, (L, H, T, N) of layers and heads; or what `generate(output_attentions=True)` of Hugging Face
                gives as `cross_attentions` or `attentions`: for each step a tuple with a tensor (1, H, q, K) for each
                layer, whose last row is taken. Numpy, lists, torch tensors of any float type and device. Rows are made
                to sum to 1 over the picture's cells; the share that these had is kept as `on_image`.
            tokens: the T words. Or a tokenizer's pieces, from `attnviz.trace.words.pieces_of`: they are joined where
                words are wanted.
            image: the photo, as `attnviz.photo.image.load` takes it (path, bytes, PIL image, array), or a Photo, or an
                ImageInfo; None where it is not known.
            grid: (h, w) of the picture's cells, or one number for both; by default a square.
            skip: columns before the picture's, such as 1 for a CLS token; or (before, after).
            heads: "mean", "max", a head's number, or several ("2-5", [2, 7]), of which the mean is taken.
            layers: the same, and "last".
            frame: how the model saw the photo (see Frame.crop, Frame.letterbox, Frame.measure); by default the whole
                photo, squeezed onto the grid. A cropping or padding model needs it, or the maps lie beside their place.

        Raises:
            TraceError: shapes that do not fit, negative or missing numbers, steps without attention.
            ImageError: a photo that cannot be read.
            ConfigError: a grid that is none.
        """
        return cls(**fields_of(array, tokens, image, grid, skip, heads, layers, frame))

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} steps on {self.grid[0]}x{self.grid[1]} cells: {self.caption!r}>"

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def caption(self) -> str:
        """The sentence: as it was written, where that is known; else the tokens, with spaces between."""
        if self.text is not None:
            return self.text
        return " ".join(self.tokens) if self.words is None else "".join(self.tokens).strip()

    @property
    def grid(self) -> Size:
        """(h, w) cells."""
        height, width = self.weights.shape[1:]
        return height, width

    @property
    def density(self) -> Floats:
        """(T, h, w): weights times the number of cells, so 1 means "as if looking everywhere alike"."""
        return np.multiply(self.weights, math.prod(self.grid), dtype=np.float32)

    @cached_property
    def steps(self) -> list[Step]:
        """Each step with what its weights say."""
        return steps_of(self.weights, self.tokens, self.frame, self.logprobs, self.on_image)

    def joined(self) -> Trace:
        """The trace of the words that the pieces make; the trace itself where it does not tell pieces from words.

        A word's map is the mean of its pieces' maps, and so are its channel weights and its share on the image; its
        logprob is the sum of theirs. Scores, which are before the softmax, have no mean that would fit: they are left
        out.
        """
        if self.words is None:
            return self
        words = self.words

        def mean(values: Floats | None) -> Floats | None:
            return None if values is None else joined_means(values, words)

        return replace(
            self,
            weights=joined_means(self.weights, words),
            tokens=joined_texts(self.tokens, words),
            channel_weights=mean(self.channel_weights),
            on_image=mean(self.on_image),
            logprobs=None if self.logprobs is None else joined_sums(self.logprobs, words).astype(np.float32),
            scores=None,
            words=None,
            text=self.caption,
            verdicts=None,
        )

    def relative(self) -> Trace:
        """The trace with each step divided by the mean of all steps, and made to sum to 1 again.

        What all words share goes, such as cells that get much weight whatever is said ("sinks"), and what is left is
        where a word looks more than the others do. It tells contrast, not amount: a cell that no word looks at much
        may stand out. Cells without weight at any step stay without; a trace of one step becomes even. Scores are left
        out; the settings say "relative".
        """
        weights, settings = over_mean(self.weights), {**self.settings, "relative": True}
        return replace(self, weights=weights, scores=None, settings=settings)

    def heatmap(self, step: int, size: Size | None = None, cells: bool = False) -> Floats:
        """(H, W) float32: `heatmaps` of a single step."""
        heatmap: Floats = self.heatmaps([step], size, cells)[0]
        return heatmap

    def heatmaps(self, steps: Sequence[int] | None = None, size: Size | None = None, cells: bool = False) -> Floats:
        """(S, H, W) float32: the density of several steps on the photo's pixels, NaN where the model saw nothing.

        Args:
            steps: their indices; all by default.
            size: (H, W) of a picture of the whole photo; the photo's own by default. A trace without a frame is taken
                to cover the whole picture, and needs this.
            cells: draw each cell evenly instead of interpolating between their centres.

        Raises:
            TraceError: there is neither a frame nor a size, or no such step.
        """
        chosen = None if steps is None else indices(steps, len(self))
        frame = self._frame_or(size)
        density = self.density if chosen is None else self.density[chosen]
        return frame.upsample(density, size, cells)

    def boxes(self, share: float = 0.5, size: Size | None = None) -> list[list[Region]]:
        """For each step the boxes of the connected regions that hold a share of its weight, strongest first.

        Args:
            share: of the weight that lies on the photo; above 0 and at most 1.
            size: (H, W) of the photo, for a trace without a frame, which is taken to cover it all.

        Raises:
            TraceError: there is neither a frame nor a size.
            ConfigError: a share or size that is none.
        """
        frame = self._frame_or(size)
        return [regions_of(one, frame, share) for one in self.weights]

    def _frame_or(self, size: Size | None) -> Frame:
        if self.frame is not None:
            return self.frame
        if size is None:
            raise TraceError("the trace does not say how its grid lies on the photo; give a size, (height, width)")
        return Frame.stretch(size, size, self.grid)

    def summary(self) -> dict[str, Any]:
        """What the trace says, JSON-ready: caption, provenance, each step's numbers, and notes (see notes.py)."""
        return {
            "caption": self.caption,
            "model": self.model,
            "mode": self.mode,
            "layers": self.layers,
            "heads": self.heads,
            "view": self.view,
            "prompt": self.prompt,
            "image": None if self.image is None else self.image.to_dict(),
            "frame": None if self.frame is None else {"kind": self.frame.kind, **self.frame.to_dict()},
            "grid": list(self.grid),
            "steps": [
                {**step.to_dict(), **({} if self.verdicts is None else {"verdict": self.verdicts[step.index][0]})}
                for step in self.steps
            ],
            "notes": [
                *(() if self.image is None else self.image.remarks),
                *notes(self.weights, self.tokens, self.frame, self.settings, self.on_image),
            ],
            "settings": dict(self.settings),
            "attnviz": self.version,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the trace as one `.npz`, whole or not at all; the same trace gives the same bytes.

        Raises:
            OutputError: the file cannot be written.
        """
        file.write(path, vars(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote, or what another program did: only `weights` and `tokens` are required.

        Raises:
            TraceError: a file that is missing or malformed, in whatever way.
        """
        return file.read(path, cls)
