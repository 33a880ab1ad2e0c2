"""The moving parts of a training run, epoch by epoch."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.captioner.familiar import Familiar
from attnviz.captioner.kinds import ask
from attnviz.captioner.vocabulary import PAD
from attnviz.errors import ConfigError, counted
from attnviz.train.batches import Batch, Lesson, batches, lesson
from attnviz.train.build import blend, freeze, start_of
from attnviz.train.calibration import SEEN, temperature_of
from attnviz.train.corpus import count, draw, read_inputs, times
from attnviz.train.critical import Critic
from attnviz.train.crops import crop_boxes, windows
from attnviz.train.features import frames
from attnviz.train.inputs import maps_of
from attnviz.train.kinds import fit_kinds, kinds_in
from attnviz.train.losses import box_loss, even_loss, word_loss
from attnviz.train.naming import Naming
from attnviz.train.optim import follow, optimiser, set_rate
from attnviz.train.state import read_state, write_state

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.captioner.decoder import Output
    from attnviz.data import Split
    from attnviz.train.config import FitConfig
    from attnviz.train.inputs import Inputs

Say = Callable[[str], None]


class Trainer:
    """The moving parts of a run: model, its running mean, optimiser, epoch, random state."""

    def __init__(self, config: FitConfig, model: Captioner, splits: Sequence[Split], dev: Split, say: Say) -> None:
        self.config, self.options, self.model, self.say = config, config.train, model, say
        self.frozen = self.options.encoder_rate == 0
        self.epoch, self.history = 0, []  # type: tuple[int, list[dict[str, float]]]
        self.critical: Critic | None = None
        self.rng = np.random.default_rng(self.options.seed)
        self.objects = [record.objects for split in splits for record in split]
        rates = config.data.rates or [1.0] * len(splits)
        if len(rates) != len(splits) or min(rates) < 0:
            raise ConfigError(f"rates: {len(splits)} splits need as many rates of at least 0, not {rates}")
        self.wanted = [times(split, rate, config.data.rare) for split, rate in zip(splits, rates, strict=True)]
        kinds = [False, True] if self.options.flip else [False]
        self.stages = freeze(model, self.options)
        kept = config.data.cache if self.frozen or (self.stages and self.options.crop == 1) else None
        if self.options.naming and not any(self.objects):
            raise ConfigError("setting 'naming': no photo to learn from has a list of objects")
        self.kinds = kinds_in(self.objects, model.vocabulary) if self.options.kinds else {}
        if self.options.kinds and not self.kinds:  # now, not after hours of training
            raise ConfigError("setting 'kinds': no photo to learn from has a list of objects that its captions name")
        if self.kinds and model.one_by_one:
            raise ConfigError("setting 'kinds' is for the decoder two-lstm alone; leave it out")
        self.inputs = read_inputs(model, splits, kinds, say, kept, self.stages or None, self.options.precision)
        self.dev_inputs = read_inputs(model, [dev], [False], say, kept, self.stages or None)[False]
        self.lessons = {flip: [one for split in splits for one in self._lessons(split, flip)] for flip in kinds}
        self.dev_lessons = {False: self._lessons(dev, False)}
        self.steps = math.ceil(count(self.wanted) / self.options.photos)
        self.optimiser = self._optimiser()
        self.average = deepcopy(model).requires_grad_(False).eval()
        self.step = 0

    def _lessons(self, split: Split, flip: bool) -> list[Lesson]:
        vocabulary, data = self.model.vocabulary, self.config.data
        pairs = zip(split, frames(self.model, split), strict=True)
        return [lesson(record, vocabulary, frame, data.captions, flip, data.tagged) for record, frame in pairs]

    @property
    def epochs(self) -> int:
        """All of them, the self-critical ones too."""
        return self.options.epochs + self.options.critical

    def _optimiser(self) -> torch.optim.Optimizer:
        return optimiser(self.model, self.options, self.options.critical_rate if self.critical else self.options.rate)

    def _turn_critical(self) -> None:
        """Begins the self-critical epochs: from the averaged weights, with a fresh optimiser."""
        naming = Naming(self.model.vocabulary, self.objects) if self.options.naming else None
        self.critical = Critic(self.lessons, self.options.samples, naming, self.options.naming)
        self.model.load_state_dict(self.average.state_dict())
        self.model.requires_grad_(False)
        for part in self.model.decoder.speaking():
            part.requires_grad_(True)
        self.optimiser, self.step = self._optimiser(), 0

    def run_epoch(self) -> None:
        """One pass over the training photos, and the measurement after it."""
        if self.epoch == self.options.epochs:
            self._turn_critical()
        began, sums = time.monotonic(), Counter[str]()
        total = self.steps * (self.options.critical if self.critical else self.options.epochs)
        for number, batch in enumerate(self._batches(), 1):
            set_rate(self.optimiser, self.step, total, self.options.warmup)
            self.model.train()
            loss, figures = self._lose(batch)
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip)
            self.optimiser.step()
            self.step += 1
            follow(self.average, self.model, self.options.average, self.step)
            sums.update(figures)
            if number % 20 == 0 or number == self.steps:
                means = ", ".join(f"{key} {value / number:.3f}" for key, value in sums.items())
                took = time.monotonic() - began
                self.say(
                    f"epoch {self.epoch + 1}, batch {number} of {self.steps}: {means}; {took / number:.2f} s a batch"
                )
        self.epoch += 1
        figures = {key: value / self.steps for key, value in sums.items()} | self._measure()
        figures |= {"epoch": self.epoch, "seconds": time.monotonic() - began}
        self.history.append({key: round(value, 4) for key, value in figures.items()})
        self.say(
            f"epoch {self.epoch} of {self.epochs}: "
            + ", ".join(f"{k} {v:.3f}" for k, v in figures.items() if k != "epoch")
        )

    def _batches(self) -> Iterator[Batch]:
        order = draw(self.wanted, self.rng)
        return batches(self.lessons, order, self.options.photos, self.rng)

    def _lose(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch, and what to tell of it."""
        inputs = self.inputs[batch.mirrored]
        if self.critical:
            values = self._encode(self.model, inputs, batch)
            loss, reward = self.critical.loss(self.model, values, batch)
            if not self.options.anchor:
                return loss, {"reward": reward}
            self.model.train()
            logits = self._read(self.model, values, batch).logits
            words = word_loss(logits, batch.target.to(logits.device), self.options.smoothing)
            return loss + self.options.anchor * words, {"reward": reward, "words": float(words.detach())}
        least = self.options.crop
        parts = windows(len(batch.rows), least, self.rng) if least < 1 else None
        losses = self._losses(self.model, inputs, batch, self.options.smoothing, parts)
        loss = losses["words"]
        for name, weight in (("boxes", self.options.boxes), ("even", self.options.even)):
            loss = loss + weight * losses[name] if weight else loss
        return loss, {name: float(value.detach()) for name, value in losses.items()}

    def _encode(self, model: Captioner, inputs: Inputs, batch: Batch, parts: np.ndarray | None = None) -> Tensor:
        """E (P, N, C) of the batch's photos, or of their windows `parts`."""
        maps = maps_of(model, inputs, batch.rows, self.options, parts)
        return model.fuse(tuple(F.dropout(x, self.options.map_dropout, model.training) for x in maps))  # type: ignore[no-any-return]

    def _losses(
        self, model: Captioner, inputs: Inputs, batch: Batch, smoothing: float, parts: np.ndarray | None = None
    ) -> dict[str, Tensor]:
        """Of the words, of the attention in their boxes, and of its evenness where there are none."""
        values = self._encode(model, inputs, batch, parts)
        output = self._read(model, values, batch)
        weights, target = output.attended.weights, batch.target.to(model.device)
        inside, boxed = batch.inside.to(model.device), batch.boxed.to(model.device)
        if parts is not None:
            inside, boxed = crop_boxes(inside, boxed, model.grid, parts)
        power, spread = self.options.box_power, self.options.box_spread
        return {
            "words": word_loss(output.logits, target, smoothing),
            "boxes": box_loss(weights, inside, boxed, power, spread),
            # A word whose boxes a window has cut off is still one that names a thing.
            "even": even_loss(weights, batch.boxed.to(model.device), target != PAD),
        }

    def _read(self, model: Captioner, values: Tensor, batch: Batch) -> Output:
        """What the decoder makes of the batch's captions over E (P, N, C)."""
        decoder, words = model.decoder, batch.words.to(model.device)
        state = decoder.start(values, words.shape[1])
        output: Output = decoder(decoder.prepare(values), state, words, pick=batch.pick.to(model.device))[0]
        return output

    def _dev_batches(self) -> Iterator[Batch]:
        return batches(self.dev_lessons, np.arange(len(self.dev_lessons[False])), self.options.photos)

    @torch.inference_mode()
    def _measure(self) -> dict[str, float]:
        """Losses of the averaged weights on dev, without smoothing."""
        self.average.eval()
        sums, count = Counter[str](), 0
        for batch in self._dev_batches():
            losses = self._losses(self.average, self.dev_inputs, batch, 0.0)
            share = int((batch.target != PAD).sum())
            sums.update({f"dev {name}": float(value) * share for name, value in losses.items()})
            count += share
        return {key: value / count for key, value in sums.items()}

    def finish(self) -> None:
        """What happens once to the averaged weights, after the last epoch."""
        if self.options.blend:
            blend(self.average, start_of(self.config), self.options.blend, self.frozen)
            self.say("blended: " + ", ".join(f"{key} {value:.3f}" for key, value in self._measure().items()))
        if self.options.kinds:
            self._ask_kinds()
        with torch.inference_mode():
            self.average.temperature = temperature_of(self._read_dev())
            drawn = draw(self.wanted, np.random.default_rng(self.options.seed))[:SEEN]
            self.average.familiar = Familiar.fit(
                self._pooled(self.inputs[False], np.unique(drawn)),
                self._pooled(self.dev_inputs, np.arange(len(self.dev_lessons[False]))),
            )
        self.say(f"temperature {self.average.temperature:g}")

    def _ask_kinds(self) -> None:
        """Teaches the averaged weights which kind of thing is meant."""
        model, known = self.average, self.kinds

        def last_map(rows: np.ndarray) -> Tensor:
            return maps_of(model, self.inputs[False], rows, self.options)[-1]

        layer = fit_kinds(last_map, self.objects, list(known), self.options.kinds, self.options.seed)
        ask(model, list(known.values()), layer)
        told = ", ".join(f"{key} {value:.3f}" for key, value in self._measure().items())
        self.say(f"asks for {counted(len(known), 'kind')} of things: {told}")

    def _pooled(self, inputs: Inputs, rows: np.ndarray) -> np.ndarray:
        """What `Familiar` takes, of photos `rows`."""
        few = [rows[start : start + self.options.photos] for start in range(0, len(rows), self.options.photos)]
        pooled = [maps_of(self.average, inputs, some, self.options)[0].mean((2, 3)) for some in few]
        return np.asarray(torch.cat(pooled).cpu().numpy())

    def _read_dev(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The averaged weights' logits of dev's captions, and the words to come."""
        model = self.average
        for batch in self._dev_batches():
            values = self._encode(model, self.dev_inputs, batch)
            yield self._read(model, values, batch).logits, batch.target.to(model.device)

    def save(self) -> None:
        """Everything that `resume` needs, and the figures so far."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            "numpy": json.dumps(self.rng.bit_generator.state),
            "torch": torch.get_rng_state(),
        }
        write_state(self.config, state, self.history[-1])

    def resume(self) -> None:
        """Goes on from the saved state, if there is one. Raises ConfigError when it is of another configuration.

        Where there are more epochs now than the run was begun with, the learning rate goes on as if it had known from
        its first step: it rises again to where it then would be.
        """
        if (state := read_state(self.config)) is None:
            return
        if state["epoch"] > self.options.epochs:
            self._turn_critical()
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], state["history"]
        self.rng.bit_generator.state = json.loads(state["numpy"])
        torch.set_rng_state(state["torch"])
        self.say(f"going on after epoch {self.epoch} of {self.epochs}")
