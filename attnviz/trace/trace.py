"""Traces: where the model looked at each step, as plain arrays, and their files, which numpy alone can read."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from attnviz._version import __version__
from attnviz.errors import ConfigError, TraceError
from attnviz.files import write_atomically
from attnviz.photo.frame import Frame, Size
from attnviz.trace import npz
from attnviz.trace.meta import ImageInfo, Meta, json_object
from attnviz.trace.notes import notes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ImageInfo", "Step", "Trace"]

Floats = npt.NDArray[np.float32]

SUM_TOLERANCE = 1e-3  # how far a step's weights may sum from 1: half precision passes


@dataclass(frozen=True, eq=False)
class Step:
    """One decoding step: a token, and where the model looked for it.

    Attributes:
        index: from 0.
        token: the word or word piece, as shown.
        weights: (h, w) float32, sum 1.
        logprob: natural logarithm of the token's probability; None where it is not known.
        entropy: of the weights, in nats: 0 for a single cell, log(h * w) for all cells alike.
        effective_cells: exp(entropy), from 1 to h * w: how many cells share the attention.
        change: total variation distance to the step before, 0 (the same) to 1 (nowhere the same); None at the first.
        peak: (row, column) of the strongest cell.
        outside: the weight that lies on padding, outside the photo; 0 where the trace has no frame.
    """

    index: int
    token: str
    weights: Floats
    logprob: float | None
    entropy: float
    effective_cells: float
    change: float | None
    peak: tuple[int, int]
    outside: float


@dataclass(frozen=True, eq=False)
class Trace:
    """All steps of one image.

    Attributes:
        weights: (T, h, w) float32, at least 0, each step's sum 1.
        tokens: T words. The end of the sentence is no step.
        logprobs: (T,) float32, natural logarithms of the tokens' probabilities.
        scores: (T, h, w) float32, the scores before the softmax.
        channel_weights: (T, C) float32, each step's sum 1, of modes that attend to channels.
        frame: how photo and grid lie on each other.
        image: which photo this is.
        model: name of the network.
        mode: name of its score function.
        settings: whatever else made this trace, JSON-ready. A list of words under "unknown" is told by `summary`.
        version: the version of attnviz that made this; empty for the files of other programs.

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

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "tokens", _tokens(self.tokens))
        set_field(self, "weights", _floats("weights", self.weights, ("T", "h", "w")))
        steps, *grid = self.weights.shape
        if steps != len(self.tokens):
            raise TraceError(f"weights of {steps} steps, but {len(self.tokens)} tokens; give one token a step")
        _check_distributions("weights", self.weights)
        for name, axes in (("logprobs", ("T",)), ("scores", ("T", "h", "w")), ("channel_weights", ("T", "C"))):
            if getattr(self, name) is not None:
                set_field(self, name, _floats(name, getattr(self, name), axes))
                shape = getattr(self, name).shape
                if shape[0] != steps or (name == "scores" and shape != self.weights.shape):
                    raise TraceError(f"{name} of shape {shape} do not fit weights of shape {self.weights.shape}")
        if self.logprobs is not None and not (self.logprobs <= SUM_TOLERANCE).all():
            raise TraceError("logprobs must be natural logarithms of probabilities: 0 or less")
        if self.scores is not None and np.isnan(self.scores).any():
            raise TraceError("scores must be numbers, not NaN")
        if self.channel_weights is not None:
            _check_distributions("channel_weights", self.channel_weights)
        if self.frame is not None and list(self.frame.grid) != grid:
            raise TraceError(f"weights on a grid of {tuple(grid)} do not fit a frame of {self.frame.grid} cells")
        if self.frame is not None and self.image is not None and self.frame.photo != self.image.size:
            raise TraceError(f"a frame of a {self.frame.photo} photo does not fit an image of {self.image.size}")
        set_field(self, "settings", json_object("settings", self.settings))

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} steps on {self.grid[0]}x{self.grid[1]} cells: {self.caption!r}>"

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def caption(self) -> str:
        """The tokens, with spaces between."""
        return " ".join(self.tokens)

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
        weights = self.weights.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            entropies = -np.where(weights > 0, weights * np.log(weights), 0).sum(axis=(1, 2))
        changes = [None, *(np.abs(np.diff(weights, axis=0)).sum(axis=(1, 2)) / 2).tolist()]
        padding = 0.0 if self.frame is None else 1 - self.frame.coverage()
        outside = (weights * padding).sum(axis=(1, 2))
        logprobs = [None] * len(self) if self.logprobs is None else self.logprobs.tolist()
        return [
            Step(
                index=index,
                token=token,
                weights=self.weights[index],
                logprob=logprobs[index],
                entropy=max(float(entropies[index]), 0.0),
                effective_cells=max(math.exp(entropies[index]), 1.0),
                change=changes[index],
                peak=divmod(int(weights[index].argmax()), self.grid[1]),
                outside=float(outside[index]),
            )
            for index, token in enumerate(self.tokens)
        ]

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
        chosen = None if steps is None else _indices(steps, len(self))
        frame = self.frame
        if frame is None:
            if size is None:
                raise TraceError("the trace does not say how its grid lies on the photo; give a size, (height, width)")
            frame = Frame.stretch(size, size, self.grid)
        density = self.density if chosen is None else self.density[chosen]
        return frame.upsample(density, size, cells)

    def summary(self) -> dict[str, Any]:
        """What the trace says, JSON-ready: caption, provenance, each step's numbers, and notes (see notes.py)."""
        return {
            "caption": self.caption,
            "model": self.model,
            "mode": self.mode,
            "image": None if self.image is None else self.image.to_dict(),
            "frame": None if self.frame is None else {"kind": self.frame.kind, **self.frame.to_dict()},
            "grid": list(self.grid),
            "steps": [
                {
                    "index": step.index,
                    "token": step.token,
                    "probability": None if step.logprob is None else min(math.exp(step.logprob), 1.0),
                    "entropy": step.entropy,
                    "effective_cells": step.effective_cells,
                    "change": step.change,
                    "peak": list(step.peak),
                    "outside": step.outside,
                }
                for step in self.steps
            ],
            "notes": notes(self),
            "settings": dict(self.settings),
            "attnviz": self.version,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the trace as one `.npz`, whole or not at all; the same trace gives the same bytes.

        Raises:
            OutputError: the file cannot be written.
        """
        meta = Meta(self.frame, self.image, self.model, self.mode, self.settings, self.version)
        arrays: dict[str, npt.NDArray[Any] | None] = {
            "weights": self.weights,
            "tokens": np.array(self.tokens, dtype=np.str_),
            "logprobs": self.logprobs,
            "scores": self.scores,
            "channel_weights": self.channel_weights,
            "meta": np.array(meta.dumps()),
        }
        write_atomically(
            os.fspath(path), npz.dumps({name: array for name, array in arrays.items() if array is not None})
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote, or what another program did: only `weights` and `tokens` are required.

        Raises:
            TraceError: a file that is missing or malformed, in whatever way.
        """
        names = ("weights", "tokens", "logprobs", "scores", "channel_weights")
        try:
            arrays = npz.load(path, (*names, "meta"))
            for name in ("weights", "tokens"):
                if name not in arrays:
                    raise TraceError(f"has no {name!r}; a trace has 'weights' (T, h, w) and 'tokens' (T,)")
            tokens, meta = arrays["tokens"], arrays.get("meta", np.array("{}"))
            if tokens.dtype.kind != "U" or tokens.ndim != 1:
                raise TraceError(f"tokens must be unicode text (T,), not {tokens.dtype} of {tokens.shape}")
            if meta.dtype.kind != "U" or meta.size != 1:
                raise TraceError(f"meta must be one JSON string, not {meta.dtype} of {meta.shape}")
            return cls(
                tokens=tuple(tokens.tolist()),
                weights=arrays["weights"],
                logprobs=arrays.get("logprobs"),
                scores=arrays.get("scores"),
                channel_weights=arrays.get("channel_weights"),
                **Meta.loads(meta.item())._asdict(),
            )
        except (TraceError, ConfigError) as error:
            raise TraceError(f"{os.fspath(path)}: {error}") from error


def _floats(name: str, value: Any, axes: tuple[str, ...]) -> Floats:
    """`value` as a float32 array of its own that nobody can write to."""
    array = np.asarray(value)
    if array.dtype.kind != "f":
        raise TraceError(f"{name} must be floating-point numbers ({', '.join(axes)}), not {array.dtype}")
    if array.ndim != len(axes) or 0 in array.shape[1:]:
        raise TraceError(f"{name} must have the shape ({', '.join(axes)}), not {array.shape}")
    with np.errstate(over="ignore"):
        array = np.array(array, np.float32, order="C")
    array.setflags(write=False)
    return array


def _indices(steps: Any, count: int) -> list[int]:
    """Steps of a trace that has `count`, as Python's indices; those below 0 count from the end."""
    if isinstance(steps, str) or not hasattr(steps, "__iter__"):
        raise TraceError(f"steps must be a sequence of whole numbers, not {steps!r}")
    for step in (chosen := list(steps)):
        if not isinstance(step, int | np.integer) or isinstance(step, bool) or not -count <= step < count:
            raise TraceError(f"there is no step {step!r}; the trace has {count}, counted from 0")
    return [int(step) for step in chosen]


def _tokens(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(token, str) for token in value):
        raise TraceError("tokens must be a tuple of strings, one a step")
    if any("\0" in token for token in value):
        raise TraceError("a token holds the character NUL, which no trace file can keep; leave it out")
    return tuple(value)


def _check_distributions(name: str, weights: Floats) -> None:
    """Each step's weights are at least 0 and sum to 1."""
    cells = tuple(range(1, weights.ndim))
    sound = (np.isfinite(weights) & (weights >= 0)).all(axis=cells)
    if not sound.all():
        step = int(sound.argmin())
        raise TraceError(f"{name} of step {step} are negative or no numbers; give them after the softmax")
    sums = weights.sum(axis=cells, dtype=np.float64)
    wrong = np.abs(sums - 1) > SUM_TOLERANCE
    if wrong.any():
        step = int(wrong.argmax())
        raise TraceError(f"{name} of step {step} sum to {sums[step]:.6g}, not 1; divide each step by its sum")
