"""A model of transformers as a `Network`: photos in, traces out, one photo at a time."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from attnviz.adapters.hf.frames import places_of
from attnviz.adapters.hf.inputs import Processor, first_line
from attnviz.adapters.hf.layouts import Seen, layout_of
from attnviz.adapters.hf.quiet import quiet
from attnviz.adapters.hf.recorder import Recorder, attention_modules, kernel_of
from attnviz.adapters.hf.replay import Written, at_rest, search, write
from attnviz.errors import AttnvizError, ModelError
from attnviz.network import NOTHING_ASKED, Asked, Prepared, parse_layers
from attnviz.trace import ImageInfo, Trace
from attnviz.trace.words import pieces_of

if TYPE_CHECKING:
    from attnviz.adapters.hf.families import Family
    from attnviz.adapters.hf.grids import Layout
    from attnviz.photo.frame import Size
    from attnviz.photo.image import Photo
    from attnviz.photo.measure import Placement

SIZES = 256
"""Sizes of photos whose places are remembered: they take seven runs of the processor to find out."""

OFF = {torch.float32: 1e-3, torch.float64: 1e-3}
OFF_HALF = 0.02
"""How far a row of attention may sum from 1: in half precision each of its weights is rounded by itself."""


@dataclass(frozen=True, eq=False)
class Told:
    """What is kept of a photo: the inputs of `generate`, where their image tokens lie, and the prompt that was used."""

    inputs: dict[str, Any]
    layout: Layout
    prompt: str | None


class HuggingFace:
    """A model of transformers.

    Args:
        model: an image-to-text model of a known family, on its device, in its precision.
        processor: the model's processor, or (image processor, tokenizer).
        family: its row.
        name: what it is called in traces.

    Raises:
        ModelError: a kernel that cannot be recorded beside, or a model whose attention is not found.
    """

    def __init__(self, model: Any, processor: Any, family: Family, name: str) -> None:
        self.name, self.family, self.model = name, family, model
        self.processor = Processor(family, model, processor)
        self._writer = model.get_submodule(family.writer)
        decoder = self._writer if family.writer else model.get_decoder()
        self._modules = attention_modules(decoder, family.crossed)
        self._latent = attention_modules(model.get_submodule(family.latent), True) if family.latent else []
        if not self._modules:
            raise ModelError(f"{name}: no attention to the photo is found in {type(decoder).__name__}")
        if (kernel := kernel_of([*self._modules, *self._latent])) is not None:
            raise ModelError(
                f"{name}: attention cannot be read beside the kernel {kernel}; load the model with "
                "attn_implementation='sdpa'"
            )
        self._places: OrderedDict[Size, list[Placement | None]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def mode(self) -> None:
        """There is nothing to choose."""
        return

    @property
    def device(self) -> torch.device:
        """Where the model's first weights are."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def concurrent(self) -> bool:
        """Recording is for one text at a time."""
        return False

    @property
    def depth(self) -> int:
        """How many layers look at the photo."""
        return len(self._modules)

    def fingerprint(self) -> str:
        """SHA-256 over configurations, words, and of each weight its sum and a sample: it need not be read twice."""
        found = hashlib.sha256()
        for config in (self.model.config, self.model.generation_config, self.processor.images):
            found.update(config.to_json_string().encode())
        found.update(repr(sorted(self.processor.tokenizer.get_vocab().items())).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            flat = tensor.detach().flatten()
            sample = flat[:: max(1, len(flat) // 1024)].double().cpu().numpy()
            found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} {float(flat.double().sum())!r}".encode())
            found.update(sample.tobytes())
        return found.hexdigest()

    def check(self, asked: Asked) -> None:
        """Raises ModelError for layers that are not there, for given words of no piece, and for hard attention."""
        for name in asked.changed().keys() & {"hard", "seed"}:
            raise ModelError(f"{self.name}: there is no {name} to choose in this model; leave it out")
        self._layers(asked.layers)
        if asked.view != "all" and self.family.layout not in ("tiles", "packed"):
            raise ModelError(f"{self.name}: sees a photo but once, so there is no view to choose; leave it out")
        for text in (asked.text,) if isinstance(asked.text, str) else asked.text or ():
            self._given(text)

    def prepare(self, photo: Photo, asked: Asked = NOTHING_ASKED) -> Prepared:
        """The processor's output for the photo, and where its image tokens lie; see `Network.prepare`."""
        from PIL import Image

        prompt = self.family.prompt if asked.prompt is None else asked.prompt
        inputs = self.processor(Image.fromarray(photo.pixels), prompt)
        seen = Seen(self.family, self.model.config, photo.size, inputs, self._measured(photo.size, prompt))
        layout = layout_of(seen)
        size = sum(value.nbytes for value in inputs.values())
        frame = layout.chosen(asked.view).frame
        return Prepared(Told(inputs, layout, prompt), frame, ImageInfo(photo.name, photo.size, photo.sha256), size)

    def describe(self, prepared: Sequence[Prepared], asked: Asked, fill: int = 0) -> list[Trace]:
        """Describes photos, or reads given words over them; see `Network.describe`."""
        return [rows[0] for rows in self.describe_layers(prepared, asked, (asked.layers,))]

    def describe_layers(self, prepared: Sequence[Prepared], asked: Asked, layers: Sequence[str]) -> list[list[Trace]]:
        """As `describe`, with a trace for each choice of layers, recorded in one run; see `network.Layered`."""
        self.check(asked)
        chosen = [self._layers(text) for text in layers]
        found = []
        for number, one in enumerate(prepared):
            try:
                with quiet(), at_rest(self.model):
                    found.append(self._describe(one, asked, asked.text_of(number), layers, chosen))
            except (AttnvizError, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:
                raise ModelError(f"{self.name}: the model fails: {first_line(error)}") from error
        return found

    def _describe(
        self, one: Prepared, asked: Asked, text: str | None, layers: Sequence[str], chosen: Sequence[Sequence[int]]
    ) -> list[Trace]:
        told: Told = one.inputs
        inputs = self._on_device(told.inputs)
        positions = self._positions(inputs, told.layout)
        given = None if text is None else self._given(text)
        beams = self._beams(asked)
        if given is None and beams > 1:
            given = search(self.model, self._writer, inputs, beams, self._ends())
        every = sorted({layer for some in chosen for layer in some})
        recorder = Recorder(self._modules, every, asked.heads, positions, crossed=self.family.crossed)
        latent = Recorder(self._latent, range(len(self._latent)), crossed=True, all_rows=True)
        with ExitStack() as stack:
            stack.enter_context(recorder.on())
            if self._latent:
                stack.enter_context(latent.on())
            written = Written() if given == [] else write(self.model, self._writer, inputs, given)
        self._check_recorded(recorder, len(written.tokens))
        silent = self.processor.silent() | self._ends()
        kept = [step for step, token in enumerate(written.tokens) if token not in silent]
        spread = told.layout.chosen(asked.view)
        traces = []
        for name, some in zip(layers, chosen, strict=True):
            weights, on_image = self._on_grid(recorder, latent, some, kept, told.layout, spread)
            traces.append(self._trace(one, told, asked, written, kept, weights, on_image, name, spread.frame, beams))
        return traces
