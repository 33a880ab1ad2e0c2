"""Attention recorded beside the model's own kernel.

transformers gives attention weights only with its "eager" kernel, which changes what some models write, and then keeps
all of them. So the kernel stays as it is: an attention function of our own, registered under our own name and set for
the decoder alone, calls it for the output, and the modelling file's `eager_attention_forward` for the weights of the
one query row that is wanted. Modules that are not on transformers' attention interface are hooked.

Only the chosen layers are kept, reduced over the heads at once, and of the keys only those that are image tokens.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from attnviz.errors import ModelError

KERNELS = ("sdpa", "eager")
"""transformers' names of the kernels that can be recorded beside."""

_OURS = "attnviz_"
_CROSS = re.compile(r"cross_?att|encoder_attn|encdecatt|encoder_decoder_att", re.IGNORECASE)
_ELSEWHERE = re.compile(r"vision|visual|image_encoder|qformer", re.IGNORECASE)
_ACTIVE: ContextVar[tuple[Recorder, ...]] = ContextVar("attnviz_recorders", default=())


class Rows(NamedTuple):
    """The weights of one call at one layer, reduced over the heads; R query rows.

    Attributes:
        image: (R, N) on the image tokens.
        total: (R,) sums over all keys: 1, but for heads reduced by their maximum.
    """

    image: Tensor
    total: Tensor


class Recorder:
    """Keeps the last query row, or all of them, of each call of some attention modules.

    Args:
        modules: the attention modules of the decoder's layers, as `attention_modules` finds them.
        layers: which of them are wanted, by number.
        heads: "mean", "max", or a head's number.
        positions: (N,) where the image tokens stand among the keys; None for all keys.
        crossed: whether the keys are an encoder's tokens, the same at every step. Else they are the sequence so far,
            of which a sliding cache holds only the end.
        all_rows: keep all query rows. Else the last: it tells where the model looks for the token that comes next.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        layers: Sequence[int],
        heads: str = "mean",
        positions: Tensor | None = None,
        *,
        crossed: bool,
        all_rows: bool = False,
    ) -> None:
        self.wanted = slice(None) if all_rows else slice(-1, None)
        self._layer = {modules[layer]: layer for layer in layers}
        self._heads, self._crossed = heads, crossed
        self._positions = positions
        self._first: dict[nn.Module, int] = {}  # the length of a module's first call
        self._worst: list[Tensor] = []
        self.rows: dict[int, list[Rows]] = {layer: [] for layer in layers}

    def __contains__(self, module: object) -> bool:
        return module in self._layer

    @property
    def worst(self) -> float:
        """How far the weights of a head summed from 1, at worst."""
        return max((float(value) for value in self._worst), default=0.0)

    def take(self, module: nn.Module, weights: Tensor, queries: int) -> None:
        """Keeps the rows of a call.

        Args:
            weights: (B, heads, R, keys), of the wanted queries.
            queries: how many there were in the call.

        Raises:
            ModelError: there is no such head.
        """
        self.keep(module, self.heads_of(weights), queries)

    def heads_of(self, weights: Tensor) -> Tensor:
        """(heads, R, keys) float32, and how far they sum from 1 is noted."""
        by_head = weights[0].float()
        self._worst.append((by_head.sum(dim=-1) - 1).abs().max())
        return by_head

    def keep(self, module: nn.Module, by_head: Tensor, queries: int) -> None:
        """Keeps a call's rows (heads, R, keys), reduced over the heads and on the image tokens. Raises ModelError."""
        kept = self.rows[self._layer[module]]
        rows = self._reduced(by_head)
        length = self._first.setdefault(module, queries) + len(kept)
        kept.append(Rows(self._image(rows, length), rows.sum(dim=-1)))

    def stacked(self, layers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """All calls' rows of some layers, on the CPU: image (L, T, N) and total (L, T), T rows in all."""
        images, totals = zip(*(zip(*self.rows[layer], strict=True) for layer in layers), strict=True)
        return tuple(  # type: ignore[return-value]
            torch.stack([torch.cat([part.cpu() for part in parts]) for parts in kind]) for kind in (images, totals)
        )

    def _reduced(self, by_head: Tensor) -> Tensor:
        if self._heads == "mean":
            return by_head.mean(dim=0)
        if self._heads == "max":
            return by_head.amax(dim=0)
        if int(self._heads) >= len(by_head):
            raise ModelError(f"there is no head {self._heads}; the model has {len(by_head)}, counted from 0")
        return by_head[int(self._heads)]

    def _image(self, rows: Tensor, length: int) -> Tensor:
        """The image tokens' part of rows over the keys, of a sequence that is `length` long by now."""
        if self._positions is None:
            return rows
        places, keys = self._positions.to(rows.device), rows.shape[-1]
        # A sliding cache has dropped the beginning; a static one has room at the end.
        shift = 0 if self._crossed else max(length - keys, 0)
        return torch.where(places >= shift, rows[:, (places - shift).clamp(0, keys - 1)], 0.0)

    def through(self, module: nn.Module, output: Tensor, value: Tensor) -> Tensor:
        """The output that the model goes on with, (B, queries, heads, D), of a call with values (B, heads, keys, D)."""
        return output

    def within(self, module: nn.Module, weights: Tensor) -> None:
        """Hears of the weights (B, heads, queries, keys) that a hooked module itself works with, after `take`."""

    @contextmanager
    def on(self) -> Iterator[Recorder]:
        """Records inside; whatever happens there, the model is as it was afterwards."""
        configs: list[tuple[Any, str | None]] = []
        hooks: list[Any] = []
        token = _ACTIVE.set((*_ACTIVE.get(), self))
        try:
            for module in self._layer:
                if not on_interface(module):
                    hooks += _hooked(module)
                elif not any(config_of(module) is config for config, _ in configs):
                    config = config_of(module)
                    kernel = config._attn_implementation
                    configs.append((config, kernel))
                    config._attn_implementation_internal = _register((kernel or "eager").removeprefix(_OURS))
            yield self
        finally:
            for config, kernel in configs:
                config._attn_implementation_internal = kernel
            for hook in hooks:
                hook.remove()
            _ACTIVE.reset(token)


def attention_modules(decoder: nn.Module, crossed: bool) -> list[nn.Module]:
    """The attention modules of a decoder's layers, in order: those that look at an encoder, or those at the sequence.

    They are told by what they do (call transformers' attention interface), or, where they are not on it, by their
    class's name; and cross-attention by the names that transformers gives it.
    """
    named = {module: name for name, module in decoder.named_modules() if not _ELSEWHERE.search(name)}
    found = [module for module in named if on_interface(module)]
    if not found:
        found = [module for module in named if re.search(r"Attention$", type(module).__name__)]
    inner = [module for module in found if not any(other in found for other in list(module.modules())[1:])]
    return [module for module in inner if bool(_CROSS.search(named[module])) == crossed]


def kernel_of(modules: Sequence[nn.Module]) -> str | None:
    """The first kernel among the modules' that cannot be recorded beside; None where all can."""
    for module in modules:
        kernel = config_of(module)._attn_implementation if on_interface(module) else None
        if kernel is not None and kernel not in KERNELS:
            return str(kernel)
    return None


def on_interface(module: nn.Module) -> bool:
    """Whether a module calls transformers' attention interface, and has a configuration that names the kernel."""
    code = getattr(_forward(module), "__code__", None)
    return code is not None and "ALL_ATTENTION_FUNCTIONS" in code.co_names and hasattr(module, "config")


def config_of(module: nn.Module) -> Any:
    """The configuration that names a module's kernel."""
    return module.config


def _forward(module: nn.Module) -> Callable[..., Any]:
    forward: Callable[..., Any] = inspect.unwrap(type(module).forward)
    return forward


def _eager(module: nn.Module) -> Callable[..., Any]:
    eager: Callable[..., Any] | None = _forward(module).__globals__.get("eager_attention_forward")
    if eager is None:
        raise ModelError(f"{type(module).__name__} has no eager attention to read weights from")
    return eager


def _register(kernel: str) -> str:
    """Our name for a kernel, known to transformers."""
    name = _OURS + kernel
    if name not in ALL_ATTENTION_FUNCTIONS:
        AttentionInterface.register(name, _beside(kernel))
        AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[kernel])
    return name


