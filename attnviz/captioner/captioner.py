"""The whole network: backbone, fuse, decoder and vocabulary, with the configuration that rebuilds it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from attnviz.captioner.config import FrameKind, ModelConfig
from attnviz.captioner.description import guess, read, with_gradient
from attnviz.captioner.encoded import all_seen, digest, encode_all, eyes_of, look, read_alike, see
from attnviz.captioner.hard import Chooser, Hard, chooser
from attnviz.captioner.parts import build_parts
from attnviz.captioner.show_attend_tell import LONGEST as TUTORIAL_LONGEST
from attnviz.captioner.threads import side_by_side
from attnviz.captioner.variants import random_attention, randomised, unfocused
from attnviz.captioner.vocabulary import SPECIAL, Vocabulary
from attnviz.captioner.writing import write
from attnviz.errors import ModelError
from attnviz.limits import BEAM, MOST_BEAMS
from attnviz.network import NOTHING_ASKED, Asked, Prepared
from attnviz.photo.frame import Frame
from attnviz.trace import ImageInfo, Trace

if TYPE_CHECKING:
    import numpy as np

    from attnviz.captioner.description import Description, Words
    from attnviz.captioner.familiar import Familiar
    from attnviz.network import Guesses, Map
    from attnviz.photo.image import Photo

LONGEST = 30
"""The most words that the network writes; captions of Flickr8k have twelve on average."""

GIVEN_LIMIT = 200
"""The most words that a given text may hold: more than any caption, few enough for one batch."""


class Captioner(nn.Module):
    """Image in, words and attention out.

    Attributes:
        temperature: what the words' scores are divided by before they become the probabilities of a trace (Guo et al.
            2017, arXiv:1706.04599). The search takes them as they are: what is written does not depend on it.
        familiar: what its training photos look like to its backbone, so that it can say where a photo is unlike them.

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
        parts = build_parts(config, vocabulary, dropout)
        self.backbone, self.fuse, self.decoder, self.grid = parts
        self.temperature = 1.0
        self.familiar: Familiar | None = None

    @classmethod
    def tiny(
        cls, mode: str = "concat", seed: int = 0, words: Sequence[str] = ("a", "dog", "runs", "cat", "on", "grass")
    ) -> Captioner:
        """A small untrained network with random weights, for tests and first tries: 2x2 cells, six words."""
        size = 4 if mode in ("dot", "channel-dot") else 6
        state = torch.get_rng_state()
        torch.manual_seed(seed)
        lite = "efficientnet-lite0"  # the smallest
        config = ModelConfig(mode, lite, None, (32, 32), "stretch", size, 8, size, 8, 5)
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
        return TUTORIAL_LONGEST if self.one_by_one else LONGEST

    @property
    def one_by_one(self) -> bool:
        """Whether the decoder is the tutorial's, whose search takes one image at a time."""
        return self.config.decoder == "show-attend-tell"

    @property
    def device(self) -> torch.device:
        return self.decoder.device

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray | Tensor) -> Tensor:
        """(B, H, W, 3) uint8, the size of `input` -> E (B, N, C), with the log odds of K kinds of things (B, N, C + K).

        Image by image, so that what one gets cannot depend on the others; on a CPU that is no slower.
        """
        return look(self, pixels)[0]

    @property
    def concurrent(self) -> bool:
        """Several threads may describe photos at once: nothing is kept between calls."""
        return True

    def check(self, asked: Asked) -> None:
        """Raises ModelError for a given text without a word or with too many, and for what only other networks have."""
        others = sorted(asked.changed().keys() - {"beam", "hard", "seed", "map"})
        if others:
            raise ModelError(f"{self.name}: there is no {others[0]} to choose in this model; leave it out")
        if asked.map != "attention" and asked.hard is not None:
            raise ModelError("hard attention has no gradient: leave out hard, or the map")
        for text in (asked.text,) if isinstance(asked.text, str) else asked.text or ():
            self.split(text)

    def prepare(self, photo: Photo, asked: Asked = NOTHING_ASKED) -> Prepared:
        """The photo at the size of the network's input; see `Network.prepare`."""
        frame = Frame.of(self.frame_kind, photo.size, self.input, self.grid)
        pixels = frame.apply(photo.pixels)
        return Prepared(pixels, frame, ImageInfo.of(photo), pixels.nbytes)

    def eyes(self) -> str:
        """See `network.Seeing`."""
        return eyes_of(self)

    def see(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """See `network.Seeing`."""
        return see(self, prepared)

    def describe(self, prepared: Sequence[Prepared], asked: Asked) -> list[Trace]:
        """Captions photos, or reads given words over them; see `Network.describe`.

        Raises:
            ModelError: as `check` does.
        """
        self.check(asked)
        values, strange = encode_all(self, prepared)
        given = None if asked.text is None else [asked.text_of(i) or "" for i in range(len(prepared))]
        beam = BEAM if asked.beam is None else asked.beam
        read = self.write(values, beam, asked.hard, asked.seed) if given is None else list(map(self.split, given))
        plain = asked.hard is None and asked.map == "attention"
        found = read_alike(self, values, read) if plain and all_seen(prepared) else None
        found = found or self.follow(values, read, asked.hard, asked.seed, asked.map)
        settings: dict[str, Any] = {} if given else {"beam": beam}
        if asked.map != "attention":
            settings["map"] = asked.map
        if asked.hard is not None:
            settings["hard"] = asked.hard
        if asked.hard == "sample":
            settings["seed"] = asked.seed
        settings["given"] = given is not None
        return [
            Trace(
                weights=one.weights,
                tokens=one.tokens,
                logprobs=one.logprobs,
                scores=one.scores,
                channel_weights=one.channel_weights,
                frame=photo.frame,
                image=photo.image,
                model=self.name,
                mode=self.mode,
                settings=settings | self._remarks(one, given is not None, far),
            )
            for photo, one, far in zip(prepared, found, strange, strict=True)
        ]

    def _remarks(self, one: Description, given: bool, strange: float) -> dict[str, Any]:
        """What the notes of a trace should tell of one image, as settings."""
        found: dict[str, Any] = {"unknown": list(one.unknown)} if given else {}
        if self.one_by_one and not given and len(one.tokens) == self.longest:
            found["cut"] = True
        if self.config.pool and (own := self.backbone.grid(self.input)) != self.grid:
            found["pooled"] = list(own)
        if strange > 1:
            found["unlike"] = round(float(strange), 2)
        return found

    def randomised(self, seed: int = 0, coarse: bool = False) -> Iterator[tuple[str, Captioner]]:
        """See `variants.randomised`."""
        return randomised(self, seed, coarse)

    def random_attention(self, seed: int = 0) -> Captioner:
        """See `variants.random_attention`."""
        return random_attention(self, seed)

    def unfocused(self) -> Captioner:
        """See `variants.unfocused`."""
        return unfocused(self)

    @torch.inference_mode()
    def describe_pixels(
        self,
        pixels: np.ndarray | Tensor,
        texts: Sequence[str] | None = None,
        *,
        beam: int = BEAM,
        hard: Hard | None = None,
        seed: int = 0,
        map: Map = "attention",
    ) -> list[Description]:
        """Captions a batch, or reads given words over it; an image gets the same bits whatever stands beside it.

        Args:
            pixels: (B, H, W, 3) uint8, the size of `input`.
            texts: the words to read, one string per image; None lets the network write.
            beam: sentences kept side by side in the search; 1 is greedy.
            hard: one cell (for channel modes one channel) gives the context: `argmax`, or `sample` with `seed`.
            map: what the weights are: the attention's, or those of `gradient.gradient_map`.

        Raises:
            ModelError: for a given text without a word, or with more than `GIVEN_LIMIT` words.
        """
        given = None if texts is None else [self.split(text) for text in texts]
        values = self.encode(pixels)
        return self.follow(values, given or self.write(values, beam, hard, seed), hard, seed, map)

    @torch.inference_mode()
    def write(self, values: Tensor, beam: int = BEAM, hard: Hard | None = None, seed: int = 0) -> list[Words]:
        """The network's own sentences over E (B, N, C). Raises ModelError for a number of beams that cannot be."""
        if type(beam) is not int or not 1 <= beam <= MOST_BEAMS:
            raise ModelError(f"the number of beams must be a whole number from 1 to {MOST_BEAMS}, not {beam!r}")

        def choose(step: int) -> Chooser | None:
            return self._chooser(hard, seed, step, step + 1)

        return write(self.decoder, self.vocabulary, values, beam, self.longest, choose)

    def split(self, text: str) -> Words:
        """Given words as (typed, looked up) pairs. Raises ModelError for none, or more than `GIVEN_LIMIT`."""
        words = self.vocabulary.split(text)
        if not words:
            raise ModelError("the given text has no word to look for; give at least one, such as --text 'a dog'")
        if len(words) > GIVEN_LIMIT:
            raise ModelError(f"the given text has {len(words)} words; give at most {GIVEN_LIMIT}")
        return words

    def _chooser(self, hard: Hard | None, seed: int, first: int, stop: int) -> Chooser | None:
        size = max(self.grid[0] * self.grid[1], self.config.channels)
        return chooser(hard, seed, first, stop, size, self.device)

    @torch.inference_mode()
    def follow(
        self,
        values: Tensor,
        given: Sequence[Words],
        hard: Hard | None = None,
        seed: int = 0,
        map: Map = "attention",
    ) -> list[Description]:
        """Reads words over E (B, N, C), all steps at once, and takes down where the network looked.

        Image by image: where a row stands in a batch would change its last bits (see `search.CLOSE`), and no step is
        spent on padding. A copy lies in memory as any image alone would: kernels look at that too.

        Raises:
            ModelError: for a sentence without a word, where the decoder cannot write one.
        """
        if not self.one_by_one and not all(given):
            raise ModelError("the network wrote no word; it is not trained, or its checkpoint is damaged")

        def one(number: int) -> Description:
            words, image = given[number], values[number : number + 1].clone()
            choose = self._chooser(hard, seed, 0, len(words))
            (found,) = read(self.decoder, self.vocabulary, self.grid, image, words, choose, self.temperature)
            return found if map == "attention" else with_gradient(found, self.decoder, self.vocabulary, image, words)

        with side_by_side(self.device) as each:
            return each(one, range(len(given)))

    def guesses(self, prepared: Sequence[Prepared], asked: Asked) -> list[Guesses]:
        """See `Guesser.guesses`. Raises ModelError as `check` does."""
        self.check(asked)
        values, _ = encode_all(self, prepared)
        given = [self.split(asked.text_of(i) or "") for i in range(len(prepared))]

        def one(number: int) -> Guesses:
            image = values[number : number + 1].clone()
            return guess(self.decoder, self.vocabulary, image, given[number], self.temperature)

        with side_by_side(self.device) as each:
            return each(one, range(len(given)))

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of all that decides what the network says: configuration, words and weights."""
        more = [] if self.temperature == 1 else [str(self.temperature)]
        more += [] if self.familiar is None else [json.dumps(self.familiar.to_dict())]
        return digest([self.describe_config(), *self.vocabulary.words], self, more)

    def describe_config(self) -> dict[str, Any]:
        """The configuration as JSON-ready values."""
        return self.config.to_dict()
