"""The whole network: backbone, fuse, decoder and vocabulary, with the configuration that rebuilds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from attnviz.captioner.attention import Chooser, Hard, hard_choice
from attnviz.captioner.decoder import Decoder
from attnviz.captioner.encoder import Fuse, build_backbone
from attnviz.captioner.search import Links, beam_search
from attnviz.captioner.vocabulary import SPECIAL, START, UNKNOWN, Vocabulary
from attnviz.errors import ModelError
from attnviz.limits import BEAM

FrameKind = Literal["stretch", "letterbox", "crop"]

Words = list[tuple[str, str]]
"""A sentence as pairs: the word as shown, and the form it is looked up in."""

LONGEST = 30
"""The most words that the network writes; captions of Flickr8k have twelve on average."""

GIVEN_LIMIT = 200
"""The most words that a given text may hold: more than any caption, few enough for one batch."""

INPUT_LIMIT = 2048
"""Pixels: no backbone was trained on more, and its memory grows with the square."""

BEAM_LIMIT = 100
"""The most beams: the quality of captions falls from about ten on, and memory grows with each."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and names that a network is built from; stored in its checkpoint.

    Attributes:
        mode: score function.
        backbone: a name that `encoder.build_backbone` knows.
        layer: the layer that a torchvision backbone is cut at; None takes its last grid.
        input: (H, W) of the network's input, in pixels.
        frame: how a photo becomes that input.
        channels: C of E, after the fuse.
        embedding, state, language, attention, reduced: sizes of the decoder, see `Decoder`.
    """

    mode: str = "concat"
    backbone: str = "efficientnet-lite0"
    layer: str | None = None
    input: tuple[int, int] = (224, 224)
    frame: FrameKind = "stretch"
    channels: int = 384
    embedding: int = 256
    state: int = 384
    language: int = 384
    attention: int = 256
    reduced: int = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Reads what `dataclasses.asdict` or a TOML table holds.

        Raises:
            ModelError: for an unknown key or a value of the wrong type.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ModelError(f"unknown model setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
        config = cls(**{**values, "input": tuple(values.get("input", cls.input))})
        sizes = (*config.input, config.channels, config.embedding, config.state, config.language, config.attention)
        names = (config.mode, config.backbone, config.layer or "")
        if not all(isinstance(name, str) for name in names):  # a file may hold anything
            raise ModelError("mode, backbone and layer must be names")
        whole = all(type(n) is int and 0 < n <= 16384 for n in sizes)
        whole = whole and type(config.reduced) is int and 0 <= config.reduced <= 16384
        if len(tuple(config.input)) != 2 or not whole:
            raise ModelError(
                "model sizes must be whole numbers from 1 to 16384, and input two of them: [height, width]"
            )
        if max(config.input) > INPUT_LIMIT:
            raise ModelError(f"input must be at most {INPUT_LIMIT} pixels high and wide, not {list(config.input)}")
        if config.frame not in ("stretch", "letterbox", "crop"):
            raise ModelError(f"frame must be stretch, letterbox or crop, not {config.frame!r}")
        return config


@dataclass(frozen=True)
class Description:
    """What the network says of one image, and where it looked; T words, all arrays float32.

    Attributes:
        tokens: the words, as generated or as typed.
        unknown: which of the given words the network saw as unknown.
        logprobs: (T,), natural logarithm of each word's probability.
        weights: (T, h, w), each step summing to 1.
        scores: (T, h, w), before softmax; None for the channel modes.
        channel_weights: (T, C) of the channel modes, else None.
    """

    tokens: tuple[str, ...]
    unknown: tuple[str, ...]
    logprobs: np.ndarray
    weights: np.ndarray
    scores: np.ndarray | None
    channel_weights: np.ndarray | None


class Captioner(nn.Module):
    """Image in, words and attention out.

    Args:
        config: see `ModelConfig`.
        vocabulary: the words it knows.
        name: what the model is called in traces.
        dropout: for training; a loaded checkpoint has none.

    Raises:
        ModelError: for names or sizes that do not fit.
    """

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary, name: str = "model", dropout: float = 0.0) -> None:
        super().__init__()
        self.config, self.vocabulary, self.name = config, vocabulary, name
        self.backbone = build_backbone(config.backbone, config.layer)
        self.grid = self.backbone.grid(config.input)
        self.fuse = Fuse(self.backbone.channels, config.channels)
        self.decoder = Decoder(
            config.mode,
            words=len(vocabulary),
            channels=config.channels,
            cells=self.grid[0] * self.grid[1],
            embedding=config.embedding,
            state=config.state,
            language=config.language,
            attention=config.attention,
            reduced=config.reduced,
            dropout=dropout,
        )

    @classmethod
    def tiny(
        cls, mode: str = "concat", seed: int = 0, words: Sequence[str] = ("a", "dog", "runs", "cat", "on", "grass")
    ) -> Captioner:
        """A small untrained network with random weights, for tests and first tries: 2x2 cells, six words."""
        size = 4 if mode in ("dot", "channel-dot") else 6
        state = torch.get_rng_state()
        torch.manual_seed(seed)
        config = ModelConfig(mode, input=(32, 32), channels=size, embedding=8, state=size, language=8, attention=5)
        model = cls(config, Vocabulary((*SPECIAL, *words)), name="tiny").eval()
        torch.set_rng_state(state)
        return model

    @property
    def mode(self) -> str:
        return self.config.mode

    @property
    def input(self) -> tuple[int, int]:
        return self.config.input

    @property
    def frame_kind(self) -> FrameKind:
        return self.config.frame

    @property
    def longest(self) -> int:
        """The most words that the network writes."""
        return LONGEST

    @property
    def device(self) -> torch.device:
        return self.decoder.bias.device

    def encode(self, pixels: np.ndarray | Tensor) -> Tensor:
        """(B, H, W, 3) uint8, the size of `input` -> E (B, N, C)."""
        batch = torch.as_tensor(pixels).to(self.device)
        # A permuted view of (B, H, W, 3) is already channels-last, the fast layout for these convolutions.
        return self.fuse(self.backbone(batch.permute(0, 3, 1, 2).float() / 255))  # type: ignore[no-any-return]

    @torch.inference_mode()
    def describe(
        self,
        pixels: np.ndarray | Tensor,
        texts: Sequence[str] | None = None,
        *,
        beam: int = BEAM,
        hard: Hard | None = None,
        seed: int = 0,
        steps: int = 0,
    ) -> list[Description]:
        """Captions a batch, or reads given words over it.

        Args:
            pixels: (B, H, W, 3) uint8, the size of `input`.
            texts: the words to read, one string per image; None lets the network write.
            beam: sentences kept side by side in the search; 1 is greedy.
            hard: one cell (for channel modes one channel) gives the context: `argmax`, or `sample` with `seed`.
            steps: words that every sentence is padded to, beyond the longest. In batches of one size, `LONGEST` steps
                fix all shapes, and with them the last bits of what an image gets, whatever stands beside it.

        Raises:
            ModelError: for a given text without a word, or with more than `GIVEN_LIMIT` words.
        """
        if texts is not None:
            given = [self.split(text) for text in texts]
            return self.follow(self.encode(pixels), given, hard, seed, steps)
        values = self.encode(pixels)
        return self.follow(values, self.write(values, beam, hard, seed), hard, seed, steps)

    @torch.inference_mode()
    def write(self, values: Tensor, beam: int = BEAM, hard: Hard | None = None, seed: int = 0) -> list[Words]:
        """The network's own sentences over E (B, N, C)."""
        if type(beam) is not int or not 1 <= beam <= BEAM_LIMIT:
            raise ModelError(f"the number of beams must be a whole number from 1 to {BEAM_LIMIT}, not {beam!r}")
        links = Links.of(self.vocabulary)
        found = beam_search(
            self.decoder, values, beam, LONGEST, lambda step: self._chooser(hard, seed, step, step + 1), links=links
        )
        return [[(word, word) for word in self.vocabulary.decode(ids)] for ids in found]

    def split(self, text: str) -> Words:
        """Given words as (typed, looked up) pairs. Raises ModelError for none, or more than `GIVEN_LIMIT`."""
        words = self.vocabulary.split(text)
        if not words:
            raise ModelError("the given text has no word to look for; give at least one, such as --text 'a dog'")
        if len(words) > GIVEN_LIMIT:
            raise ModelError(f"the given text has {len(words)} words; give at most {GIVEN_LIMIT}")
        return words

    def _chooser(self, hard: Hard | None, seed: int, first: int, stop: int) -> Chooser | None:
        """Hard attention for steps `first` to `stop`: the noise depends on seed and step alone, so that the search and
        the reading of its result draw the same cells, whatever stands beside an image in its batch."""
        if hard is None:
            return None
        if hard not in ("sample", "argmax"):
            raise ModelError(f"hard attention is sample or argmax, not {hard!r}")
        sizes = max(self.grid[0] * self.grid[1], self.config.channels)
        uniform = [np.random.default_rng([abs(seed), step]).random(sizes) for step in range(first, stop)]
        gumbel = -np.log(-np.log(np.clip(uniform, 1e-12, 1 - 1e-12)))
        return hard_choice(hard, torch.as_tensor(gumbel, dtype=torch.float32, device=self.device))

    @torch.inference_mode()
    def follow(
        self, values: Tensor, given: Sequence[Words], hard: Hard | None = None, seed: int = 0, steps: int = 0
    ) -> list[Description]:
        """Reads words over E (B, N, C), all steps at once, and takes down where the network looked.

        Every sentence is padded to the longest one, and to at least `steps` words.
        """
        ids = [self.vocabulary.encode([word for _, word in words]) for words in given]
        steps = max(steps, *map(len, ids))
        choose = self._chooser(hard, seed, 0, steps)
        if steps == 0:
            raise ModelError("the network wrote no word; it is not trained, or its checkpoint is damaged")
        read = torch.tensor([[START, *row, *[UNKNOWN] * (steps - len(row))][:steps] for row in ids], device=self.device)
        output, _ = self.decoder(self.decoder.prepare(values), self.decoder.start(values), read.unsqueeze(1), choose)
        target = torch.tensor([[*row, *[UNKNOWN] * (steps - len(row))] for row in ids], device=self.device)
        logprobs = output.logits.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)

        def of(tensor: Tensor | None, image: int, *shape: int) -> np.ndarray | None:
            return (
                None if tensor is None else tensor[image, : len(ids[image])].reshape(-1, *shape).float().cpu().numpy()
            )

        attended = output.attended
        return [
            Description(
                tokens=tuple(typed for typed, _ in words),
                unknown=tuple(typed for (typed, _), number in zip(words, ids[i], strict=True) if number == UNKNOWN),
                logprobs=of(logprobs, i),  # type: ignore[arg-type]
                weights=of(attended.weights, i, *self.grid),  # type: ignore[arg-type]
                scores=of(attended.scores, i, *self.grid),
                channel_weights=of(attended.channel_weights, i, self.config.channels),
            )
            for i, words in enumerate(given)
        ]

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of all that decides what the network says: configuration, words and weights."""
        found = hashlib.sha256(json.dumps([self.describe_config(), *self.vocabulary.words]).encode())
        for name, tensor in sorted(self.state_dict().items()):
            found.update(name.encode())
            found.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
        return found.hexdigest()

    def describe_config(self) -> dict[str, Any]:
        """The configuration as JSON-ready values."""
        return asdict(self.config)
