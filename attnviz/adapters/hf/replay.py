"""Writing: what a model would write by itself, and words that are given, with each token's probability.

Beams and given words are replayed: a greedy `generate` in which a logits processor forces the tokens. So the model goes
through its own code, whatever family it is of, and each row of attention belongs to the token that it led to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList

from attnviz.errors import ModelError

LONGEST = 256
"""The most pieces that a model writes whose own configuration sets no limit."""

SPARE = 2  # positions that some models (RoBERTa, BART) count from
DEFAULT_LENGTH = 20  # what transformers puts where a configuration is silent, and means nothing by
_STRATEGIES = ("penalty_alpha", "dola_layers", "prompt_lookup_num_tokens", "constraints", "force_words_ids")


@dataclass
class Written:
    """What was written.

    Attributes:
        tokens: ids, the end token among them where the model came to it.
        logprobs: natural logarithm of each one's probability as the model gave it, before any rule of generation.
    """

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Pen(LogitsProcessor):  # type: ignore[misc]
    """Notes each token as it is chosen, and its probability; chooses it where tokens are given.

    Args:
        given: the tokens to write; None leaves the choice to the model.
        settle: told the log-probability of each token that is chosen, with its graph where there is one.
    """

    def __init__(self, given: Sequence[int] | None = None, settle: Callable[[Tensor], None] | None = None) -> None:
        self._given, self._settle = given, settle
        self._logprobs: Tensor | None = None  # (V,) of the step under way
        self._tokens: list[Tensor] = []
        self._chosen: list[Tensor] = []

    def hear(self, module: nn.Module, args: Any, output: Any) -> None:
        """Forward hook of the module that writes."""
        with torch.set_grad_enabled(self._settle is not None):
            self._logprobs = output.logits[0, -1].float().log_softmax(dim=-1)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self._given is not None:
            token = torch.tensor(self._given[len(self._tokens)], device=scores.device)
            scores = torch.full_like(scores, -torch.inf)
            scores[:, token] = 0
        else:
            token = scores[0].argmax(dim=-1)
        assert self._logprobs is not None
        self._tokens.append(token)
        with torch.set_grad_enabled(self._settle is not None):
            logprob = self._logprobs[token.to(self._logprobs.device)]
        if self._settle is not None:
            self._settle(logprob)
        self._chosen.append(logprob.detach())
        self._logprobs = None  # and its graph
        return scores

    def written(self) -> Written:
        """All that was written."""
        if not self._tokens:
            return Written()
        return Written(torch.stack(self._tokens).tolist(), torch.stack(self._chosen).tolist())


class _Start(LogitsProcessor):  # type: ignore[misc]
    """Remembers how long the sequence was when the first token was chosen."""

    length: int | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.length is None:
            self.length = input_ids.shape[1]
        return scores


def write(
    model: Any,
    writer: nn.Module,
    inputs: dict[str, Any],
    given: Sequence[int] | None = None,
    settle: Callable[[Tensor], None] | None = None,
) -> Written:
    """Greedy: what the model writes, or given tokens.

    Args:
        model: whose `generate` is called.
        writer: the module that gives the logits, and whose generation configuration holds: the model, or the language
            model inside it.
        inputs: of `generate`, a batch of one.
        given: token ids to write instead, at least one.
        settle: as `Pen` takes it.
    """
    pen = Pen(given, settle)
    limit = own_limit(writer, inputs) if given is None else {"max_new_tokens": len(given)}
    hook = writer.register_forward_hook(pen.hear)
    try:
        model.generate(**inputs, **_plain(writer), **limit, num_beams=1, logits_processor=LogitsProcessorList([pen]))
    finally:
        hook.remove()
    return pen.written()


def search(model: Any, writer: nn.Module, inputs: dict[str, Any], beams: int, ends: Collection[int]) -> list[int]:
    """The best sentence of a beam search, up to the token before its end.

    Raises:
        ModelError: a transformers whose beam search is wrong for this model.
    """
    own = type(model)._expand_inputs_for_generation is not GenerationMixin._expand_inputs_for_generation
    tiles = inputs["pixel_values"].shape[0] if "pixel_values" in inputs else 1
    if tiles > 1 and not own and not hasattr(GenerationMixin, "_expand_multimodal_outputs"):
        # It repeats each tile in its place, and not the whole row of them, for each beam (InternVL in 4.57).
        raise ModelError(
            "the beam search of this transformers mixes up the tiles of a photo; use --beam 1, or update transformers"
        )
    start = _Start()
    found = model.generate(
        **inputs,
        **_plain(writer),
        **own_limit(writer, inputs),
        num_beams=beams,
        logits_processor=LogitsProcessorList([start]),
    )
    tokens: list[int] = found[0, start.length or 0 :].tolist()
    return tokens[: next((place for place, token in enumerate(tokens) if token in ends), len(tokens))]


def own_limit(writer: Any, inputs: dict[str, Any]) -> dict[str, int]:
    """The limit of length that a model's own generation configuration sets, as `generate` takes it.

    Without one, `LONGEST`, or what the model has positions for.
    """
    own = writer.generation_config
    if getattr(own, "max_new_tokens", None) is not None:
        return {"max_new_tokens": own.max_new_tokens}
    if getattr(own, "max_length", None) not in (None, DEFAULT_LENGTH):
        return {"max_length": own.max_length}
    room = positions_left(writer, inputs)
    return {"max_new_tokens": LONGEST if room is None else max(1, min(LONGEST, room))}


def positions_left(writer: Any, inputs: dict[str, Any]) -> int | None:
    """How many pieces a model has positions for, beside its prompt; None where there is no such limit."""
    config = writer.config.get_text_config(decoder=True)
    most = getattr(config, "max_position_embeddings", None)
    if not isinstance(most, int):
        return None
    before = inputs.get("decoder_input_ids", inputs.get("input_ids"))
    return most - SPARE - (1 if before is None else int(before.shape[1]))


def _plain(writer: Any) -> dict[str, Any]:
    """Arguments of `generate` by which nothing is drawn at random or kept beside; the rest is the model's own."""
    own = writer.generation_config
    unset = {name: None for name in _STRATEGIES if getattr(own, name, None) is not None}
    return {
        **unset,
        "do_sample": False,
        "num_return_sequences": 1,
        "return_dict_in_generate": False,
        "output_attentions": False,
        "output_scores": False,
        "disable_compile": True,  # recording is not for compiled graphs
    }


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, without gradients; as it was afterwards, module by module."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
