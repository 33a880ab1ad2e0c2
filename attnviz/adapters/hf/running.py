"""One photo's run: the model writes or reads, its attention is recorded and laid out on the photo."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from attnviz.adapters.hf.recorder import Recorder
from attnviz.adapters.hf.replay import Written, positions_left, search, write
from attnviz.adapters.hf.slopes import SlopeRecorder, flowing
from attnviz.errors import GradientError, ModelError, counted

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attnviz.adapters.hf.families import Family
    from attnviz.adapters.hf.grids import Layout
    from attnviz.network import Map, View
    from attnviz.photo.frame import Frame
    from attnviz.trace.arrays import Floats

TOLERANCE = {torch.float16: 0.01, torch.bfloat16: 0.01}
STRAY = {torch.float16: 0.02, torch.bfloat16: 0.1}
FINE = 1e-3
"""How far a row of attention may sum from 1: in half precision each of its weights is rounded by itself."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A model taken apart.

    Attributes:
        family: its row.
        model: the whole.
        writer: the module that gives the logits.
        modules: the attention of the layers that look at the photo.
        latent: the attention that leads from latent tokens to the photo's cells; empty where there are none.
        ends: ids that end a sentence.
        silent: ids that are no words: these, and such as begin and fill one.
    """

    family: Family
    model: Any
    writer: Any
    modules: Sequence[nn.Module]
    latent: Sequence[nn.Module]
    ends: frozenset[int]
    silent: frozenset[int]


@dataclass(frozen=True, eq=False)
class Run:
    """What is asked of one photo.

    Attributes:
        inputs: of `generate`, a batch of one.
        layout: where the image tokens lie.
        given: pieces to read; None lets the model write.
        beams: sentences searched side by side.
        heads: "mean", "max", or a head's number.
        layers: groups of layers, each to become one map.
        view: which of the pictures of the photo.
        map: of what: the attention, or the attention times what each token's probability owes to it.
    """

    inputs: dict[str, Any]
    layout: Layout
    given: Sequence[int] | None
    beams: int
    heads: str
    layers: Sequence[Sequence[int]]
    view: View
    map: Map = "attention"


@dataclass(frozen=True, eq=False)
class Reading:
    """What came of it.

    Attributes:
        tokens: ids of the pieces, those that are no words left out.
        logprobs: (T,) float32.
        maps: for each group of layers, weights (T, h, w) float32, each step's sum 1, and on_image (T,) float32.
        frame: how they lie on the photo.
        cut: whether the model was stopped by its limit before it came to an end.
    """

    tokens: list[int]
    logprobs: Floats
    maps: list[tuple[Floats, Floats]]
    frame: Frame
    cut: bool


def run(parts: Parts, asked: Run) -> Reading:
    """Has the model write, or read what is given, with its attention recorded. The model must be at rest.

    Raises:
        ModelError: a head that is not there, or attention that is not what it should be.
    """
    given, inputs = asked.given, _on_device(asked.inputs, parts.model)
    room = positions_left(parts.writer, inputs)
    if given is not None and room is not None and len(given) > room:
        raise ModelError(f"the given text has {len(given)} pieces, and this model takes {max(room, 0)}; give less")
    if given is None and asked.beams > 1:
        given = search(parts.model, parts.writer, inputs, asked.beams, parts.ends)
    every = sorted({layer for group in asked.layers for layer in group})
    crossed = parts.family.crossed
    kind = Recorder if asked.map == "attention" else SlopeRecorder
    recorder = kind(parts.modules, every, asked.heads, _positions(parts, asked, inputs), crossed=crossed)
    latent = Recorder(parts.latent, range(len(parts.latent)), crossed=True, all_rows=True)
    settle = None
    with ExitStack() as recording:
        for one in (recorder, latent):
            recording.enter_context(one.on())
        if isinstance(recorder, SlopeRecorder):
            recording.enter_context(flowing(parts.model, parts.writer))
            inputs = {name: value.clone() for name, value in inputs.items()}  # of inference mode, they have no graphs
            settle = recorder.settle
        nothing = given is not None and not given
        written = Written() if nothing else write(parts.model, parts.writer, inputs, given, settle)
    _check(parts, recorder, latent, len(written.tokens))
    kept = [step for step, token in enumerate(written.tokens) if token not in parts.silent]
    through = None
    if parts.latent and written.tokens:
        through = latent.stacked(range(len(parts.latent)))[0].mean(dim=0).numpy()
    spread = asked.layout.chosen(asked.view)
    maps = []
    for group in asked.layers:
        if not kept:
            empty = np.zeros((0, *spread.frame.grid), np.float32)
            maps.append((empty, np.zeros(0, np.float32)))
            continue
        image, total = (part.mean(dim=0).numpy()[kept] for part in recorder.stacked(group))
        image = image if through is None else image @ through
        cells = spread(image[:, asked.layout.lead(image.shape[1]) :])
        maps.append(_normal(cells, total))
    stopped = asked.given is None and asked.beams == 1 and bool(written.tokens) and written.tokens[-1] not in parts.ends
    return Reading(
        [written.tokens[step] for step in kept],
        np.array([written.logprobs[step] for step in kept], np.float32),
        maps,
        spread.frame,
        stopped,
    )


def _normal(cells: np.ndarray, total: np.ndarray) -> tuple[Floats, Floats]:
    """Maps that sum to 1, and the share of the attention that they were: (T, h, w) and (T,), float32.

    Where nothing lies on the picture the map is even, and its share of 0 says so.
    """
    sums = cells.sum(axis=(1, 2), keepdims=True)
    even = np.full_like(cells, 1 / cells[0].size)
    weights = np.divide(cells, sums, out=even, where=sums > 0)
    share = np.clip(sums[:, 0, 0] / np.maximum(total, np.finfo(np.float64).tiny), 0, 1)
    return weights.astype(np.float32), share.astype(np.float32)


def _positions(parts: Parts, asked: Run, inputs: dict[str, Any]) -> Tensor | None:
    """(N,) where the image tokens stand among the keys; None for all keys."""
    source, config = parts.family.source, parts.model.config
    if source == "keys":
        return None
    count = asked.layout.count + max(asked.layout.leads)
    if parts.latent:
        count = int(config.num_query_tokens)
    if source == "front" or "input_ids" not in inputs:
        return torch.arange(count)
    name = "image_token_id" if getattr(config, "image_token_id", None) is not None else "image_token_index"
    found: Tensor = (inputs["input_ids"][0] == getattr(config, name)).nonzero()[:, 0]
    return found


def _on_device(inputs: dict[str, Any], model: Any) -> dict[str, Any]:
    device = next(model.parameters()).device
    return {
        name: value.to(device, model.dtype if value.is_floating_point() else value.dtype)
        for name, value in inputs.items()
    }


def _check(parts: Parts, recorder: Recorder, latent: Recorder, steps: int) -> None:
    """Raises ModelError where what was recorded is not one row a layer and token, each summing to 1."""
    if not steps:
        return
    for layer, rows in recorder.rows.items():
        if len(rows) != steps:
            raise ModelError(
                f"layer {layer} looked {len(rows)} times while {counted(steps, 'token')} came, so which look "
                "belongs to which is not known; leave out what drafts or guides the text (in the model's "
                "generation_config)"
            )
    worst, name = max(recorder.worst, latent.worst), type(parts.modules[0]).__name__
    if not worst <= TOLERANCE.get(parts.model.dtype, FINE):
        raise ModelError(
            f"the attention of {name} sums to 1 but for {worst:.2g}, so it is not what attnviz takes it for; please "
            "report the model"
        )
    if isinstance(recorder, SlopeRecorder) and not recorder.stray <= STRAY.get(parts.model.dtype, FINE):
        raise GradientError(
            f"what {name} gives is not its weights times its values (by {recorder.stray:.2g} of it), so the weights "
            "have no gradient; leave out --map, and please report the model"
        )