def _beside(kernel: str) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """The attention function that calls `kernel`, and has what it did recorded."""

    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any
    ) -> tuple[Tensor, Tensor | None]:
        own = _eager(module) if kernel == "eager" else ALL_ATTENTION_FUNCTIONS[kernel]
        output, weights = own(module, query, key, value, attention_mask, **options)
        for recorder in _ACTIVE.get():
            if module in recorder:
                wanted = recorder.wanted
                with torch.no_grad():
                    rows = weights[:, :, wanted] if weights is not None else None
                    if rows is None:
                        rows = _rows(module, query, key, value, attention_mask, options, wanted)
                    recorder.take(module, rows, query.shape[2])
                output = recorder.through(module, output, value)
        return output, weights

    return attend


def _rows(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    options: dict[str, Any],
    wanted: slice,
) -> Tensor:
    """(B, heads, R, keys): what the modelling file's eager attention gives for the wanted queries.

    Without a mask, the last query sees all keys, and so do all that look at an encoder.
    """
    if mask is not None:
        mask = mask[..., wanted, :] if mask.shape[-2] > 1 else mask
        if mask.dtype == torch.bool:  # of sdpa; eager adds its mask
            mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, torch.finfo(query.dtype).min)
    bias = options.get("position_bias")
    if bias is not None:
        options = {**options, "position_bias": bias[..., wanted, :]}
    weights: Tensor = _eager(module)(module, query[:, :, wanted], key, value, mask, **options)[1]
    return weights


def _hooked(module: nn.Module) -> list[Any]:
    """Hooks that make a module give its weights, where it need be told to, and have them recorded."""
    signature = inspect.signature(_forward(module))

    def ask(module: nn.Module, args: Any, kwargs: Any) -> Any:
        bound = signature.bind(module, *args, **kwargs)
        bound.arguments["output_attentions"] = True
        return bound.args[1:], bound.kwargs

    def hear(module: nn.Module, args: Any, output: Any) -> None:
        # Last: T5 and its kin give the bias of positions before the weights.
        weights = next((part for part in output[:0:-1] if isinstance(part, Tensor) and part.dim() == 4), None)
        for recorder in _ACTIVE.get():
            if weights is not None and module in recorder:
                with torch.no_grad():
                    recorder.take(module, weights[:, :, recorder.wanted], weights.shape[2])
                recorder.within(module, weights)

    hooks = [module.register_forward_hook(hear)]
    if "output_attentions" in signature.parameters:
        hooks.append(module.register_forward_pre_hook(ask, with_kwargs=True))
    return hooks
