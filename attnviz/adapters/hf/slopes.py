"""Attention times what a token's probability owes to it, taken beside the model's own kernel.

For token t, layer and head the map is relu(A * d log p(y_t) / d A) over the keys, A (keys,) being the row of weights
from which t was written; then heads and layers are reduced as those of attention are. After Chefer et al. 2021
(arXiv:2103.15679, equation 5, without the products of layers by which they follow relevance through self-attention),
and Selvaraju et al. 2017, "Grad-CAM" (arXiv:1610.02391), on attention weights: the map of attnviz.captioner.gradient.

Of transformers' kernels only the plain one gives weights to differentiate, and it changes what some models write. So
the kernel stays. The output of a head is o = A V, hence d log p / d A = V (d log p / d o): zeros that require a
gradient are added to the output of the wanted row, and theirs is the output's. That o is A V, of the weights that were
recorded, is checked at each call. Modules off transformers' attention interface work with the weights that they give,
so the gradient of these is asked for.

A step's row leads to its own token alone, and rows before it do not depend on it, so each step has a graph of its own,
which goes when the token is chosen: tensors of a cache are cut from it. Parameters take no gradient.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from attnviz.adapters.hf.inputs import first_line
from attnviz.adapters.hf.recorder import Recorder, on_interface
from attnviz.errors import GradientError

SCALE = 1024.0
"""What log-probabilities are multiplied by, so that half precision does not lose small gradients; a power of two."""

_TINY = 1e-30
_NO_KERNEL = re.compile(r"(\S+): an autograd kernel was not registered")
_NO_PATH = re.compile("Rotary")  # it asks of what it is given the type and device alone


class _Call(NamedTuple):
    """A call whose token is not chosen yet.

    Attributes:
        module: which attention.
        by_head: (heads, 1, keys), the weights.
        queries: how many there were.
        source: what the gradient is asked of.
        slope: from its gradient to that of the weights, (heads, 1, keys).
    """

    module: nn.Module
    by_head: Tensor
    queries: int
    source: Tensor
    slope: Callable[[Tensor], Tensor]


class SlopeRecorder(Recorder):
    """A `Recorder` of the last query row that keeps relu(A * d log p / d A) in the place of the weights A.

    `settle` must be called with each token's log-probability, and `flowing` be on.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._taken: tuple[Tensor, int] | None = None  # of the call that is under way
        self._calls: list[_Call] = []
        self._strays: list[Tensor] = []

    @property
    def stray(self) -> float:
        """How far an output was from its weights times its values, at worst, as a share of its largest number."""
        return max((float(value) for value in self._strays), default=0.0)

    def take(self, module: nn.Module, weights: Tensor, queries: int) -> None:
        """Holds the rows of a call back until `settle`; see `Recorder.take`."""
        self._taken = (self.heads_of(weights), queries)

    def through(self, module: nn.Module, output: Tensor, value: Tensor) -> Tensor:
        """The same numbers, whose last row's gradient will be known."""
        assert self._taken is not None
        by_head, queries = self._taken
        with torch.no_grad():
            values = value[0].float().repeat_interleave(len(by_head) // value.shape[1], dim=0)  # (heads, keys, D)
            last = output[0, -1].float()  # (heads, D)
            missed = (by_head[:, 0, None] @ values)[:, 0] - last
            self._strays.append(missed.abs().max() / last.abs().max().clamp_min(_TINY))
        leaf = torch.zeros_like(output[:, -1:]).requires_grad_()

        def slope(gradient: Tensor) -> Tensor:
            return gradient[0, 0].float()[:, None] @ values.transpose(1, 2)  # (heads, 1, D) @ (heads, D, keys)

        self._calls.append(_Call(module, by_head, queries, leaf, slope))
        return torch.cat([output[:, :-1], output[:, -1:] + leaf], dim=1)

    def within(self, module: nn.Module, weights: Tensor) -> None:
        """Weights that the module itself goes on with."""
        assert self._taken is not None
        self._calls.append(_Call(module, *self._taken, weights, lambda gradient: gradient[0, :, -1:].float()))

    def settle(self, logprob: Tensor) -> None:
        """The token of the calls since the last time is chosen: keeps their rows.

        Args:
            logprob: the natural logarithm of its probability, with its graph, which is freed.

        Raises:
            GradientError: no gradient comes from it back to the attention.
        ModelError: there is no such head.
        """
        calls, self._calls = self._calls, []
        found = _gradients(logprob, [call.source for call in calls])
        for call, gradient in zip(calls, found, strict=True):
            with torch.no_grad():
                helping = torch.relu(call.by_head * call.slope(gradient) / SCALE)
            self.keep(call.module, helping, call.queries)

    @contextmanager
    def on(self) -> Iterator[SlopeRecorder]:
        """Records inside; see `Recorder.on`."""
        with ExitStack() as undo:
            undo.enter_context(super().on())
            for module in self._layer:
                if not on_interface(module):
                    undo.callback(module.register_forward_pre_hook(_seed, with_kwargs=True).remove)
            yield self


@contextmanager
def flowing(model: nn.Module, writer: nn.Module) -> Iterator[None]:
    """Gradients flow inside the forward calls of the module that writes, and nowhere else; parameters take none.

    Raises:
        GradientError: inside, where a module gives tensors without a gradient for some that have one.
    """
    with ExitStack() as undo:
        undo.enter_context(torch.inference_mode(False))
        for name, parameter in model.named_parameters():
            if parameter.is_inference():
                raise _stuck(f"{name} was made in inference mode")
            if parameter.requires_grad:
                undo.callback(parameter.requires_grad_, True)
                parameter.requires_grad_(False)

        def begin(module: nn.Module, args: Any) -> None:
            torch.set_grad_enabled(True)

        def end(module: nn.Module, args: Any, output: Any) -> None:
            torch.set_grad_enabled(False)
            if getattr(output, "past_key_values", None) is not None:
                output.past_key_values = _cut(output.past_key_values)

        undo.callback(torch.set_grad_enabled, torch.is_grad_enabled())
        undo.callback(writer.register_forward_pre_hook(begin).remove)
        undo.callback(writer.register_forward_hook(end).remove)
        for module in writer.modules():
            if not _NO_PATH.search(type(module).__name__):
                undo.callback(module.register_forward_hook(_watch).remove)
        yield


def _gradients(logprob: Tensor, sources: Sequence[Tensor]) -> Sequence[Tensor]:
    """SCALE times the gradients of a number. Raises GradientError where there are none."""
    with warnings.catch_warnings(record=True) as said:
        # Of a kernel that has no gradient torch says so, and goes on as if nothing had gone through it.
        warnings.filterwarnings("always", message=_NO_KERNEL.pattern)
        try:
            found = torch.autograd.grad(logprob, sources, torch.full_like(logprob, SCALE))
        except RuntimeError as error:
            text = str(error)
            if "does not require grad" in text or "to not have been used" in text:
                raise _stuck("it does not come back to the attention") from error
            raise _stuck(first_line(error)) from error
    for warning in said:
        if told := _NO_KERNEL.match(str(warning.message)):
            raise _stuck(f"it ends at {told[1]}")
    return found


def _cut(kept: Any) -> Any:
    """What a model keeps from step to step, its tensors cut from their graphs: tuples anew, all else in its place."""
    if isinstance(kept, Tensor):
        return kept.detach() if kept.requires_grad else kept
    if isinstance(kept, tuple):
        return tuple(map(_cut, kept))
    if isinstance(kept, list):
        kept[:] = map(_cut, kept)
    elif isinstance(kept, dict):
        kept.update({name: _cut(value) for name, value in kept.items()})
    elif type(kept).__module__.startswith("transformers.") and "config" not in type(kept).__module__:
        vars(kept).update({name: _cut(value) for name, value in vars(kept).items()})
    return kept


def _watch(module: nn.Module, args: Any, output: Any) -> None:
    """Raises GradientError where a gradient ends: what else goes past the module would pass for all of it."""
    given = any(isinstance(value, Tensor) and value.requires_grad for value in args)
    if given and torch.is_grad_enabled() and isinstance(output, Tensor) and not output.requires_grad:
        raise _stuck(f"it ends at {type(module).__name__}")


def _seed(module: nn.Module, args: Any, kwargs: Any) -> Any:
    """Has what a module is given require a gradient, so that its weights have one; a graph that is there goes on."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    for name, value in bound.arguments.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            if torch.is_grad_enabled() and not value.requires_grad:
                bound.arguments[name] = value.detach().requires_grad_()
            break
    return bound.args, bound.kwargs


def _stuck(why: str) -> GradientError:
    return GradientError(
        f"no gradient flows back through this model, and the map by gradient needs it ({why}); leave out --map, or "
        "load the model for training, not quantised"
    )
