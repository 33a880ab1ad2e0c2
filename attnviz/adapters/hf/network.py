"""A model of transformers as a `Network`: photos in, traces out, one photo at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from attnviz.adapters.hf.frames import Places
from attnviz.adapters.hf.inputs import Processor, first_line
from attnviz.adapters.hf.layouts import Seen, layout_of
from attnviz.adapters.hf.quiet import quiet
from attnviz.adapters.hf.recorder import attention_modules, kernel_of
from attnviz.adapters.hf.replay import at_rest
from attnviz.adapters.hf.running import Parts, Run, run
from attnviz.errors import AttnvizError, GradientError, ModelError
from attnviz.network import NOTHING_ASKED, Asked, Prepared, parse_layers
from attnviz.trace import ImageInfo, Trace
from attnviz.trace.words import pieces_of

if TYPE_CHECKING:
    from attnviz.adapters.hf.families import Family
    from attnviz.adapters.hf.grids import Layout
    from attnviz.adapters.hf.running import Reading
    from attnviz.photo.image import Photo

SAMPLE = 1024
"""Weights of a tensor that go into the fingerprint one by one, beside the sum of all."""


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
        self._parts = parts = _parts(family, model, self.processor)
        if not parts.modules:
            raise ModelError(f"{name}: no attention to the photo is found in it; it is not built as others of its kind")
        if (kernel := kernel_of([*parts.modules, *parts.latent])) is not None:
            raise ModelError(
                f"{name}: attention cannot be read beside the kernel {kernel}; load the model with "
                "attn_implementation='sdpa'"
            )
        # Where the photo lies does not depend on the words, so any prompt will do.
        merge = getattr(getattr(model.config, "vision_config", None), "spatial_merge_size", 1)
        self._places = Places(lambda picture: self.processor(picture, family.prompt), merge)

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
        """One text is recorded at a time."""
        return False

    @property
    def prompt(self) -> str:
        """What it is asked where no prompt is given."""
        return self.family.prompt or ""

    @property
    def depth(self) -> int:
        """How many layers look at the photo."""
        return len(self._parts.modules)

    def fingerprint(self) -> str:
        """SHA-256 over configurations, words, and of each weight its sum and a sample."""
        found = hashlib.sha256()
        for config in (self.model.config, self.model.generation_config, self.processor.images):
            found.update(config.to_json_string().encode())
        found.update(repr(sorted(self.processor.tokenizer.get_vocab().items())).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            flat = tensor.detach().flatten()
            sample = flat[:: max(1, len(flat) // SAMPLE)].double().cpu().numpy()
            found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} {float(flat.double().sum())!r}".encode())
            found.update(sample.tobytes())
        return found.hexdigest()

    def check(self, asked: Asked) -> None:
        """Raises ModelError for what is not there to choose, and for given words without a piece."""
        for name in sorted(asked.changed().keys() & {"hard", "seed"}):
            raise ModelError(f"{self.name}: there is no {name} to choose in this model; leave it out")
        quantizer = getattr(self.model, "hf_quantizer", None)
        if asked.map != "attention" and not getattr(quantizer, "is_trainable", True):
            raise GradientError(
                f"{self.name}: no gradient flows back through weights quantised as these, and the map by gradient "
                "needs it; leave out --map, or load the model unquantised"
            )
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
        places = [] if self.family.layout == "listed" else self._places.of(photo.size)
        layout = layout_of(Seen(self.family, self.model.config, photo.size, inputs, places))
        size = sum(value.nbytes for value in inputs.values())
        frame = layout.chosen(asked.view).frame
        return Prepared(Told(inputs, layout, prompt), frame, ImageInfo(photo.name, photo.size, photo.sha256), size)

    def describe(self, prepared: Sequence[Prepared], asked: Asked) -> list[Trace]:
        """Describes photos, or reads given words over them; see `Network.describe`."""
        return [rows[0] for rows in self.describe_layers(prepared, asked, (asked.layers,))]

    def describe_layers(self, prepared: Sequence[Prepared], asked: Asked, layers: Sequence[str]) -> list[list[Trace]]:
        """As `describe`, with a trace for each choice of layers, recorded in one run; see `network.Layered`."""
        self.check(asked)
        chosen = [self._layers(text) for text in layers]
        found = []
        for number, one in enumerate(prepared):
            text = asked.text_of(number)
            told: Told = one.inputs
            given = None if text is None else self._given(text)
            what = Run(told.inputs, told.layout, given, self._beams(asked), asked.heads, chosen, asked.view, asked.map)
            try:
                with quiet(), at_rest(self.model):
                    reading = run(self._parts, what)
            except (AttnvizError, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:
                raise ModelError(f"{self.name}: the model fails: {first_line(error)}") from error
            found.append(self._traces(one, asked, what, reading, layers))
        return found

    def _traces(self, one: Prepared, asked: Asked, what: Run, reading: Reading, layers: Sequence[str]) -> list[Trace]:
        pieces = pieces_of(reading.tokens, self.processor.decode)
        settings: dict[str, Any] = {"given": what.given is not None}
        if what.given is None:
            settings["beam"] = what.beams
        if what.map != "attention":
            settings["map"] = what.map
        if reading.cut:
            settings["cut"] = True
        return [
            Trace(
                weights=weights,
                tokens=pieces.texts,
                words=pieces.words,
                logprobs=reading.logprobs,
                on_image=on_image,
                frame=reading.frame,
                image=one.image,
                model=self.name,
                settings=settings,
                layers=name,
                heads=asked.heads,
                view=None if len(what.layout.views) == 1 else asked.view,
                prompt=one.inputs.prompt,
            )
            for name, (weights, on_image) in zip(layers, reading.maps, strict=True)
        ]

    def _layers(self, text: str) -> list[int]:
        """The numbers of the layers that are meant. Raises ModelError."""
        span = parse_layers(text)
        if span is None:
            return list(range(self.depth))
        first, last = (number % self.depth if number < 0 else number for number in span)
        if last >= self.depth:
            raise ModelError(
                f"{self.name}: there is no layer {last}; {self.depth} look at the photo, counted from 0 to "
                f"{self.depth - 1}"
            )
        return list(range(first, last + 1))

    def _beams(self, asked: Asked) -> int:
        own = getattr(self._parts.writer.generation_config, "num_beams", None) or 1
        return int(own if asked.beam is None else asked.beam)

    def _given(self, text: str) -> list[int]:
        """The pieces of given words. Raises ModelError where there is none."""
        ids = [number for number in self.processor.ids(text) if number not in self._parts.silent]
        if not ids:
            raise ModelError("the given text has no word to look for; give at least one, such as --text 'a dog'")
        return ids


def _parts(family: Family, model: Any, processor: Processor) -> Parts:
    writer = model.get_submodule(family.writer)
    decoder = writer if family.writer else model.get_decoder()
    configs = [model.generation_config, writer.generation_config, getattr(model.config, "text_config", model.config)]
    ends = _ids(configs, "eos_token_id", "sep_token_id")
    silent = ends | processor.silent() | _ids(configs, "bos_token_id", "pad_token_id", "decoder_start_token_id")
    latent = attention_modules(model.get_submodule(family.latent), True) if family.latent else []
    modules = attention_modules(decoder, family.crossed)
    return Parts(family, model, writer, modules, latent, frozenset(ends), frozenset(silent))


def _ids(configs: Sequence[Any], *names: str) -> set[int]:
    found: set[int] = set()
    for config in configs:
        for name in names:
            value = getattr(config, name, None)
            found.update([] if value is None else [value] if isinstance(value, int) else value)
    return found
